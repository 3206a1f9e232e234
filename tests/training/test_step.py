"""The train step: who moves when, by how much, and from which random numbers."""

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.base.pixels import float_tensor
from trivd_tf.layers.spectral_norm import spectral_layers
from trivd_tf.training.ema import WeightAverage
from trivd_tf.training.step import penalized_kernels


def _values(variables):
    return [variable.numpy() for variable in variables]


def _state(step):
    return {
        "generator": _values(step.generator.trainable_variables),
        "discriminators": [
            value for model in step.discriminators for value in _values(model.trainable_variables)
        ],
    }


def _moved(before, after):
    return any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def _numpy_next_u(kernel, u):
    matrix = np.asarray(kernel, np.float64).reshape(-1, kernel.shape[-1])
    v = matrix @ u
    v /= np.linalg.norm(v)
    new = matrix.T @ v
    return new / np.linalg.norm(new)


@pytest.fixture(scope="module")
def updates(tiny_session):
    """Weights and spectral vectors before, between and after the updates of one eager step."""
    tiny_session.reset()
    step = tiny_session.step
    batch = next(iter(tiny_session.iterator()))
    number = tf.constant(0, tf.int64)
    kernels = [(layer.kernel, layer.u) for layer in spectral_layers(step.generator)]
    states, vectors = [_state(step)], [[_values(pair) for pair in kernels]]
    first = step.update_discriminators(batch, number, tf.constant(0))
    states.append(_state(step))
    vectors.append([_values(pair) for pair in kernels])
    second = step.update_generator(batch, number)
    states.append(_state(step))
    vectors.append([_values(pair) for pair in kernels])
    averages = _values(step.average.averages)
    return states, vectors, first, second, averages


def test_each_update_moves_its_own_networks(updates):
    (start, middle, end), *_ = updates
    assert not _moved(start["generator"], middle["generator"])
    assert _moved(start["discriminators"], middle["discriminators"])
    assert _moved(middle["generator"], end["generator"])
    assert not _moved(middle["discriminators"], end["discriminators"])


def test_the_first_adam_update_is_the_learning_rate_times_the_sign(updates, tiny_session):
    """beta1 = 0 and a fresh second moment: g / sqrt(g^2)."""
    (start, middle, end), *_ = updates
    options = tiny_session.experiment.training
    for before, after, name, rate in (
        (start, middle, "discriminators", options.discriminator_learning_rate),
        (middle, end, "generator", options.generator_learning_rate),
    ):
        changes = [np.abs(b - a) for a, b in zip(before[name], after[name], strict=True)]
        largest = max(change.max() for change in changes)
        np.testing.assert_allclose(largest, rate, rtol=1e-2)


def test_one_power_iteration_for_each_update_of_the_generator(updates):
    _, (start, middle, end), *_ = updates
    for before, between, after in zip(start, middle, end, strict=True):
        np.testing.assert_array_equal(before[1], between[1])
        expected = _numpy_next_u(between[0], between[1])
        np.testing.assert_allclose(after[1], expected, atol=1e-5)


def test_before_its_start_the_average_is_the_weights(updates):
    (*_, end), *_, averages = updates
    for average, weight in zip(averages, end["generator"], strict=True):
        np.testing.assert_array_equal(average, weight)


def test_metrics_are_those_announced(updates, tiny_session):
    _, _, first, second, _ = updates
    assert list(first) == tiny_session.step.discriminator_metrics
    assert list(second) == tiny_session.step.generator_metrics


def test_average_equals_numpy():
    weight = tf.Variable([1.0, -2.0])
    average = WeightAverage([weight], decay=0.9, start_step=2)
    expected, rng = None, np.random.default_rng(0)
    for step in range(1, 7):
        value = rng.normal(size=2).astype(np.float32)
        weight.assign(value)
        average.update(tf.constant(step))
        expected = value if step <= 2 else 0.9 * expected + 0.1 * value
        np.testing.assert_allclose(average.averages[0], expected, rtol=1e-5)


def test_the_penalty_covers_all_kernels_but_the_class_embedding(tiny):
    kernels = penalized_kernels(tiny.step.generator)
    everything = [v for v in tiny.step.generator.trainable_variables if v.name == "kernel"]
    assert len(kernels) == len(everything) - 1
    assert all("embedding" not in kernel.path for kernel in kernels)
    total = 0.0
    for kernel in kernels:
        matrix = np.asarray(kernel, np.float64).reshape(-1, kernel.shape[-1])
        total += ((matrix.T @ matrix * (1 - np.eye(matrix.shape[1]))) ** 2).sum()
    np.testing.assert_allclose(tiny.step.penalty(), total, rtol=1e-4)


def test_latents_are_normal_and_new_for_each_update(tiny):
    step = tiny.step
    seeds = [step._seed(tf.constant(s, tf.int64), u) for s in range(40) for u in range(3)]
    assert len({tuple(seed.numpy()) for seed in seeds}) == 120
    z = np.concatenate([step.draw_latents(seed).numpy() for seed in seeds])
    assert abs(z.mean()) < 0.02
    assert abs(z.std() - 1) < 0.02


def test_pixels_become_minus_one_to_one():
    np.testing.assert_allclose(float_tensor(tf.constant([0, 255], tf.uint8)), [-1.0, 1.0])
