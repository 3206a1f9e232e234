"""Opens a model directory: its configuration, its weights and what is known of its run."""

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
    """A generator with averaged weights and standing statistics, and what is known of its run.

    Attributes:
        generator: with averaged weights and standing statistics.
        stride: every stride-th frame of a video was used in training.
        fps: frames a second that videos were brought to; None took every coded frame.
        title: name of the experiment, for people.
        data: what it was trained on.
        labels: the class names, one where the model has the dummy class only.
        step: generator updates done.
        config: the operative gin configuration, as text.
        run: what `run.json` holds.
        scores: of the model and of what it is compared with, figures by their names, as they are
            printed; empty where it was not evaluated.
        protocol: what the scores depend on, one line.
        weights: what these weights depend on; None where that is not known.
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
    """The model in a model directory, as it is scored, exported and predicted with.

    Every command opens runs here: predictors through `inference.open_model`, exports directly.

    Args:
        model_dir: a run's directory.
        step: of the checkpoint, or "best"; the newest when left out.
        experiment: what it is a run of; its saved configuration says when left out.
        seed: of the standing statistics; that of the evaluation options when left out.
        strategy: under which the generator is made.
        standing_batches, standing_batch_size: how the standing statistics were or are to be
            estimated; as the run's configuration says when left out.

    Raises:
        InputError: `model_dir` is no model directory, or holds no checkpoint that can be read.
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
    """What a model directory is a run of, from the configuration and the record that it holds.

    Raises:
        InputError: `model_dir` is no model directory.
    """
    path = Path(model_dir)
    if not path.exists():
        raise InputError(f"{path}: no such directory; give one that `trivd train` wrote")
    if not model_files.is_model_dir(path):
        raise InputError(
            f"{path}: no model directory (no {model_files.CONFIG} in it); give one that "
            "`trivd train` wrote"
        )
    return record.with_classes(config.load_run(path), path)
