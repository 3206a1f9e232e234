"""State of a model directory at the start of a run: leftovers of other runs, changed data."""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import Any

from trivd_tf.base import model_files
from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import RemotePath, RunName, RunPath, run_folder, write_whole
from trivd_tf.experiment import Experiment
from trivd_tf.training.checkpoints import checkpoint_paths

# Derived from checkpoints: without a checkpoint, they belong to another run.
_MADE_FROM_CHECKPOINTS = (
    model_files.BEST_RECORD,
    model_files.BEST,
    model_files.EVALUATION_WEIGHTS,
    model_files.EVALUATIONS,
    "unfinished_training_score",
    "result.json",
    "samples.npz",
)
_LOGS = (model_files.LOSSES, model_files.TENSORBOARD, "training_seconds.jsonl")
_RECORDS = (model_files.CONFIG, model_files.RECORD, model_files.DATA)
_EARLIER = "earlier"


def reached_step(model_dir: RunName) -> int:
    """Returns the step of the newest checkpoint; 0 without a checkpoint."""
    paths = checkpoint_paths(run_folder(model_dir) / model_files.CHECKPOINTS)
    return int(paths[-1].rpartition("-")[2]) if paths else 0


def leftovers(model_dir: RunName, *, is_same_run: bool) -> list[str]:
    """Lists files of an earlier run in a directory without checkpoints.

    Args:
        model_dir: the directory, which need not exist.
        is_same_run: whether seed and configuration match the start recorded there. That start then
            ended before its first checkpoint, and its log belongs to the run that begins.
    """
    folder = run_folder(model_dir)
    names = list(_MADE_FROM_CHECKPOINTS)
    if not is_same_run:
        names += _LOGS[:1]
    found = [name for name in names if (folder / name).exists()]
    return [name for name in found if name != model_files.LOSSES or _has_lines(folder / name)]


def refuse_leftovers(model_dir: RunName, *, is_same_run: bool) -> None:
    """Raises InputError if a new run would begin among the results of another."""
    found = leftovers(model_dir, is_same_run=is_same_run)
    if found:
        raise InputError(
            f"{model_dir} holds no checkpoint, but results of an earlier run ({', '.join(found)}), "
            "which would pass for those of the new one; choose another --model_dir, or give "
            "--restart to move them aside"
        )


def set_aside(model_dir: RunName) -> RunPath | None:
    """Moves all files of a run to `earlier/<time>` inside its directory.

    Other files in the directory stay in place.

    Returns:
        The new folder; None if there was nothing to move.

    Raises:
        InputError: the directory is in an object store, where folders cannot be moved atomically.
    """
    folder = run_folder(model_dir)
    names = (*_RECORDS, *_LOGS, *_MADE_FROM_CHECKPOINTS, model_files.CHECKPOINTS)
    found = [name for name in names if (folder / name).exists()]
    if not found:
        return None
    if isinstance(folder, RemotePath):
        raise InputError(
            f"{model_dir}: --restart moves files of this machine only; move the earlier run, for "
            "example with `gcloud storage mv`"
        )
    now = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    target, number = folder / _EARLIER / now, 1
    while target.exists():
        number += 1
        target = folder / _EARLIER / f"{now}-{number}"
    target.mkdir(parents=True)
    for name in found:
        (folder / name).rename(target / name)
    return target


def _has_lines(path: RunPath) -> bool:
    return bool(path.read_text(encoding="utf-8").strip())


@dataclasses.dataclass(frozen=True)
class DataState:
    """State of a run's data, compared at its next start.

    Attributes:
        name: name of the data source.
        fingerprints: fingerprint of each split.
        files: identifier of each file's content, by name; empty if the source lists no files.
    """

    name: str
    fingerprints: dict[str, str]
    files: dict[str, str]

    @classmethod
    def of(cls, experiment: Experiment) -> DataState:
        """Returns the current state; call after `data.prepare`."""
        data, clip = experiment.data, experiment.clip
        prints = {split: data.fingerprint(clip, split) for split in ("train", "test")}
        return cls(data.name, prints, data.inventory(clip))

    @classmethod
    def read(cls, model_dir: RunName) -> DataState | None:
        """Reads `data.json` in a model directory; None if it is missing or damaged."""
        try:
            text = (run_folder(model_dir) / model_files.DATA).read_text(encoding="utf-8")
            content: dict[str, Any] = json.loads(text)
            return cls(content["name"], dict(content["fingerprints"]), dict(content["files"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write(self, model_dir: RunName) -> None:
        """Writes `data.json`."""
        text = json.dumps(dataclasses.asdict(self), indent=0) + "\n"
        write_whole(run_folder(model_dir) / model_files.DATA, text)

    def changes_since(self, before: DataState) -> list[str]:
        """Returns short descriptions of the differences; empty if there are none."""
        if self.name != before.name:
            return [f"the source was {before.name} and is now {self.name}"]
        if self.fingerprints == before.fingerprints:
            return []
        old, new = before.files, self.files
        kinds = {
            "added": sorted(set(new) - set(old)),
            "removed": sorted(set(old) - set(new)),
            "edited": sorted(name for name in set(old) & set(new) if old[name] != new[name]),
        }
        found = [f"{len(names)} {kind} ({_few(names)})" for kind, names in kinds.items() if names]
        splits = [name for name, text in self.fingerprints.items()
                  if text != before.fingerprints.get(name)]  # fmt: skip
        return found or [f"other {' and '.join(splits)} clips"]


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")

