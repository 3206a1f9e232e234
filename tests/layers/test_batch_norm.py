"""Per-step batch norm against NumPy: moments, conditional maps, standing statistics."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.layers.batch_norm import (
    PerStepBatchNorm,
    collecting_standing_statistics,
    reset_standing_statistics,
    synchronized_moments,
)

T, B, H, W, C, D = 3, 4, 5, 2, 6, 7


@pytest.fixture
def frames():
    return keras.random.normal((T, B, H, W, C), mean=3.0, stddev=2.0)


def _numpy_norm(frames, mean, variance, epsilon=1e-4):
    shape = (len(mean), 1, 1, 1, C)
    return (frames - mean.reshape(shape)) / np.sqrt(variance.reshape(shape) + epsilon)


def test_moments_are_over_batch_and_space_for_each_step(frames):
    mean, variance = synchronized_moments(frames)
    array = frames.numpy().astype(np.float64)
    np.testing.assert_allclose(mean, array.mean(axis=(1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(variance, array.var(axis=(1, 2, 3)), rtol=1e-5)


def test_variance_survives_a_large_mean():
    frames = keras.random.normal((1, 8, 16, 16, 1), mean=1e4)
    array = frames.numpy().astype(np.float64)
    np.testing.assert_allclose(synchronized_moments(frames)[1], [[array.var()]], rtol=1e-3)


def test_conditional_gain_and_offset_equal_numpy(frames):
    layer = PerStepBatchNorm(T, spectral_norm=False)
    condition = keras.random.normal((B, D))
    outputs = layer(frames, condition, training=True)
    array = frames.numpy().astype(np.float64)
    normal = _numpy_norm(array, array.mean(axis=(1, 2, 3)), array.var(axis=(1, 2, 3)))
    gain = 1.0 + condition.numpy() @ layer.gain.kernel.numpy()
    offset = condition.numpy() @ layer.offset.kernel.numpy()
    expected = normal * gain[None, :, None, None] + offset[None, :, None, None]
    np.testing.assert_allclose(outputs, expected, atol=2e-4)


def test_changing_one_step_leaves_the_others_as_they_were(frames):
    layer = PerStepBatchNorm(T, conditional=False)
    before = layer(frames, training=True).numpy()
    changed = frames.numpy()
    changed[1] = changed[1] * 3.0 + 1.0
    changed[1, 0] -= 5.0
    after = layer(tf.constant(changed), training=True).numpy()
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    assert np.abs(after[1] - before[1]).max() > 0.1


def test_gain_and_offset_are_shared_over_time():
    layer = PerStepBatchNorm(T, conditional=False)
    layer.build((T, B, H, W, C))
    assert layer.gain.shape == layer.offset.shape == (C,)
    assert layer.standing_mean.shape == layer.standing_variance.shape == (T, C)
    np.testing.assert_array_equal(layer.standing_mean, np.zeros((T, C)))
    np.testing.assert_array_equal(layer.standing_variance, np.ones((T, C)))


def test_standing_statistics_are_the_mean_of_the_batches_moments_and_start_afresh(frames):
    layer = PerStepBatchNorm(T, conditional=False)
    layer(frames, training=True)
    np.testing.assert_array_equal(layer.standing_mean, np.zeros((T, C)))  # not while training
    batches = [keras.random.normal((T, B, H, W, C), mean=i, stddev=1 + i) for i in range(4)]
    for used in (batches, batches[1:3]):
        reset_standing_statistics(layer)
        with collecting_standing_statistics(layer):
            for batch in used:
                layer(batch, training=True)
        moments = [(b.numpy().mean((1, 2, 3)), b.numpy().var((1, 2, 3))) for b in used]
        np.testing.assert_allclose(
            layer.standing_mean, np.mean([m for m, _ in moments], 0), atol=1e-5
        )
        np.testing.assert_allclose(
            layer.standing_variance, np.mean([v for _, v in moments], 0), rtol=1e-5
        )
    outputs = layer(frames, training=False)
    mean, variance = layer.standing_mean.numpy(), layer.standing_variance.numpy()
    np.testing.assert_allclose(outputs, _numpy_norm(frames.numpy(), mean, variance), atol=1e-4)


def test_gradient_equals_finite_differences():
    layer = PerStepBatchNorm(2, dtype="float64")
    frames = keras.random.normal((2, 2, 2, 1, 2), dtype=tf.float64)
    condition = keras.random.normal((2, 3), dtype=tf.float64)
    layer(frames, condition, training=True)
    weight = keras.random.normal(frames.shape, dtype=tf.float64)

    def loss(inputs):
        return tf.reduce_sum(layer(inputs, condition, training=True) * weight)

    theory, numbers = tf.test.compute_gradient(loss, [frames], delta=1e-6)
    np.testing.assert_allclose(theory[0], numbers[0], atol=1e-6)


def test_bfloat16_keeps_float32_statistics(frames):
    layer = PerStepBatchNorm(T, conditional=False, dtype="mixed_bfloat16")
    outputs = layer(tf.cast(frames, tf.bfloat16), training=True)
    assert outputs.dtype == tf.bfloat16
    assert layer.standing_mean.dtype == "float32"
    reference = PerStepBatchNorm(T, conditional=False)(frames, training=True)
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), reference, atol=0.05)
