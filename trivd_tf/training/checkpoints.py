"""Checkpoints of the complete state that a run needs to resume exactly."""

import contextlib
import re
import time
from collections.abc import Callable, Iterator

import tensorflow as tf

from trivd_tf.base.errors import RunError
from trivd_tf.base.storage import RunName, RunPath, run_folder
from trivd_tf.training.step import GanStep

_NAME = "ckpt"


class Counters(tf.Module):
    """Progress of the run: generator updates done, and clips of the stream used."""

    def __init__(self) -> None:
        super().__init__(name="counters")
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.clips = tf.Variable(0, dtype=tf.int64, trainable=False, name="clips")


def network_variables(step: GanStep) -> dict[str, tf.Variable]:
    """Return weights, spectral vectors and averages by checkpoint name, without the optimizers."""
    state = _network_state(step) | _average_state(step.average.averages)
    return {name: value for name, value in state.items() if "optimizer/" not in name}


def _network_state(step: GanStep) -> dict[str, tf.Variable]:
    """Return every variable of the networks and optimizers under a descriptive name."""
    state = {}
    owners = {"generator": step.generator, "generator_optimizer": step.generator_optimizer}
    owners["discriminator_optimizer"] = step.discriminator_optimizer
    owners |= {model.name: model for model in step.discriminators}
    for name, owner in owners.items():
        for index, variable in enumerate(owner.variables):
            # Not the path: Keras numbers unnamed layers by the layers built before in the process.
            state[f"{name}/{index:04d}/{_stable_name(variable.name, step)}"] = variable.value
    return state


def _stable_name(name: str, step: GanStep) -> str:
    """Return the variable's name as it is in a process that builds this model first.

    An optimizer's variables are named after the path of their weight, which numbers the recurrent
    units. Building another model first in the same process must not prevent a run from resuming.
    """
    for index, stage in enumerate(step.generator.stages):
        unit = re.sub(r"_\d+$", "", stage.cell.name)
        first = unit if index == 0 else f"{unit}_{index}"
        name = name.replace(f"_{stage.name}_{stage.cell.name}_", f"_{stage.name}_{first}_")
    return name


def _average_state(averages: list[tf.Variable]) -> dict[str, tf.Variable]:
    return {f"average/{index:04d}": variable for index, variable in enumerate(averages)}


class Checkpoints:
    """Saves and restores a run; an older checkpoint is deleted only once a newer one is complete.

    Random state and the position in the data are functions of the seed and of `counters`.

    Args:
        directory: directory of the checkpoint files.
        step: networks, optimizers and weight average.
        counters: progress of the run.
        keep: number of checkpoints to keep.
        patience: seconds for which `save_patiently` retries.
    """

    def __init__(
        self,
        directory: RunName,
        step: GanStep,
        counters: Counters,
        keep: int = 3,
        patience: float = 0.0,
    ):
        self.directory = run_folder(directory)
        self.counters = counters
        variables = _network_state(step) | _average_state(step.average.averages)
        variables |= {"step": counters.step, "clips": counters.clips}
        self._checkpoint = tf.train.Checkpoint(variables=variables)
        self._keep = keep
        self._patience = patience
        self._manager: tf.train.CheckpointManager | None = None

    @property
    def manager(self) -> tf.train.CheckpointManager:
        """TensorFlow's checkpoint manager."""
        if self._manager is None:
            with _disk_errors(self.directory):
                self.directory.mkdir(parents=True, exist_ok=True)
                self._manager = tf.train.CheckpointManager(
                    self._checkpoint, str(self.directory), self._keep, checkpoint_name=_NAME
                )
        return self._manager

    def save(self) -> str:
        """Write a checkpoint of the current step.

        Raises:
            RunError: the disk is full or not writable; older checkpoints stay.
        """
        step = int(self.counters.step)
        with _disk_errors(self.directory):
            path = self.manager.save(checkpoint_number=step)
        self._remove_left_over(step)
        return path

    def _remove_left_over(self, step: int) -> None:
        """Remove files of interrupted saves, which the checkpoint manager does not know of."""
        paths = checkpoint_paths(self.directory)
        up_to_now = [path for path in paths if int(path.rpartition("-")[2]) <= step]
        for path in up_to_now[: -self._keep]:
            for file in (f"{path}.index", *tf.io.gfile.glob(f"{path}.data-*")):
                with contextlib.suppress(tf.errors.OpError):
                    tf.io.gfile.remove(file)
        for folder in tf.io.gfile.glob(f"{self.directory}/{_NAME}-*_temp"):
            with contextlib.suppress(tf.errors.OpError):
                tf.io.gfile.rmtree(folder)

    def save_patiently(
        self,
        report: Callable[[str], None],
        before: Callable[[], None] = lambda: None,
    ) -> str:
        """Save as `save` does, but retry while the disk is full or unavailable.

        Args:
            report: called with a line for each failed attempt.
            before: writes whatever must be written first; retried likewise.

        Raises:
            RunError: saving still fails after `patience` seconds.
        """
        deadline, pause = time.monotonic() + self._patience, 1.0
        while True:
            try:
                with _disk_errors(self.directory):
                    before()
                return self.save()
            except RunError as error:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
                pause = min(pause, left)
                report(f"trivd: warning: {error}; trying again in {pause:.0f} s")
                time.sleep(pause)
                pause *= 2

    def restore(self) -> int:
        """Restore the newest complete checkpoint.

        Returns:
            The step, or 0 if there is no complete checkpoint. A checkpoint whose writing was
            interrupted does not count.

        Raises:
            RunError: there are checkpoints, but none is readable.
        """
        problem = None
        for path in reversed(checkpoint_paths(self.directory)):
            try:
                self._checkpoint.restore(path).assert_existing_objects_matched()
                return int(self.counters.step)
            except (tf.errors.OpError, AssertionError, ValueError, IndexError) as error:
                # TensorFlow removes this folder last: while it exists, the index may be incomplete.
                if not tf.io.gfile.isdir(f"{path}_temp"):
                    problem = problem or f"{path}: {str(error).strip().splitlines()[0]}"
        if problem:
            raise RunError(
                f"no checkpoint in {self.directory} fits or can be read ({problem}): use another "
                "--model_dir, or the configuration that this run was started with"
            )
        return 0


@contextlib.contextmanager
def _disk_errors(directory: RunPath) -> Iterator[None]:
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise RunError(
            f"cannot save to {directory}: {reason} (earlier checkpoints are intact; free space or "
            "fix the permissions, then run the same command again)"
        ) from error


def checkpoint_paths(directory: RunName) -> list[str]:
    """Return the prefixes of the checkpoints with an index file, oldest step first."""
    found = {}
    for index in run_folder(directory).glob(f"{_NAME}-*.index"):
        prefix = str(index).removesuffix(".index")
        with contextlib.suppress(ValueError):
            found[int(prefix.rpartition("-")[2])] = prefix
    return [found[step] for step in sorted(found)]
