"""Opens a model directory: its configuration, its weights and the metadata of its run."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import tensorflow as tf

from trivd_tf.base import model_files
from trivd_tf import config
from trivd_tf.base.errors import InputError
from trivd_tf.experiment import Experiment
from trivd_tf.models import Generator
from trivd_tf.runs import record
from trivd_tf.runs.scores import scores_of
from trivd_tf.runs.stored_weights import WeightsKey
from trivd_tf.runs.weights import Step, evaluation_weights


@dataclasses.dataclass(frozen=True)
class RestoredModel:
    """A generator with averaged weights and standing statistics, and the metadata of its run.

    Attributes:
        generator: the generator, with averaged weights and standing statistics set.
        stride: every stride-th frame of a video was used in training.
        fps: frame rate to which videos were resampled; None if every coded frame was used.
        title: display name of the experiment.
        data: name of the training data.
        labels: the class names; a single one if the model has only the dummy class.
        step: number of generator updates done.
        config: the operative gin configuration, as text.
        run: the content of `run.json`.
        scores: scores of the model and its baselines, as printed text by metric name; empty if it
            was not evaluated.
        protocol: the evaluation protocol of the scores, in one line.
        weights: the key of these weights; None if unknown.
    """

    generator: Generator
    stride: int = 1
    fps: float | None = None
    title: str = "TrIVD-GAN"
    data: str = "unknown"
    labels: tuple[str, ...] = ("dummy",)
    step: int = 0
    config: str = ""
    run: dict[str, Any] = dataclasses.field(default_factory=dict)
    scores: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    protocol: str = ""
    weights: WeightsKey | None = None


def open_run(
    model_dir: str | os.PathLike[str],
    *,
    step: Step = None,
    experiment: Experiment | None = None,
    seed: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
    standing_batches: int | None = None,
    standing_batch_size: int | None = None,
) -> RestoredModel:
    """Restores the model of a model directory for evaluation, export or prediction.

    All commands open runs with this function: predictors through `inference.open_model`, exports
    directly.

    Args:
        model_dir: a run's directory.
        step: checkpoint step, or "best"; defaults to the newest.
        experiment: the experiment of the run; defaults to the saved configuration.
        seed: seed of the standing statistics; defaults to that of the evaluation options.
        strategy: the strategy under which the generator is created.
        standing_batches, standing_batch_size: number and size of the batches for the standing
            statistics; default to the run's configuration.

    Raises:
        InputError: `model_dir` is not a model directory, or holds no readable checkpoint.
    """
    path = Path(model_dir)
    experiment = experiment or experiment_of(path)
    if standing_batches or standing_batch_size:
        options = experiment.evaluation
        evaluation = dataclasses.replace(
            options,
            standing_batches=standing_batches or options.standing_batches,
            standing_batch_size=standing_batch_size or options.standing_batch_size,
        )
        experiment = dataclasses.replace(experiment, evaluation=evaluation)
    generator, weights = evaluation_weights(
        experiment, path, step=step, seed=seed, strategy=strategy
    )
    report = path / model_files.EVALUATIONS / str(weights.step) / model_files.REPORT
    scores, protocol = scores_of(report, weights)
    saved = path / model_files.CONFIG
    return RestoredModel(
        generator=generator,
        stride=experiment.clip.stride,
        fps=experiment.clip.fps,
        title=experiment.title or "TrIVD-GAN",
        data=experiment.data.name,
        labels=experiment.labels,
        step=weights.step,
        config=saved.read_text(encoding="utf-8") if saved.is_file() else "",
        run=record.read(path) or {},
        scores=scores,
        protocol=protocol,
        weights=weights,
    )


def experiment_of(model_dir: str | os.PathLike[str]) -> Experiment:
    """Returns the experiment of a model directory, from its configuration and record.

    Raises:
        InputError: `model_dir` is not a model directory.
    """
    path = Path(model_dir)
    if not path.exists():
        raise InputError(f"{path}: no such directory; give one that `trivd train` wrote")
    if not model_files.is_model_dir(path):
        raise InputError(
            f"{path}: not a model directory (no {model_files.CONFIG} in it); give one that "
            "`trivd train` wrote"
        )
    return record.with_classes(config.load_run(path), path)
