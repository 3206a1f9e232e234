"""The programs of a TPU replica, written as StableHLO on a machine without a TPU.

The training loop passes each update to `strategy.run` separately, so TPUStrategy compiles two
programs for a train step (`training.replica_programs`, with the same precision and determinism):

    discriminators   one update of all discriminators; runs `discriminator_steps` times per step
    generator        one update of generator and encoder, and of the weight average; once per step

`prediction` is the generator's forward pass with standing statistics, as in an exported model and
in evaluation. Two things differ from the running job: the batch is an argument instead of host
input, and metrics are summed over replicas in one all-reduce.
"""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from trivd_tf.base.pixels import float_tensor
from trivd_tf.compilation.one_replica import OneReplicaStrategy
from trivd_tf.experiment import Experiment
from trivd_tf.training.distribution.devices import set_determinism
from trivd_tf.training.loop import build_step
from trivd_tf.training.replica_programs import ReplicaPrograms

TRAINING_PROGRAMS = ("discriminators", "generator")
PROGRAMS = (*TRAINING_PROGRAMS, "prediction")

# A function that runs in a replica, and its arguments.
_Traced = tuple[Callable[..., Any], tuple[Any, ...]]


@dataclasses.dataclass(frozen=True)
class Emitted:
    """One program, written to a file.

    Attributes:
        path: file with the serialized StableHLO.
        digest: digest of its text.
        runs_a_step: number of runs per train step; 0 for the prediction.
        resident_bytes: bytes of the job's variables that are not arguments of this program, but
            occupy memory beside it.
    """

    path: Path
    digest: str
    runs_a_step: int
    resident_bytes: int


class Emitter:
    """Builds a job's networks and optimizers once, and writes its programs.

    Args:
        experiment: the experiment, with the global batch size.
        num_replicas: replicas of the synchronous job.
    """

    def __init__(self, experiment: Experiment, num_replicas: int):
        set_determinism(experiment.training, "TPU")
        self._strategy = OneReplicaStrategy(num_replicas)
        self._step = build_step(experiment, self._strategy, seed=0, device_kind="TPU")
        self._programs = ReplicaPrograms(self._step)
        self._clip = experiment.clip

    def emit(self, name: str, folder: Path) -> Emitted:
        """Trace the program `name`, one of `PROGRAMS`, and write it into `folder`."""
        function, arguments = self._traced(name)
        compiled = tf.function(
            lambda *given: self._strategy.run(function, args=given),
            jit_compile=True,
            autograph=False,
        )
        text = compiled.experimental_get_compiler_ir(*arguments)(stage="stablehlo_serialized")
        path = folder / f"{name}.stablehlo"
        path.write_bytes(text)
        taken = {
            id(handle) for handle in compiled.get_concrete_function(*arguments).captured_inputs
        }
        runs = {"discriminators": self._step.options.discriminator_steps, "generator": 1}
        return Emitted(
            path=path,
            digest=hashlib.sha256(text).hexdigest()[:16],
            runs_a_step=runs.get(name, 0),
            resident_bytes=0 if name == "prediction" else self._bytes_besides(taken),
        )

    def _traced(self, name: str) -> _Traced:
        batch, frame = self._step.replica_batch_size, (self._clip.height, self._clip.width, 3)
        batch_and_step = (
            tf.TensorSpec((batch, self._clip.num_frames, *frame), tf.uint8),
            tf.TensorSpec((batch,), tf.int32),
            tf.TensorSpec((), tf.int64),
        )
        if name == "discriminators":
            update = tf.TensorSpec((), tf.int32)
            return _summed(self._programs.discriminators), (*batch_and_step, update)
        if name == "generator":
            return _summed(self._programs.generator), batch_and_step
        given = (batch, self._clip.num_conditioning_frames, *frame)
        z = tf.TensorSpec((batch, self._step.generator.latent_size), tf.float32)
        return self._predict, (tf.TensorSpec(given, tf.uint8), z)

    def _predict(self, conditioning: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        return self._step.generator(float_tensor(conditioning), z, training=False)

    def _bytes_besides(self, taken: set[int]) -> int:
        step = self._step
        models = [step.generator, *step.discriminators]
        owners = [*models, step.generator_optimizer, step.discriminator_optimizer]
        variables = [variable.value for owner in owners for variable in owner.variables]
        # A network may list a variable twice.
        left = {
            id(variable.handle): variable.shape.num_elements() * variable.dtype.size
            for variable in [*variables, *step.average.averages]
        }
        return sum(size for handle, size in left.items() if handle not in taken)


def _summed(program: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """Return `program` with its metrics summed over replicas."""

    def run(video: tf.Tensor, label: tf.Tensor, *numbers: tf.Tensor) -> tf.Tensor:
        metrics = program({"video": video, "label": label}, *numbers)
        return tf.distribute.get_replica_context().all_reduce("sum", metrics)

    return run
