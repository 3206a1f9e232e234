"""A step whose islands XLA compiles computes what the plain step computes."""

import numpy as np
import pytest
import tensorflow as tf

from tests.training.conftest import tiny_experiment
from trivd_tf.base.errors import InputError
from trivd_tf.description.graph_costs import count_operations
from trivd_tf.experiment import TrainingOptions
from trivd_tf.layers.batch_norm import PerStepBatchNorm
from trivd_tf.layers.islands import compiling_islands, island
from trivd_tf.layers.recurrent import make_cell, unroll
from trivd_tf.layers.residual import DiscriminatorBlock
from trivd_tf.layers.spectral_norm import (
    normalized_at_once,
    power_iterate,
    set_power_iteration,
    spectral_layers,
)
from trivd_tf.training.distribution.devices import compiles_islands, is_deterministic
from trivd_tf.training.loop import build_step


def both_ways(run):
    """What `run` returns in a plain graph, and with compiled islands."""
    found = []
    for wanted in (False, True):

        def function(wanted=wanted):
            with compiling_islands(wanted):
                return run()

        compiled = tf.function(function, autograph=False)
        types = [one.type for one in compiled.get_concrete_function().graph.get_operations()]
        assert any("PartitionedCall" in kind for kind in types) or not wanted
        found.append(tf.nest.map_structure(lambda tensor: tensor.numpy(), compiled()))
    return found


def assert_close(found, tolerance=1e-10):
    plain, compiled = (tf.nest.flatten(one) for one in found)
    for one, other in zip(plain, compiled, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def values_and_gradients(layer, run):
    sources = [weight.value for weight in layer.trainable_variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(sources)
        with normalized_at_once(layer):
            outputs = run()
        loss = tf.reduce_sum(outputs * tf.sin(outputs + 1.0))
    return outputs, tape.gradient(loss, sources)


@pytest.mark.parametrize("recompute", [False, True])
def test_spectral_norms_at_once(recompute):
    """Values, gradients and the vectors u, also where a block runs again in the backward pass."""
    block = DiscriminatorBlock(3, dtype="float64")
    frames = tf.random.stateless_normal([2, 4, 4, 2], [1, 2], dtype=tf.float64)
    block(frames)
    block.recompute = recompute
    start = [layer.u.numpy() for layer in spectral_layers(block)]

    def run():
        for layer, u in zip(spectral_layers(block), start, strict=True):
            layer.u.assign(np.roll(u, 1))
        power_iterate(block)
        values = values_and_gradients(block, lambda: block(frames))
        return values, [tf.convert_to_tensor(layer.u) for layer in spectral_layers(block)]

    assert_close(both_ways(run))


def test_batch_norm_as_an_island():
    norm = PerStepBatchNorm(2, dtype="float64")
    frames = tf.random.stateless_normal([2, 3, 4, 4, 5], [1, 2], dtype=tf.float64)
    condition = tf.random.stateless_normal([3, 6], [3, 4], dtype=tf.float64)
    norm(frames, condition)
    set_power_iteration(norm, in_training=False)  # as in the train step
    assert_close(
        both_ways(
            lambda: values_and_gradients(norm, lambda: norm(frames, condition, training=True))
        )
    )


@pytest.mark.parametrize("name", ["tsru_p"])
def test_a_recurrent_step_as_an_island(name):
    cell = make_cell(name, 4, dtype="float64")
    inputs = tf.random.stateless_normal([3, 2, 8, 8, 4], [1, 2], dtype=tf.float64)
    encoding = tf.random.stateless_normal([2, 8, 8, 4], [3, 4], dtype=tf.float64)
    cell.build((None, 8, 8, 4))

    def run():
        return unroll(cell, inputs, cell.initial_state(encoding))[0]

    assert_close(both_ways(lambda: values_and_gradients(cell, run)))


def test_islands_are_off_unless_asked_for():
    def double(x):
        return 2 * x

    assert island(double) is double
    with compiling_islands():
        assert island(double) is double  # eagerly


@pytest.mark.parametrize(
    ("wanted", "kind", "replicas", "islands", "deterministic"),
    [
        ("auto", "CPU", 1, False, True),
        ("auto", "GPU", 1, False, False),
        (True, "GPU", 1, True, True),
        ("auto", "GPU", 2, False, False),
        ("auto", "TPU", 8, False, False),
        (True, "CPU", 1, True, True),
        (True, "TPU", 8, False, True),
        (False, "GPU", 1, False, False),
    ],
)
def test_what_the_devices_decide(wanted, kind, replicas, islands, deterministic):
    options = TrainingOptions(jit_compile=wanted, deterministic=wanted)
    assert compiles_islands(options, kind, replicas) == islands
    assert is_deterministic(options, kind) == deterministic


def test_islands_on_several_devices_are_refused():
    with pytest.raises(InputError, match="jit_compile is True on 2 replicas"):
        compiles_islands(TrainingOptions(jit_compile=True), "GPU", 2)
    for name in ("jit_compile", "deterministic"):
        with pytest.raises(InputError, match=f'{name} must be True, False or "auto"'):
            TrainingOptions(**{name: "yes"})


def one_step(jit_compile: bool) -> tuple[dict[str, float], list[np.ndarray], int]:
    """Losses and weights after one step, and how many operations it takes."""
    made = tiny_experiment(jit_compile=jit_compile, precision="float64", optimizer="sgd")
    step = build_step(made, tf.distribute.get_strategy(), 3)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 16, 16, 3), np.uint8)
    batch = {"video": tf.constant(pixels), "label": tf.zeros([2], tf.int32)}

    def run(batch, number, update):
        return {
            **step.update_discriminators(batch, number, update),
            **step.update_generator(batch, number),
        }

    arguments = (batch, tf.constant(0, tf.int64), tf.constant(0))
    compiled = tf.function(run, autograph=False)
    count = count_operations(compiled.get_concrete_function(*arguments).graph)
    metrics = {name: float(value) for name, value in compiled(*arguments).items()}
    models = (step.generator, *step.discriminators)
    values = [variable.numpy() for model in models for variable in model.variables]
    return metrics, [*values, *(one.numpy() for one in step.average.averages)], count


@pytest.mark.long
def test_a_whole_step_with_islands():
    metrics, values, count = one_step(False)
    compiled_metrics, compiled_values, compiled_count = one_step(True)
    assert compiled_metrics == pytest.approx(metrics, rel=1e-9)
    assert_close([values, compiled_values], 1e-9)
    assert compiled_count < count / 3
