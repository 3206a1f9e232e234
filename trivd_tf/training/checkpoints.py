"""Checkpoints of everything a run needs to resume as if it had not been interrupted."""

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
    """Where the run stands: generator updates done, and clips of the stream used."""

    def __init__(self) -> None:
        super().__init__(name="counters")
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.clips = tf.Variable(0, dtype=tf.int64, trainable=False, name="clips")


def network_variables(step: GanStep) -> dict[str, tf.Variable]:
    """Weights, spectral vectors and averages, without the optimisers, by their names in a
    checkpoint."""
    state = _network_state(step) | _average_state(step.average.averages)
    return {name: value for name, value in state.items() if "optimizer/" not in name}


def _network_state(step: GanStep) -> dict[str, tf.Variable]:
    """Every variable of networks and optimisers under a name that says what it is."""
    state = {}
    owners = {"generator": step.generator, "generator_optimizer": step.generator_optimizer}
    owners["discriminator_optimizer"] = step.discriminator_optimizer
    owners |= {model.name: model for model in step.discriminators}
    for name, owner in owners.items():
        for index, variable in enumerate(owner.variables):
            # Not the path: Keras numbers unnamed layers by what the process built before.
            state[f"{name}/{index:04d}/{_stable_name(variable.name, step)}"] = variable.value
    return state


def _stable_name(name: str, step: GanStep) -> str:
    """The name that a variable has in a process that builds this model first.

    An optimizer's variables are named after the path of their weight, in which the recurrent units
    bear numbers: another model built before in the same process must not keep a run from resuming.
    """
    for index, stage in enumerate(step.generator.stages):
        unit = re.sub(r"_\d+$", "", stage.cell.name)
        first = unit if index == 0 else f"{unit}_{index}"
        name = name.replace(f"_{stage.name}_{stage.cell.name}_", f"_{stage.name}_{first}_")
    return name


def _average_state(averages: list[tf.Variable]) -> dict[str, tf.Variable]:
    return {f"average/{index:04d}": variable for index, variable in enumerate(averages)}


class Checkpoints:
    """Saves and restores a run; an older checkpoint is deleted only after a newer one is complete.

    Random state and the position in the data are functions of the seed and of `counters`.

    Args:
        directory: where the files go.
        step: networks, optimisers and the average.
        counters: where the run stands.
        keep: how many checkpoints to keep.
        patience: seconds for which `save_patiently` tries again.
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
        """TensorFlow's own bookkeeping of the files."""
        if self._manager is None:
            with _disk_errors(self.directory):
                self.directory.mkdir(parents=True, exist_ok=True)
                self._manager = tf.train.CheckpointManager(
                    self._checkpoint, str(self.directory), self._keep, checkpoint_name=_NAME
                )
        return self._manager

    def save(self) -> str:
        """Writes a checkpoint of the current step.

        Raises:
            RunError: when the disk is full or cannot be written; older checkpoints stay.
        """
        step = int(self.counters.step)
        with _disk_errors(self.directory):
            path = self.manager.save(checkpoint_number=step)
        self._remove_left_over(step)
        return path

    def _remove_left_over(self, step: int) -> None:
        """What a process left that was killed while it saved: the manager does not know of it."""
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
        """As `save`, but a disk that is full or gone for a while is waited for.

        Args:
            report: gets a line at each attempt that fails.
            before: what else has to be written first, tried again likewise.

        Raises:
            RunError: when it still fails after `patience` seconds.
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
        """Goes to the newest checkpoint that is whole.

        Returns:
            The step, 0 when there is none. One that a process was still writing when it was killed
            is none.

        Raises:
            RunError: when there are checkpoints and none of them can be read.
        """
        problem = None
        for path in reversed(checkpoint_paths(self.directory)):
            try:
                self._checkpoint.restore(path).assert_existing_objects_matched()
                return int(self.counters.step)
            except (tf.errors.OpError, AssertionError, ValueError, IndexError) as error:
                # TensorFlow removes this folder last: with it, the index may be there in part.
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
            f"cannot save to {directory}: {reason} (the checkpoints saved before still load; make "
            "room or mend the rights, then run the same command again)"
        ) from error


def checkpoint_paths(directory: RunName) -> list[str]:
    """Prefixes of the checkpoints whose index was written, oldest step first."""
    found = {}
    for index in run_folder(directory).glob(f"{_NAME}-*.index"):
        prefix = str(index).removesuffix(".index")
        with contextlib.suppress(ValueError):
            found[int(prefix.rpartition("-")[2])] = prefix
    return [found[step] for step in sorted(found)]
