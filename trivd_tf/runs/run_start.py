"""Checks a model directory when a run starts, and writes its configuration and record.

Nothing in the directory changes until the first step is about to be trained: a command that finds a
finished run, or is refused, leaves the configuration and the record unchanged.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from trivd_tf.base import model_files
from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import RunPath, write_whole
from trivd_tf.experiment import Experiment
from trivd_tf.runs import directory_state, record
from trivd_tf.runs.directory_state import DataState
from trivd_tf.runs.resume import changes_of_run

_CONFIG_BEGINS = "# The operative configuration of this run"
_PRECISION = "trivd_tf.training.TrainingOptions.precision"


class RunStart:
    """The start of a run in a model directory.

    Args:
        text: the operative configuration.
        experiment: the experiment built from `text`.
        model_dir: the run's directory.
        seed: seed of the run.
        class_names: names of the model's labels, if it takes any.
        resume: whether there is a checkpoint to resume from.
        argv: the command to record; defaults to that of this process.
    """

    def __init__(
        self,
        text: str,
        experiment: Experiment,
        model_dir: RunPath,
        *,
        seed: int,
        class_names: Sequence[str],
        resume: bool,
        argv: list[str] | None = None,
    ) -> None:
        self._argv = argv
        self._text = text
        self._experiment = experiment
        self._model_dir = model_dir
        self._seed = seed
        self._class_names = class_names
        self._resume = resume
        self.has_begun = False

    def check(self, *, restart: bool) -> None:
        """Raises InputError if the files of this run would mix with those of another.

        Args:
            restart: move the files of an earlier run aside instead.

        Raises:
            InputError: the directory holds leftovers of another run, files that `trivd train` did
                not write, or a finished run of another precision.
        """
        if restart:
            self._refuse_foreign()
            moved = directory_state.set_aside(self._model_dir)
            if moved is not None:
                print(f"trivd: the earlier run was moved to {moved}", file=sys.stderr)
        elif self._resume:
            self._refuse_another_precision(directory_state.reached_step(self._model_dir))
        else:
            self._refuse_foreign()
            directory_state.refuse_leftovers(self._model_dir, is_same_run=self._is_same_run())

    def begin(self, step: int) -> None:
        """Reports changes since the last start, and writes the configuration and the record."""
        self.has_begun = True
        saved = self._model_dir / model_files.CONFIG
        if self._resume and saved.is_file():
            for line in changes_of_run(self._model_dir, self._text).values():
                print(f"trivd: changed: {line}", file=sys.stderr)
            before_text = saved.read_text(encoding="utf-8")
            if before_text != self._text:
                kept = self._model_dir / f"config_until_step_{step}.gin"
                if not kept.exists():
                    write_whole(kept, before_text)
        now = DataState.of(self._experiment)
        before = DataState.read(self._model_dir) if self._resume else None
        changes = now.changes_since(before) if before else []
        if changes:
            print(
                f"trivd: the data changed since this run was last trained: {'; '.join(changes)}",
                file=sys.stderr,
            )
        record.write(
            self._model_dir,
            seed=self._seed,
            class_names=self._class_names,
            data=record.data_of(self._experiment),
            data_changes=changes,
            argv=self._argv,
            resume=self._resume,
        )
        now.write(self._model_dir)
        write_whole(saved, self._text)

    def _refuse_foreign(self) -> None:
        """Raises InputError if the run would replace files that `trivd train` did not write."""
        config = self._model_dir / model_files.CONFIG
        if config.is_file():
            text = config.read_text(encoding="utf-8")
            if not text.startswith(_CONFIG_BEGINS):
                raise InputError(
                    f"{config} was not written by `trivd train`, which would replace it; choose "
                    "another --model_dir"
                )
        path = self._model_dir / model_files.RECORD
        if path.is_file() and "argv" not in (record.read(self._model_dir) or {}):
            raise InputError(
                f"{path} was not written by `trivd train`, which would replace it; choose another "
                "--model_dir"
            )

    def _is_same_run(self) -> bool:
        """Returns whether the recorded start had the same seed and configuration."""
        saved = self._model_dir / model_files.CONFIG
        return (
            saved.is_file()
            and (record.read(self._model_dir) or {}).get("seed") == self._seed
            and saved.read_text(encoding="utf-8") == self._text
        )

    def _refuse_another_precision(self, reached: int) -> None:
        saved = self._model_dir / model_files.CONFIG
        if reached < self._experiment.training.num_steps or not saved.is_file():
            return
        changed = changes_of_run(self._model_dir, self._text).get(_PRECISION)
        if changed:
            raise InputError(
                f"{self._model_dir} is a finished run: {changed}; leave that as it was, or choose "
                "another --model_dir"
            )


def nothing_to_do(model_dir: RunPath, step: int, num_steps: int) -> str:
    """Returns the message for a run that has already reached its last step."""
    if step == num_steps:
        return f"already at step {step} of {num_steps}, nothing to do: {model_dir}"
    return (
        f"already at step {step}, beyond num_steps = {num_steps}, nothing to do: {model_dir} (bind "
        f"training.TrainingOptions.num_steps to more than {step} to train further)"
    )
