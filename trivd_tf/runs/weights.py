"""The generator as it is scored and exported: averaged weights, standing statistics estimated.

These evaluation weights are kept (`stored_weights`), so that predicting and exporting need neither
the training data nor the optimisers.
"""

import contextlib
import dataclasses
import pathlib
import sys

import tensorflow as tf

from trivd_tf import config
from trivd_tf.base import model_files
from trivd_tf.base.errors import InputError
from trivd_tf.layers.spectral_norm import power_iterate
from trivd_tf.models import Generator
from trivd_tf.base.progress import Progress
from trivd_tf.runs import record as run_record
from trivd_tf.runs.best import best_checkpoint, kept_checkpoints
from trivd_tf.runs.stored_weights import StoredWeights, WeightsKey, file_digest
from trivd_tf.training.checkpoints import checkpoint_paths
from trivd_tf.training.standing_statistics import estimate_standing_statistics
from trivd_tf.experiment import Experiment

# Training moves u by one iteration an update; the average's weights are close to the newest ones,
# and a few more iterations settle u on them.
_POWER_ITERATIONS = 10

# Of a checkpoint: a number, "best" (see `training.best`), or None for the newest.
Step = int | str | None


def restore_generator(
    experiment: Experiment,
    checkpoint: str,
    strategy: tf.distribute.Strategy | None = None,
) -> Generator:
    """The averaged weights of a checkpoint in a new generator; standing statistics not estimated.

    Args:
        experiment: what the checkpoint is a run of.
        checkpoint: its prefix, from `checkpoint_paths`.
        strategy: under which the generator's variables are made.

    Raises:
        InputError: when the checkpoint is of another model, or cannot be read.
    """
    generator = _build(experiment, strategy)
    names = {
        f"average/{index:04d}": variable.value
        for index, variable in enumerate(generator.trainable_variables)
    }
    names |= {
        f"generator/{index:04d}/{variable.name}": variable.value
        for index, variable in enumerate(generator.variables)
        if variable.name == "spectral_u"
    }
    try:
        status = tf.train.Checkpoint(variables=names).restore(checkpoint)
        # Discriminators and optimisers stay behind, on purpose.
        status.expect_partial().assert_existing_objects_matched()
    except (tf.errors.OpError, AssertionError, ValueError, IndexError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{checkpoint} is not a checkpoint of this model or cannot be read: {reason}"
        ) from error
    power_iterate(generator, _POWER_ITERATIONS)
    return generator


def _build(experiment: Experiment, strategy: tf.distribute.Strategy | None) -> Generator:
    with contextlib.nullcontext() if strategy is None else strategy.scope():
        return experiment.build_generator()


def choose_checkpoint(model_dir: str | pathlib.Path, step: Step = None) -> tuple[str, int]:
    """A checkpoint's prefix and step: the one asked for, the best, or the newest.

    Raises:
        InputError: when there is none.
    """
    if step == "best":
        return best_checkpoint(model_dir)
    paths = checkpoint_paths(pathlib.Path(model_dir) / model_files.CHECKPOINTS)
    paths = [*kept_checkpoints(model_dir), *paths]
    by_step = {int(path.rpartition("-")[2]): path for path in paths}
    if not by_step:
        raise InputError(f"{model_dir} holds no checkpoint: train it first with `trivd train`")
    if step is None:
        step = max(by_step)
    if not isinstance(step, int) or step not in by_step:
        held = ", ".join(map(str, sorted(by_step)))
        raise InputError(f"{model_dir} holds no checkpoint of step {step}; it holds {held}")
    return by_step[step], step


def evaluation_generator(
    experiment: Experiment,
    model_dir: str | pathlib.Path,
    *,
    step: Step = None,
    seed: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> tuple[Generator, int]:
    """As `evaluation_weights`, without the key: the generator and its step."""
    generator, key = evaluation_weights(
        experiment, model_dir, step=step, seed=seed, strategy=strategy
    )
    return generator, key.step


def evaluation_weights(
    experiment: Experiment,
    model_dir: str | pathlib.Path,
    *,
    step: Step = None,
    seed: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> tuple[Generator, WeightsKey]:
    """The generator that is scored, exported and asked for predictions, and what it depends on.

    Stored weights are taken only where they came from this checkpoint, as many batches of the same
    size, the same seed and the clips that the run was trained on; otherwise they are estimated
    now. One line on stderr states which weights these are.

    Args:
        experiment: what `model_dir` is a run of; its evaluation options say how the standing
            statistics are estimated.
        model_dir: a run's directory.
        step: of the checkpoint, or "best"; the newest when left out.
        seed: of the standing statistics; that of the evaluation options when left out. Those of
            another seed are not stored.
        strategy: under which the generator is made, and its statistics estimated.

    Raises:
        InputError: no checkpoint, or one of another model; or nothing is stored and the training
            clips cannot be read.
    """
    options = experiment.evaluation
    checkpoint, step = choose_checkpoint(model_dir, step)
    recorded = (run_record.read(model_dir) or {}).get("data", {})
    key = WeightsKey(
        step,
        file_digest(pathlib.Path(f"{checkpoint}.index")),
        options.standing_batches,
        options.standing_batch_size,
        options.seed if seed is None else seed,
        recorded.get("fingerprint", ""),
        recorded.get("name", ""),
    )
    stored = StoredWeights(model_dir)
    if found := stored.find(key):
        return _load(experiment, stored, found, strategy)
    trained = _on_training_data(experiment, model_dir, key, stored)
    fingerprint = trained.data.fingerprint(trained.clip, "train")
    if key.data and key.data != fingerprint:
        print(
            f"trivd: warning: {model_dir} was trained on {key.data}; the training clips that can "
            f"be read now are {fingerprint}: the standing statistics are of these",
            file=sys.stderr,
        )
    key = dataclasses.replace(key, data=fingerprint, data_name=trained.data.name)
    if found := stored.find(key):
        return _load(experiment, stored, found, strategy)
    generator = restore_generator(experiment, checkpoint, strategy)
    estimate_from_training_data(trained, generator, seed=key.seed, strategy=strategy)
    if key.seed == options.seed:
        stored.save(key, generator)
    print(f"weights: {key}; estimated now", file=sys.stderr)
    return generator, key


def _load(
    experiment: Experiment,
    stored: StoredWeights,
    found: tuple[pathlib.Path, WeightsKey],
    strategy: tf.distribute.Strategy | None,
) -> tuple[Generator, WeightsKey]:
    path, key = found
    generator = _build(experiment, strategy)
    stored.load(path, generator)
    print(f"weights: {key}; stored", file=sys.stderr)
    return generator, key


def _on_training_data(
    experiment: Experiment, model_dir: str | pathlib.Path, key: WeightsKey, stored: StoredWeights
) -> Experiment:
    """The experiment with the data that the run was trained on, ready to be read.

    `experiment` may read another data set, on which the model is scored: it counts only where it
    holds the clips of the run's record. Otherwise the configuration that the run saved names them.
    """
    has_own = (pathlib.Path(model_dir) / model_files.CONFIG).is_file()
    problem = None
    for is_own in (False, True) if has_own else (True,):
        candidate = experiment
        if is_own and has_own:
            own = config.load_run(model_dir)
            candidate = dataclasses.replace(experiment, data=own.data, clip=own.clip)
        try:
            candidate.data.prepare(candidate.clip)
            fingerprint = candidate.data.fingerprint(candidate.clip, "train")
        except InputError as error:
            problem = error
            continue
        if is_own or fingerprint == key.data:
            return candidate
    held = "; ".join(map(str, stored.keys(key.step).values()))
    instead = f" (choose what is stored with --standing_batches and --standing_batch_size: {held})"
    raise InputError(
        f"{model_dir}: step {key.step} has no standing statistics of {key.batches} x "
        f"{key.batch_size} training clips with seed {key.seed} yet, and the clips that it was "
        f"trained on cannot be read: {problem}{instead if held else ''}"
    ) from problem


def estimate_from_training_data(
    experiment: Experiment,
    generator: Generator,
    *,
    seed: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> None:
    """Standing statistics as the evaluation options say, conditioned on training clips."""
    options = experiment.evaluation
    seed = options.seed if seed is None else seed
    clips = experiment.data.training_clips(
        experiment.clip, seed=seed, batch_size=options.standing_batch_size
    )
    with Progress("standing statistics", total=options.standing_batches, unit="batch") as bar:
        estimate_standing_statistics(
            generator,
            iter(clips),
            num_batches=options.standing_batches,
            seed=seed,
            class_conditional=experiment.class_conditional,
            on_batch=bar.update,
            strategy=strategy,
        )
