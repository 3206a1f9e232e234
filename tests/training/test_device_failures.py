"""What a device cannot do is one line, and the last checkpoint is kept."""

import numpy as np
import pytest
import tensorflow as tf

from tests.training.conftest import tiny_experiment
from trivd_tf.base.errors import RunError
from trivd_tf.experiment import TrainingOptions
from trivd_tf.training import loop as training_loop
from trivd_tf.training.checkpoints import checkpoint_paths
from trivd_tf.training.distribution.devices import graph_optimizers, reporting_device_failures

BY_BFC = tf.errors.ResourceExhaustedError(
    None,
    None,
    "OOM when allocating tensor with shape[512,64,64,96] on GPU:0 by allocator GPU_0_bfc",
)
BY_XLA = tf.errors.InternalError(None, None, "RESOURCE_EXHAUSTED: Out of memory while trying ...")


class FailingLoop:
    """Stands for the compiled loop: one step that works, then no memory."""

    times_traced, tracing_seconds = 1, 0.0

    def __init__(self, step, strategy, counters):
        self.counters = counters
        self.names = [*step.discriminator_metrics, *step.generator_metrics]

    def __call__(self, iterator, count):
        if int(self.counters.step):
            raise BY_BFC
        self.counters.step.assign_add(count)
        return {name: np.zeros(count) for name in self.names}


def test_training_out_of_memory_keeps_the_last_checkpoint(monkeypatch, tmp_path):
    monkeypatch.setattr(training_loop, "CompiledLoop", FailingLoop)
    made = tiny_experiment(checkpoint_every_steps=1, batch_size=6)
    with pytest.raises(RunError) as caught:
        training_loop.train(made, model_dir=tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert "after step 1, with batch_size 6" in message
    assert "TrainingOptions.recompute = True, a smaller TrainingOptions.batch_size or" in message
    (kept,) = checkpoint_paths(tmp_path / "checkpoints")
    assert kept.endswith("ckpt-1")


@pytest.mark.parametrize("error", [BY_BFC, BY_XLA])
def test_recomputation_that_is_on_is_not_proposed(error):
    options = TrainingOptions(batch_size=4, recompute=True)
    with (
        pytest.raises(RunError, match=r"use a smaller TrainingOptions\.batch_size or a smaller"),
        reporting_device_failures(options, lambda: 3),
    ):
        raise error


NO_LIBDEVICE = tf.errors.InternalError(None, None, "\nlibdevice not found at ./libdevice.10.bc\nx")


def test_what_xla_cannot_compile_names_the_way_without():
    with (
        pytest.raises(RunError, match=r"libdevice not found.*jit_compile = False") as caught,
        reporting_device_failures(TrainingOptions(), lambda: 0, jit_compile=True),
    ):
        raise NO_LIBDEVICE
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error", [NO_LIBDEVICE, tf.errors.InternalError(None, None, "cuDNN launch failure")]
)
def test_other_errors_stay_what_they_are(error):
    with (
        pytest.raises(tf.errors.InternalError),
        reporting_device_failures(
            TrainingOptions(), lambda: 3, jit_compile=error is not NO_LIBDEVICE
        ),
    ):
        raise error


def test_graph_optimizers_are_left_out_on_cpus_alone():
    def are_left_out():
        return tf.config.optimizer.get_experimental_options()["disable_meta_optimizer"]

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
    with graph_optimizers("GPU"):
        assert not are_left_out()
    with graph_optimizers("CPU"):
        assert are_left_out()
    assert not are_left_out()
