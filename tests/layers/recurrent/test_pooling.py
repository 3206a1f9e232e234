"""The adaptive max-pool of the factorised transform network, and its gradient."""

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.base.tensorflow_private import disable_op_determinism, is_op_determinism_enabled
from trivd_tf.layers.recurrent.transform import adaptive_max_pool


def cells(length):
    return [(i * length // 4, -(-(i + 1) * length // 4)) for i in range(4)]


def pool_and_gradient(frames, upstream):
    """In NumPy, cell by cell; where a maximum occurs several times, each gets an equal share."""
    pooled, gradient = np.zeros_like(upstream), np.zeros_like(frames)
    for i, (top, bottom) in enumerate(cells(frames.shape[1])):
        for j, (left, right) in enumerate(cells(frames.shape[2])):
            cell = frames[:, top:bottom, left:right]
            pooled[:, i, j] = cell.max(axis=(1, 2))
            is_maximum = cell == pooled[:, i, j][:, None, None]
            share = upstream[:, i, j] / is_maximum.sum(axis=(1, 2))
            gradient[:, top:bottom, left:right] += is_maximum * share[:, None, None]
    return pooled, gradient


@pytest.fixture
def deterministic():
    was_on = is_op_determinism_enabled()
    tf.config.experimental.enable_op_determinism()
    yield
    if not was_on:
        disable_op_determinism()


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 16), (12, 8), (6, 9), (3, 5)])
@pytest.mark.usefixtures("deterministic")
def test_pool_and_gradient_where_operations_are_deterministic(height, width, jit_compile):
    rng = np.random.default_rng(0)
    # Few different values, so that many cells hold their maximum several times.
    frames = rng.integers(0, 6, (2, height, width, 3)).astype(np.float64)
    if height % 4 or width % 4:
        frames += rng.uniform(0, 0.5, frames.shape)  # cells overlap: no ties there
    upstream = rng.normal(size=(2, 4, 4, 3))

    def run(frames):
        with tf.GradientTape() as tape:
            tape.watch(frames)
            pooled = adaptive_max_pool(frames, 4)
        return pooled, tape.gradient(pooled, frames, output_gradients=tf.constant(upstream))

    found = tf.function(run, jit_compile=jit_compile, autograph=False)(tf.constant(frames))
    for one, expected in zip(found, pool_and_gradient(frames, upstream), strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-12)
