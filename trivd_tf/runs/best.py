"""The `best` model: the checkpoint with the best score on the training set (section 6).

`MODEL_DIR/best/` holds a copy of its files that `keep_checkpoints` does not delete, and
`MODEL_DIR/best.json` holds the scores of all scored steps. `best.json` is written last and
atomically, so that it always names an existing checkpoint.
"""

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import shutil
from typing import Any

from trivd_tf.base import model_files
from trivd_tf.base.errors import InputError, RunError
from trivd_tf.base.storage import RUN_AGAIN, whole_file, write_whole
from trivd_tf.runs.stored_weights import file_digest


@dataclasses.dataclass(frozen=True)
class StepScore:
    """Score of one step; lower FVD is better.

    Attributes:
        step: number of generator updates done.
        fvd, inception_score: scores on the training set.
        checkpoint: `file_digest` of the scored checkpoint's index; empty in records of earlier
            versions.
    """

    step: int
    fvd: float
    inception_score: float
    checkpoint: str = ""


@dataclasses.dataclass(frozen=True)
class BestRecord:
    """Content of `best.json`.

    Attributes:
        protocol: the evaluation protocol of the scores.
        scores: scores of all scored steps, in order of steps.
    """

    protocol: dict[str, Any]
    scores: tuple[StepScore, ...] = ()

    @property
    def best(self) -> StepScore | None:
        """The score with the lowest FVD; the earlier step on ties."""
        finite = [score for score in self.scores if math.isfinite(score.fvd)]
        return min(finite, key=lambda score: (score.fvd, score.step), default=None)

    def with_score(self, score: StepScore) -> "BestRecord":
        """Returns a record with `score` added; it replaces an earlier score of the same step."""
        others = [old for old in self.scores if old.step != score.step]
        ordered = sorted([*others, score], key=lambda one: one.step)
        return dataclasses.replace(self, scores=tuple(ordered))


def read_best(model_dir: str | pathlib.Path) -> BestRecord | None:
    """Reads `best.json` of a model directory; None if no step was scored.

    Raises:
        InputError: the file is damaged.
    """
    path = pathlib.Path(model_dir) / model_files.BEST_RECORD
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        scores = tuple(StepScore(**score) for score in stored["scores"])
        return BestRecord(stored["protocol"], scores)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not readable ({error}); delete it to continue") from error


def best_checkpoint(model_dir: str | pathlib.Path) -> tuple[str, int]:
    """Returns prefix and step of the best checkpoint.

    Raises:
        InputError: no step was scored, or the checkpoint's files are missing.
    """
    record = read_best(model_dir)
    best = record.best if record else None
    if best is None:
        raise InputError(
            f"{model_dir} holds no best model: none of its steps was scored while it trained; bind "
            "training.TrainingOptions.evaluate_every_steps, or name a step"
        )
    for prefix in kept_checkpoints(model_dir):
        if prefix.endswith(f"-{best.step}") and is_of(best, prefix):
            return prefix, best.step
    raise InputError(
        f"{model_dir}/{model_files.BEST} lacks the checkpoint of step {best.step} that {model_files.BEST_RECORD} names; "
        "name another step"
    )


def is_of(score: StepScore, checkpoint: str) -> bool:
    """Returns whether `score` belongs to this checkpoint, not to another of the same step."""
    return score.checkpoint in ("", file_digest(pathlib.Path(f"{checkpoint}.index")))


def kept_checkpoints(model_dir: str | pathlib.Path) -> list[str]:
    """Returns the prefixes of the checkpoints in `best/`: one, or two after an interrupted run."""
    folder = pathlib.Path(model_dir) / model_files.BEST
    return [str(index.with_suffix("")) for index in sorted(folder.glob("*.index"))]


def record_score(
    model_dir: str | pathlib.Path, checkpoint: str, record: BestRecord, score: StepScore
) -> BestRecord:
    """Adds a score, and copies its checkpoint to `best/` if it is the best so far.

    Args:
        model_dir: a run's directory.
        checkpoint: prefix of the scored checkpoint.
        record: the record before this score.
        score: score of the checkpoint.

    Returns:
        The record with the score added, as stored.

    Raises:
        RunError: the disk is full or not writable; the previous best model stays in place.
    """
    model_dir = pathlib.Path(model_dir)
    updated = record.with_score(score)
    is_best = updated.best == score
    try:
        if is_best:
            _copy(checkpoint, model_dir / model_files.BEST)
        _write(model_dir / model_files.BEST_RECORD, updated)
        if is_best:
            _remove_others(model_dir / model_files.BEST, pathlib.Path(checkpoint).name)
    except OSError as error:
        raise RunError(
            f"cannot keep the best model in {model_dir} ({error.strerror}); {RUN_AGAIN}"
        ) from error
    return updated


def _copy(checkpoint: str, folder: pathlib.Path) -> None:
    """Links or copies the files of a checkpoint; the index, which makes it valid, comes last."""
    source = pathlib.Path(checkpoint)
    files = sorted(source.parent.glob(f"{source.name}.data-*"))
    for file in [*files, source.with_name(f"{source.name}.index")]:
        with whole_file(folder / file.name, advice=RUN_AGAIN) as partial:
            try:
                os.link(file, partial)
            except OSError:  # another file system, or one without hard links
                shutil.copyfile(file, partial)


def _remove_others(folder: pathlib.Path, name: str) -> None:
    for file in folder.iterdir():
        if not file.name.startswith(f"{name}."):
            with contextlib.suppress(FileNotFoundError):
                file.unlink()


def _write(path: pathlib.Path, record: BestRecord) -> None:
    best = record.best
    content = {
        "best_step": best.step if best else None,
        "protocol": record.protocol,
        "scores": [dataclasses.asdict(score) for score in record.scores],
    }
    write_whole(path, json.dumps(content, indent=1) + "\n", advice=RUN_AGAIN)
