"""Adam against its equations in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.training.adam import FusedAdam

_RATE, _EPSILON = 0.03, 1e-3


def _numpy_adam(weight, gradients, beta_1, beta_2):
    """Weights after each gradient, float64."""
    m, v = np.zeros_like(weight), np.zeros_like(weight)
    for t, gradient in enumerate(gradients, start=1):
        m = beta_1 * m + (1 - beta_1) * gradient
        v = beta_2 * v + (1 - beta_2) * gradient**2
        rate = _RATE * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        weight = weight - rate * m / (np.sqrt(v) + _EPSILON)
        yield weight


@pytest.mark.parametrize("beta_1", [0.0, 0.5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equations(beta_1, dtype):
    rng = np.random.default_rng(3)
    start, gradients = rng.normal(size=[3, 4]), rng.normal(size=[4, 3, 4])
    weight = keras.Variable(start, dtype=dtype)
    other = keras.Variable(np.zeros([2]), dtype=dtype)
    optimizer = FusedAdam(_RATE, beta_1=beta_1, beta_2=0.9, epsilon=_EPSILON)
    optimizer.build([other, weight])
    apply = tf.function(lambda g: optimizer.apply([tf.ones([2], g.dtype), g], [other, weight]))
    expected = _numpy_adam(start, gradients, beta_1, 0.9)
    for gradient, after in zip(gradients, expected, strict=True):
        apply(tf.constant(gradient, dtype))
        # Keras keeps the rate in float32, so even a float64 weight moves with seven digits.
        np.testing.assert_allclose(weight.numpy(), after, rtol=0, atol=1e-6)
    assert int(optimizer.iterations.numpy()) == len(gradients)


def test_what_is_saved_is_restored(tmp_path):
    """Moments and step count are part of a checkpoint: the next step is the same."""

    def build():
        weight = keras.Variable(np.ones([3], np.float32))
        optimizer = FusedAdam(_RATE, beta_1=0.5, beta_2=0.9, epsilon=_EPSILON)
        optimizer.build([weight])
        return weight, optimizer, tf.train.Checkpoint(w=weight.value, o=optimizer)

    first, second = tf.constant([1.0, -2.0, 0.5]), tf.constant([0.3, 0.1, -4.0])
    weight, optimizer, checkpoint = build()
    optimizer.apply([first], [weight])
    path = checkpoint.write(str(tmp_path / "c"))
    optimizer.apply([second], [weight])
    again, of_again, target = build()
    target.read(path).assert_consumed()
    of_again.apply([second], [again])
    np.testing.assert_array_equal(again.numpy(), weight.numpy())
