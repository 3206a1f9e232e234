"""Spectral norm: value, gradient and power iteration against NumPy's singular values."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.layers.spectral_norm import (
    SpectralConv2D,
    SpectralConv3D,
    SpectralDense,
    SpectralEmbedding,
    next_u,
    power_iterate,
    power_iteration_in_training,
    singular_value,
)


def _matrix(kernel) -> np.ndarray:
    kernel = np.asarray(kernel, np.float64)
    return kernel.reshape(-1, kernel.shape[-1])


@pytest.mark.parametrize("shape", [(3, 3, 5, 7), (3, 3, 2, 40), (6, 4)])
def test_power_iteration_finds_the_first_singular_value(shape):
    kernel = keras.random.normal(shape)
    u = tf.ones(shape[-1]) / np.sqrt(shape[-1])
    for _ in range(300):
        u = next_u(kernel, u)
    expected = np.linalg.svd(_matrix(kernel), compute_uv=False)[0]
    np.testing.assert_allclose(singular_value(kernel, u), expected, rtol=1e-4)


def test_one_power_iteration_equals_numpy():
    kernel = keras.random.normal((3, 3, 4, 6))
    u = np.random.default_rng(0).normal(size=6)
    u /= np.linalg.norm(u)
    matrix = _matrix(kernel)
    v = matrix @ u / np.linalg.norm(matrix @ u)
    expected = matrix.T @ v / np.linalg.norm(matrix.T @ v)
    np.testing.assert_allclose(next_u(kernel, tf.constant(u, tf.float32)), expected, atol=1e-5)


def test_the_gradient_stops_at_u_and_v():
    """d sigma / dW = v u^T, and of W / sigma by the quotient rule."""
    kernel = keras.random.normal((5, 3))
    u = tf.linalg.l2_normalize(keras.random.normal([3]))
    weight = np.random.default_rng(1).normal(size=(5, 3))
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        loss = tf.reduce_sum(kernel / singular_value(kernel, u) * tf.constant(weight, tf.float32))
    matrix = _matrix(kernel)
    product = matrix @ u.numpy().astype(np.float64)
    v = product / np.linalg.norm(product)
    sigma = v @ product
    outer = np.outer(v, u.numpy())
    expected = weight / sigma - (weight * matrix).sum() / sigma**2 * outer
    np.testing.assert_allclose(tape.gradient(loss, kernel), expected, rtol=1e-4, atol=1e-5)


def test_layers_divide_by_the_singular_value_of_their_current_weights():
    layer = SpectralConv2D(6)
    inputs = keras.random.normal((2, 5, 4, 3))
    layer(inputs)
    layer.kernel.assign(5.0 * keras.random.normal(layer.kernel.shape))
    power_iterate(layer, 200)
    sigma = np.linalg.svd(_matrix(layer.kernel), compute_uv=False)[0]
    expected = tf.nn.conv2d(inputs, layer.kernel / np.float32(sigma), 1, "SAME") + layer.bias
    np.testing.assert_allclose(layer(inputs), expected, atol=2e-5)


def test_only_training_moves_u_and_only_where_it_may():
    layer, twin = SpectralDense(4), SpectralDense(4)
    for one in (layer, twin):
        one.build((None, 3))
        one.kernel.assign(np.arange(12.0).reshape(3, 4))
    twin.u.assign(layer.u)
    before = layer.u.numpy()
    layer(tf.ones((1, 3)))
    layer(tf.ones((1, 3)), training=False)
    with power_iteration_in_training(layer, False):
        layer(tf.ones((1, 3)), training=True)
    np.testing.assert_array_equal(layer.u.numpy(), before)
    outputs = layer(tf.ones((1, 3)), training=True)
    power_iterate(twin)
    assert np.abs(layer.u.numpy() - before).max() > 1e-4
    np.testing.assert_allclose(layer.u, twin.u, rtol=1e-6)
    # The iteration comes first: the outputs are divided by the new estimate.
    np.testing.assert_allclose(outputs, twin(tf.ones((1, 3))), rtol=1e-6)


def test_epsilon_bounds_the_divisor():
    layer = SpectralDense(2, epsilon=0.5, use_bias=False)
    layer.build((None, 3))
    layer.kernel.assign(tf.ones((3, 2)) * 0.01)
    power_iterate(layer, 5)
    np.testing.assert_allclose(layer.normalized_kernel(), np.full((3, 2), 0.02), rtol=1e-5)
    layer.kernel.assign(tf.zeros((3, 2)))
    power_iterate(layer)
    assert np.isfinite(layer.normalized_kernel()).all()
    np.testing.assert_allclose(np.linalg.norm(layer.u.numpy()), 1.0, rtol=1e-5)  # not stuck at 0


@pytest.mark.parametrize("shape", [(3, 3, 8, 4), (4, 12)])
def test_weights_start_orthogonal_with_singular_value_one(shape):
    layer = SpectralDense(shape[-1])
    layer.add_kernel(shape)
    matrix = _matrix(layer.kernel)
    gram = matrix.T @ matrix if shape[-1] <= matrix.shape[0] else matrix @ matrix.T
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)
    np.testing.assert_allclose(layer.singular_value(), 1.0, atol=1e-5)


def test_off_means_the_raw_kernel_and_no_state():
    layer = SpectralConv3D(3, spectral_norm=False)
    layer.build((None, None, None, None, 2))
    np.testing.assert_array_equal(layer.normalized_kernel(), layer.kernel)
    assert not layer.non_trainable_variables


def test_embedding_rows():
    layer = SpectralEmbedding(3, 8)
    power_iterate(layer, 100)
    sigma = np.linalg.svd(_matrix(layer.kernel), compute_uv=False)[0]
    rows = layer(tf.constant([2, 0, 2]))
    np.testing.assert_allclose(rows, layer.kernel.numpy()[[2, 0, 2]] / sigma, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [SpectralDense(3, epsilon=0.1), SpectralConv2D(4, 1, use_bias=False), SpectralConv3D(2)],
)
def test_config_round_trip(layer):
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()


def test_saves_and_loads_with_keras(tmp_path):
    model = keras.Sequential([keras.Input((6, 6, 2)), SpectralConv2D(3, name="conv")])
    model.layers[0].kernel.assign(keras.random.normal((3, 3, 2, 3)))
    power_iterate(model, 3)
    model.save_weights(tmp_path / "m.weights.h5")
    other = keras.Sequential([keras.Input((6, 6, 2)), SpectralConv2D(3, name="conv")])
    other.load_weights(tmp_path / "m.weights.h5")
    inputs = keras.random.normal((1, 6, 6, 2))
    np.testing.assert_array_equal(model(inputs), other(inputs))


def test_the_gradient_passes_through_sigma():
    """Slopes of the normalised kernel, whose divisor moves with the kernel."""
    layer = SpectralDense(3, dtype="float64")
    layer.build((None, 4))
    rng = np.random.default_rng(0)
    kernel, target, direction = (rng.normal(size=[4, 3]) for _ in range(3))

    def loss(value):
        layer.kernel.assign(value)
        return tf.reduce_sum(layer.normalized_kernel() * target)

    slope = float(loss(kernel + 1e-6 * direction) - loss(kernel - 1e-6 * direction)) / 2e-6
    with tf.GradientTape() as tape:
        value = loss(kernel)
    gradient = tape.gradient(value, layer.kernel.value).numpy()
    np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=1e-6)
