"""What `trivd compile` writes down is what `trivd train` runs."""

import dataclasses
import types

import pytest
import tensorflow as tf

from tests.training.conftest import tiny_experiment
from trivd_tf import experiment, models
from trivd_tf.base.tensorflow_private import disable_op_determinism, is_op_determinism_enabled
from trivd_tf.compilation.programs import Emitter
from trivd_tf.description.graph_costs import operations, traced
from trivd_tf.training import loop as training_loop
from trivd_tf.training.checkpoints import Counters
from trivd_tf.training.compiled_loop import CompiledLoop
from trivd_tf.training.loop import build_step
from trivd_tf.training.replica_programs import ReplicaPrograms


class TpuStandIn:
    """Keeps what the training loop hands to its strategy, instead of running it."""

    num_replicas_in_sync = 1

    def __init__(self):
        self.extended = self
        self.worker_devices = ("/job:worker/device:TPU:0",)
        self.programs = []

    def run(self, program, args):
        self.programs.append((program, args))
        return tf.zeros([3])

    def reduce(self, op, value, axis):
        return value


def tiny(**options) -> experiment.Experiment:
    made = tiny_experiment(**options)
    clip = dataclasses.replace(made.clip, num_predicted_frames=1, num_conditioning_frames=1)
    generator = models.generator(channel_multiplier=1, recurrent_unit="conv_gru")
    discriminators = models.discriminators(channel_multiplier=1, decomposition="downsampled")
    networks = {"generator": generator, "discriminators": discriminators}
    return dataclasses.replace(made, clip=clip, **networks)


def listed(graph: tf.Graph) -> list[tuple]:
    """Operations in order, with the types and shapes of what they compute."""
    return [
        (one.type, [(out.dtype, out.shape.as_list()) for out in one.outputs])
        for one in operations(graph)
        if one.type not in ("Placeholder", "Identity", "IdentityN", "NoOp")
    ]


@pytest.fixture
def determinism():
    """Puts the process back as it was."""
    was_on = is_op_determinism_enabled()
    disable_op_determinism()
    yield
    set_back = tf.config.experimental.enable_op_determinism if was_on else disable_op_determinism
    set_back()


def handed_over(step, batch: dict[str, tf.Tensor]) -> list[tuple]:
    """The programs that the training loop hands to a TPU's strategy, with their arguments."""
    strategy = TpuStandIn()
    loop = CompiledLoop(step, strategy, Counters())
    iterator = iter([batch] * 2)
    loop._discriminator_update(iterator, tf.constant(0), tf.zeros([3]))
    loop._generator_update(iterator, tf.zeros([], tf.float64), tf.zeros([3], tf.float64))
    return strategy.programs


BATCH = {"video": tf.zeros([2, 2, 16, 16, 3], tf.uint8), "label": tf.zeros([2], tf.int32)}


def test_train_and_compile_call_the_same_functions(monkeypatch):
    called = []

    def note(programs, *args):
        specs = tf.nest.map_structure(lambda one: (one.dtype, tuple(one.shape)), args)
        called.append((name, type(programs).__name__, programs._step.options, specs))
        return tf.zeros([3])

    made = tiny(precision="mixed_bfloat16")
    step = types.SimpleNamespace(
        options=made.training, discriminator_metrics=["a"], generator_metrics=["b"],
        replica_batch_size=2, discriminators=[], generator=None,
    )  # fmt: skip
    monkeypatch.setattr("trivd_tf.compilation.programs.build_step", lambda *_, **__: step)
    emitter = Emitter(made, num_replicas=1)
    programs = handed_over(step, BATCH)
    for name, (program, args) in zip(("discriminators", "generator"), programs, strict=True):
        monkeypatch.setattr(ReplicaPrograms, name, note)
        program(*args)
        function, arguments = emitter._traced(name)
        traced(function, *arguments)
        one, other = called[-2:]
        assert one == other


@pytest.mark.long
@pytest.mark.usefixtures("determinism")
def test_compile_writes_down_what_train_runs():
    made = tiny(precision="mixed_bfloat16")
    programs = handed_over(build_step(made, tf.distribute.get_strategy(), 0), BATCH)
    emitter = Emitter(made, num_replicas=1)
    for name, (program, args) in zip(("discriminators", "generator"), programs, strict=True):
        specs = tf.nest.map_structure(tf.TensorSpec.from_tensor, args)
        run_in_training = listed(traced(program, *specs))
        function, arguments = emitter._traced(name)
        same = listed(traced(function, *arguments)) == run_in_training
        assert same, name
        assert any(dtype == tf.bfloat16 for _, outs in run_in_training for dtype, _ in outs)


@pytest.mark.usefixtures("determinism")
@pytest.mark.parametrize("deterministic", ["auto", True, False])
def test_compile_is_as_deterministic_as_train(deterministic, monkeypatch, tmp_path):
    found = []

    def note(*_):
        found.append(is_op_determinism_enabled())
        raise NotImplementedError

    made = tiny(deterministic=deterministic)
    monkeypatch.setattr(training_loop, "build_step", note)
    monkeypatch.setattr("trivd_tf.compilation.programs.build_step", lambda *_, **__: note())
    with pytest.raises(NotImplementedError):
        training_loop.train(made, model_dir=tmp_path, strategy=TpuStandIn())
    disable_op_determinism()
    with pytest.raises(NotImplementedError):
        Emitter(made, num_replicas=1)
    assert found == [deterministic is True] * 2
