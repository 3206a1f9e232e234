"""The generator as it is scored and exported: averaged weights, standing statistics estimated.

These evaluation weights are kept in `MODEL_DIR/evaluation_weights/<step>.npz`, so that predicting
and exporting need neither the training data nor the optimisers.
"""

import contextlib
import dataclasses
import hashlib
import os
import pathlib

import numpy as np
import tensorflow as tf

from trivd_tf.base import model_files
from trivd_tf.base.storage import whole_file
from trivd_tf.base.errors import InputError
from trivd_tf.layers.spectral_norm import power_iterate
from trivd_tf.models import Generator
from trivd_tf.base.progress import Progress
from trivd_tf.runs.best import best_checkpoint, kept_checkpoints
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


@dataclasses.dataclass(frozen=True)
class EvaluationWeights:
    """Where the evaluation weights of a step are, and how they are estimated.

    Attributes:
        path: of the file.
        checkpoint: `file_digest` of the checkpoint's index, which changes with the weights.
        batches, batch_size, seed: of the standing statistics.
    """

    path: pathlib.Path
    checkpoint: str
    batches: int
    batch_size: int
    seed: int

    def are_stored(self) -> bool:
        """Whether the file holds weights that were estimated just so, from this checkpoint."""
        try:
            with np.load(self.path) as arrays:
                stored = [str(arrays[name]) for name in ("checkpoint", *_ESTIMATED_BY)]
        except Exception:  # missing or damaged, by many names: they are estimated again
            return False
        return stored == [self.checkpoint, *(str(getattr(self, n)) for n in _ESTIMATED_BY)]

    def save(self, generator: Generator) -> None:
        """Writes all variables; the file appears whole or not at all."""
        arrays = {f"{i:04d}": v.numpy() for i, v in enumerate(generator.variables)}
        how = {name: np.array(getattr(self, name)) for name in _ESTIMATED_BY}
        how["checkpoint"] = np.array(self.checkpoint)
        with whole_file(self.path) as partial, partial.open("wb") as file:
            np.savez(file, **how, **arrays)  # type: ignore[arg-type]

    def load(self, generator: Generator) -> None:
        """Sets all variables.

        Raises:
            InputError: when the file is damaged or of another model.
        """
        try:
            with np.load(self.path) as arrays:
                for index, variable in enumerate(generator.variables):
                    variable.assign(arrays[f"{index:04d}"])
        except (OSError, KeyError, ValueError, EOFError) as error:
            raise InputError(
                f"{self.path} is damaged or of another model ({error}): delete it and run "
                "`trivd evaluate` again"
            ) from error


_ESTIMATED_BY = ("batches", "batch_size", "seed")


def file_digest(path: pathlib.Path) -> str:
    """A key of a file's bytes; a checkpoint's index holds a checksum of each of its tensors."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:24]


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
    refresh: bool = False,
    seed: int | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> tuple[Generator, int]:
    """The generator that is scored, exported and asked for predictions, and its step.

    Args:
        experiment: what `model_dir` is a run of.
        model_dir: a run's directory.
        step: of the checkpoint, or "best"; the newest when left out.
        refresh: estimate the standing statistics again where those that are stored came about
            otherwise: from another checkpoint of this step, other numbers of batches, or a seed.
        seed: of the standing statistics; that of the evaluation options when left out. Those of
            another seed are not stored.
        strategy: under which the generator is made, and its statistics estimated.

    Raises:
        InputError: no checkpoint, or one of another model.
    """
    options = experiment.evaluation
    seed = options.seed if seed is None else seed
    checkpoint, step = choose_checkpoint(model_dir, step)
    weights = EvaluationWeights(
        pathlib.Path(model_dir) / model_files.EVALUATION_WEIGHTS / f"{step}.npz",
        file_digest(pathlib.Path(f"{checkpoint}.index")),
        options.standing_batches,
        options.standing_batch_size,
        seed,
    )
    if weights.are_stored() if refresh else weights.path.exists():
        generator = _build(experiment, strategy)
        weights.load(generator)
        return generator, step
    try:
        experiment.data.prepare(experiment.clip)
    except InputError as error:
        raise InputError(
            f"{model_dir}: step {step} has no standing statistics yet, which are estimated on "
            f"training clips: {error}"
        ) from error
    generator = restore_generator(experiment, checkpoint, strategy)
    estimate_from_training_data(experiment, generator, seed=seed, strategy=strategy)
    if seed == options.seed:
        weights.save(generator)
    return generator, step


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
