"""Opens a model directory: its configuration, its weights and what is known of its run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from trivd_tf import config, run_record
from trivd_tf.errors import InputError
from trivd_tf.inference.model_directory import RestoredModel
from trivd_tf.training.restore import Step, evaluation_generator


def restore(model_dir: str | os.PathLike[str], *, step: Step = None) -> RestoredModel:
    """The model that `trivd train` left in `model_dir`, as it is scored and exported.

    Args:
        model_dir: a run's directory.
        step: of the checkpoint, or "best"; the newest when left out.

    Raises:
        InputError: `model_dir` is no model directory, or holds no checkpoint that can be read.
    """
    path = Path(model_dir)
    experiment = run_record.with_classes(config.load_run(path), path)
    generator, step = evaluation_generator(experiment, path, step=step)
    scores, protocol = _scores(path / "evaluations" / str(step) / "report.json")
    return RestoredModel(
        generator=generator,
        stride=experiment.clip.stride,
        title=experiment.title or "TrIVD-GAN",
        data=experiment.data.name,
        labels=experiment.labels,
        step=step,
        config=(path / config.FILE_NAME).read_text(encoding="utf-8"),
        run=run_record.read(path) or {},
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
