"""Opens a model directory: its configuration, its weights and what is known of its run."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from trivd_tf.base import model_files
from trivd_tf import config
from trivd_tf.base.errors import InputError
from trivd_tf.models import Generator
from trivd_tf.runs import record
from trivd_tf.runs.weights import Step, evaluation_generator


@dataclasses.dataclass(frozen=True)
class RestoredModel:
    """A generator with averaged weights and standing statistics, and what is known of its run.

    Attributes:
        generator: with averaged weights and standing statistics.
        stride: every stride-th frame of a video was used in training.
        title: name of the experiment, for people.
        data: what it was trained on.
        labels: the class names, one where the model has the dummy class only.
        step: generator updates done.
        config: the operative gin configuration, as text.
        run: what `run.json` holds.
        scores: of the model and of what it is compared with, figures by their names, as they are
            printed; empty where it was not evaluated.
        protocol: what the scores depend on, one line.
    """

    generator: Generator
    stride: int = 1
    title: str = "TrIVD-GAN"
    data: str = "unknown"
    labels: tuple[str, ...] = ("dummy",)
    step: int = 0
    config: str = ""
    run: dict[str, Any] = dataclasses.field(default_factory=dict)
    scores: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    protocol: str = ""


def open_run(model_dir: str | os.PathLike[str], *, step: Step = None) -> RestoredModel:
    """The model that `trivd train` left in `model_dir`, as it is scored and exported.

    Args:
        model_dir: a run's directory.
        step: of the checkpoint, or "best"; the newest when left out.

    Raises:
        InputError: `model_dir` is no model directory, or holds no checkpoint that can be read.
    """
    path = Path(model_dir)
    if not path.exists():
        raise InputError(f"{path}: no such directory; give one that `trivd train` wrote")
    if not (path / model_files.CONFIG).is_file():
        raise InputError(
            f"{path}: no model directory (no {model_files.CONFIG} in it); give one that `trivd train` "
            "wrote"
        )
    experiment = record.with_classes(config.load_run(path), path)
    generator, step = evaluation_generator(experiment, path, step=step)
    scores, protocol = _scores(path / model_files.EVALUATIONS / str(step) / model_files.REPORT)
    return RestoredModel(
        generator=generator,
        stride=experiment.clip.stride,
        title=experiment.title or "TrIVD-GAN",
        data=experiment.data.name,
        labels=experiment.labels,
        step=step,
        config=(path / model_files.CONFIG).read_text(encoding="utf-8"),
        run=record.read(path) or {},
        scores=scores,
        protocol=protocol,
    )


def _scores(report: Path) -> tuple[dict[str, dict[str, str]], str]:
    """Every row's figures as printed, and the protocol; nothing where it was not evaluated."""
    try:
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, ""
    except ValueError as error:
        raise InputError(
            f"{report} is not readable JSON ({error}); delete it, or run `trivd evaluate` again"
        ) from error
    protocol = dict(found["protocol"])
    lines = [str(protocol.pop("protocol", "protocol not stated"))]
    lines += [f"{key.replace('_', ' ')}: {value}" for key, value in protocol.items()]
    lines += [f"deviation: {text}" for text in found.get("deviations", [])]
    return {row["name"]: _figures(row) for row in found["rows"]}, "; ".join(lines)


def _figures(row: dict[str, Any]) -> dict[str, str]:
    figures = {"FVD": f"{row['fvd']:.1f}"}
    if row.get("inception_score") is not None:
        figures["IS"] = f"{row['inception_score']:.2f}"
    by_frame = row.get("by_frame") or {}
    for name, title, digits in (("psnr", "PSNR dB", 2), ("ssim", "SSIM", 3)):
        if by_frame.get(name):
            mean = sum(by_frame[name]) / len(by_frame[name])
            figures[title] = f"{mean:.{digits}f}"
    return figures
