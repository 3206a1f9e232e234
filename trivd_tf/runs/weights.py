"""Evaluation weights of the generator: averaged weights with standing statistics.

Evaluation weights are stored (`stored_weights`), so that prediction and export need neither the
training data nor the optimizers.
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

# Training runs one power iteration per update. The averaged weights are close to the newest ones,
# so a few more iterations make u converge for them.
_POWER_ITERATIONS = 10

# Checkpoint step: a number, "best" (see `runs.best`), or None for the newest.
Step = int | str | None


def restore_generator(
    experiment: Experiment,
    checkpoint: str,
    strategy: tf.distribute.Strategy | None = None,
) -> Generator:
    """Restores a checkpoint's averaged weights into a new generator, without standing statistics.

    Args:
        experiment: the experiment of the checkpoint's run.
        checkpoint: checkpoint prefix, from `checkpoint_paths`.
        strategy: the strategy under which the generator's variables are created.

    Raises:
        InputError: the checkpoint holds another model, or cannot be read.
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
        # Discriminators and optimizers are not restored, on purpose.
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
    """Returns prefix and step of a checkpoint: the requested, the best, or the newest one.

    Raises:
        InputError: there is no such checkpoint.
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
    """As `evaluation_weights`, but returns the generator and its step instead of the key."""
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
    """Returns the generator for evaluation, export and prediction, and the key of its weights.

    Stored weights are used only if checkpoint, number and size of batches, seed and training clips
    match; otherwise the standing statistics are estimated now. One line on stderr states which
    weights are used.

    Args:
        experiment: the experiment of `model_dir`; its evaluation options define how the standing
            statistics are estimated.
        model_dir: a run's directory.
        step: checkpoint step, or "best"; defaults to the newest.
        seed: seed of the standing statistics; defaults to that of the evaluation options.
            Statistics of another seed are not stored.
        strategy: the strategy under which the generator is created and its statistics estimated.

    Raises:
        InputError: there is no checkpoint, it holds another model, or no weights are stored and the
            training clips cannot be read.
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
    """Returns the experiment with the run's training data, prepared for reading.

    The data of `experiment` may be another dataset, on which the model is scored; they are used
    only if their fingerprint matches the run's record. Otherwise the data of the run's saved
    configuration are used.
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
    """Estimates standing statistics on training clips, with the evaluation options' settings."""
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
