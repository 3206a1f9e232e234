"""Losses against plain NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.ops import losses

rng = np.random.default_rng(0)


def test_hinge():
    real, predicted = rng.normal(size=(2, 3, 4)) * 2, rng.normal(size=(5, 2)) * 2
    expected = np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + predicted).mean()
    np.testing.assert_allclose(losses.hinge_discriminator_loss(real, predicted), expected)
    np.testing.assert_allclose(losses.hinge_generator_loss(predicted), -predicted.mean())


def test_hinge_gradient_is_zero_beyond_the_margin():
    real = tf.constant([2.0, 0.5])
    with tf.GradientTape() as tape:
        tape.watch(real)
        loss = losses.hinge_discriminator_loss(real, tf.constant([-3.0]))
    np.testing.assert_allclose(tape.gradient(loss, real), [0.0, -0.5])


def test_mixed_projection_equals_loops():
    r_x, r_xy = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    expected = np.zeros((3, 3, 4))
    for b in range(3):
        for other in range(3):
            for t in range(4):
                expected[b, other, t] = r_x[b, t] + sum(r_xy[other, s] for s in range(4))
    np.testing.assert_allclose(losses.mixed_projection(r_x, r_xy), expected)


def test_mixing_cancels_in_the_generators_loss():
    r_x, r_xy = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    expected = -r_x.mean() - r_xy.sum(axis=1).mean()
    loss = losses.hinge_generator_loss(losses.mixed_projection(r_x, r_xy))
    np.testing.assert_allclose(loss, expected)


def test_plain_projection():
    r_x, r_xy = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    np.testing.assert_allclose(losses.projection(r_x, r_xy), (r_x + r_xy).sum(axis=1))


@pytest.mark.parametrize("shape", [(3, 3, 2, 5), (4, 9), (6, 6), (1, 3)])
def test_orthogonal_penalty_and_gradient(shape):
    kernel = rng.normal(size=shape)
    matrix = kernel.reshape(-1, shape[-1])
    off_diagonal = matrix.T @ matrix * (1 - np.eye(shape[-1]))
    variable = tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        penalty = losses.orthogonal_penalty(variable)
    np.testing.assert_allclose(penalty, (off_diagonal**2).sum(), rtol=1e-9)
    # d |W^T W * M|_F^2 / dW = 4 W (W^T W * M) for a symmetric mask M of zeros and ones.
    expected = (4 * matrix @ off_diagonal).reshape(shape)
    np.testing.assert_allclose(tape.gradient(penalty, variable), expected, atol=1e-9)


def test_orthogonal_columns_cost_nothing():
    columns, _ = np.linalg.qr(rng.normal(size=(9, 4)))
    assert float(losses.orthogonal_penalty(tf.constant(columns * 3.0))) < 1e-20
