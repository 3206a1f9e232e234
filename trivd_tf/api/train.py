"""Implements `trivd_tf.train`."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from trivd_tf.base import model_files
from trivd_tf.base.errors import InputError
from trivd_tf.base.lock import directory_lock
from trivd_tf.base.storage import RemotePath, RunName, RunPath, is_address, run_folder
from trivd_tf.config.written import experiment_text
from trivd_tf.data import ClipSource, DatasetClips
from trivd_tf.evaluation import TrainingScore
from trivd_tf.experiment import Experiment
from trivd_tf.runs import record, resume
from trivd_tf.runs.run_start import RunStart
from trivd_tf.runs.start import Start
from trivd_tf.runs.weights import evaluation_generator
from trivd_tf.training import LoopResult, loop
from trivd_tf.training.distribution.strategy import replica_batch_size
from trivd_tf.training.distribution.workers import Workers
from trivd_tf.training.loop import Stop


def train(
    experiment: Experiment,
    *,
    model_dir: RunName,
    dataset: tf.data.Dataset | ClipSource | None = None,
    test_dataset: tf.data.Dataset | None = None,
    class_names: Sequence[str] = (),
    start_from: str | None = None,
    seed: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
    stop: Stop | None = None,
    on_loop: Callable[[int, float], None] | None = None,
) -> LoopResult:
    """Trains a model, or resumes the run in `model_dir`, as `trivd train` does.

    The configuration (`config.gin`) and the record of the run (`run.json`) are written to
    `model_dir`, so that `trivd evaluate`, `export`, `predict`, `describe` and `train`, as well as
    `trivd_tf.load`, can open it afterwards.

    Args:
        experiment: the model, the clips, and the training and evaluation options.
        model_dir: a new folder, the folder of a run to resume, or an address (`gs://bucket/run`).
        dataset: training clips that replace `experiment.data`: a data source of `trivd_tf.data`,
            or any tf.data.Dataset of clips `[T, H, W, 3]` or batches of them, uint8 or floats in
            [-1, 1], with or without labels (`trivd_tf.data.DatasetClips` lists the forms).
        test_dataset: a finite dataset of clips to score on, in the same form; without it,
            TensorBoard shows training clips, and only the "train" split can be scored.
        class_names: names of the labels of `dataset`, for a class-conditional model.
        start_from: initialize a new run from another model directory or export with the same
            networks, or from a model included in the package (`small`).
        seed: seed of weights, data order and latents; defaults to the seed of the resumed run, or
            to 0 for a new one.
        strategy: distribution strategy; defaults to one device. With several workers, every worker
            calls this function.
        stop: an object with `is_set()`, such as a `threading.Event`, checked between compiled
            loops; once it is set, the run is saved and ends. (KeyboardInterrupt ends the run at its
            newest checkpoint.)
        on_loop: called with the number of steps and the seconds of every compiled loop; the first
            call includes the compilation time.

    Returns:
        `step`, the total number of generator updates, and `was_stopped`.

    Raises:
        InputError: clips have the wrong shape, type or range; `config.gin` cannot express the
            experiment; or `model_dir` holds another model.
        RunError: the disk is full, a loss is not finite, or a worker is lost.

    Example:
        >>> experiment = Experiment(
        ...     clip=data.ClipSpec(num_conditioning_frames=2, num_predicted_frames=3, size=32),
        ...     data=data.DatasetClips(),
        ...     generator=models.generator(channel_multiplier=16, recurrent_unit="tsru_p"),
        ...     discriminators=models.discriminators(channel_multiplier=16),
        ...     training=TrainingOptions(batch_size=8, num_steps=1000),
        ...     evaluation=EvaluationOptions(),
        ... )
        >>> trivd_tf.train(experiment, model_dir="runs/mine", dataset=clips)
        LoopResult(step=1000, was_stopped=False)
    """
    _check_arguments(experiment, model_dir, class_names, start_from, seed, strategy, stop)
    model_dir = run_folder(model_dir)
    experiment = _with_dataset(experiment, dataset, test_dataset, class_names)
    text = experiment_text(experiment)
    strategy = strategy or tf.distribute.get_strategy()
    resumes = model_files.has_checkpoint(model_dir)
    if resumes:
        seed = record.choose_seed(model_dir, seed)
        resume.changes_of_run(model_dir, text)  # refuses another model
        experiment = record.with_classes(experiment, model_dir)
    seed = seed or 0
    start = None
    if start_from is not None and not resumes:
        start = Start(os.fspath(start_from), text, report=lambda line: print(line, file=sys.stderr))
    # Prepare the data before anything is written: wrong data must not leave a run directory.
    experiment.data.prepare(experiment.clip)
    names = record.class_names_of(experiment)
    replica_batch_size(strategy, experiment.training.batch_size)
    score = _score(experiment, model_dir, strategy, stop, resume=resumes)
    beginning = RunStart(
        text,
        experiment,
        model_dir,
        seed=seed,
        class_names=names,
        resume=resumes,
        argv=["trivd_tf.train"],
    )
    is_chief = Workers(strategy).is_chief
    with contextlib.ExitStack() as held:
        if is_chief:
            held.enter_context(directory_lock(model_dir, "trivd_tf.train"))
            beginning.check(restart=False)
        result = loop.train(
            experiment,
            model_dir=model_dir,
            seed=seed,
            strategy=strategy,
            stop=stop,
            on_score=score,
            on_loop=on_loop,
            start=start,
            on_begin=beginning.begin if is_chief else None,
        )
        if is_chief:
            _keep_evaluation_weights(experiment, model_dir)
    return result


def _check_arguments(
    experiment: object,
    model_dir: object,
    class_names: object,
    start_from: object,
    seed: object,
    strategy: object,
    stop: object,
) -> None:
    """Raises InputError for arguments of a wrong type, before they fail later."""
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    wanted = {
        "experiment": ("a trivd_tf.Experiment", isinstance(experiment, Experiment), experiment),
        "model_dir": (
            "a path or an address",
            isinstance(model_dir, str | os.PathLike | RemotePath),
            model_dir,
        ),
        "class_names": (
            "a sequence of names",
            isinstance(class_names, Sequence) and not isinstance(class_names, str),
            class_names,
        ),
        "start_from": (
            "a path or the name of a model that comes with the package",
            start_from is None or isinstance(start_from, str | os.PathLike),
            start_from,
        ),
        "seed": ("a whole number", seed is None or whole, seed),
        "strategy": (
            "a tf.distribute.Strategy",
            strategy is None or isinstance(strategy, tf.distribute.Strategy),
            strategy,
        ),
        "stop": ("an object with is_set()", stop is None or hasattr(stop, "is_set"), stop),
    }
    for name, (what, fits, value) in wanted.items():
        if not fits:
            raise InputError(f"{name} must be {what}; received {value!r:.60}")


def _with_dataset(
    experiment: Experiment,
    dataset: tf.data.Dataset | ClipSource | None,
    test_dataset: tf.data.Dataset | None,
    class_names: Sequence[str],
) -> Experiment:
    if dataset is None or isinstance(dataset, ClipSource):
        if test_dataset is not None or class_names:
            raise InputError(
                "test_dataset and class_names belong to a dataset that is a tf.data.Dataset; "
                f"received {type(dataset).__name__}: use trivd_tf.data.DatasetClips, or leave them "
                "out"
            )
        return experiment if dataset is None else dataclasses.replace(experiment, data=dataset)
    own = experiment.data
    name = own.name if isinstance(own, DatasetClips) else "dataset"
    source = DatasetClips(dataset, test_dataset, name=name, class_names=tuple(class_names))
    return dataclasses.replace(experiment, data=source)


def _score(
    experiment: Experiment,
    model_dir: RunPath,
    strategy: tf.distribute.Strategy,
    stop: Stop | None,
    *,
    resume: bool,
) -> TrainingScore | None:
    """Returns the score that selects the best model, or None if scoring is off."""
    if experiment.training.evaluate_every_steps and is_address(model_dir):
        raise InputError(
            f"{model_dir}: the best model is kept on this machine only; use "
            "TrainingOptions(evaluate_every_steps=0), or a local folder"
        )
    return TrainingScore.where_possible(
        experiment,
        str(model_dir),
        resume=resume,
        report=lambda line: print(line, file=sys.stderr),
        strategy=strategy,
        should_stop=stop.is_set if stop is not None else (lambda: False),
    )


def _keep_evaluation_weights(experiment: Experiment, model_dir: RunPath) -> None:
    """Estimates standing statistics now if no later process will have the training clips."""
    if isinstance(experiment.data, DatasetClips) and not is_address(model_dir):
        evaluation_generator(experiment, str(model_dir))
