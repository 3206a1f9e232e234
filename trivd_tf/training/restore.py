"""The generator as it is scored and exported: averaged weights, standing statistics estimated.

These evaluation weights are kept in `MODEL_DIR/evaluation_weights/<step>.npz`, so that predicting
and exporting need neither the training data nor the optimisers.
"""

import dataclasses
import os
import pathlib
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from trivd_tf.errors import InputError
from trivd_tf.layers.spectral_norm import power_iterate
from trivd_tf.models import Generator
from trivd_tf.progress import Progress
from trivd_tf.training.checkpoints import checkpoint_paths
from trivd_tf.training.standing_statistics import estimate_standing_statistics

if TYPE_CHECKING:
    from trivd_tf.experiment import Experiment

# Training moves u by one iteration an update; the average's weights are close to the newest ones,
# and a few more iterations settle u on them.
_POWER_ITERATIONS = 10


def restore_generator(experiment: "Experiment", checkpoint: str) -> Generator:
    """The averaged weights of a checkpoint in a new generator; standing statistics not estimated.

    Args:
        experiment: what the checkpoint is a run of.
        checkpoint: its prefix, from `checkpoint_paths`.

    Raises:
        InputError: when the checkpoint is of another model, or cannot be read.
    """
    generator = experiment.build_generator()
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


@dataclasses.dataclass(frozen=True)
class EvaluationWeights:
    """Where the evaluation weights of a step are, and whether they were estimated this way."""

    path: pathlib.Path
    batches: int
    batch_size: int

    def save(self, generator: Generator) -> None:
        """Writes all variables; the file appears whole or not at all."""
        arrays = {f"{i:04d}": v.numpy() for i, v in enumerate(generator.variables)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            np.savez(file, batches=self.batches, batch_size=self.batch_size, **arrays)
        temporary.replace(self.path)

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


def choose_checkpoint(model_dir: str | pathlib.Path, step: int | None = None) -> tuple[str, int]:
    """A checkpoint's prefix and step: the one asked for, or the newest.

    Raises:
        InputError: when there is none.
    """
    paths = checkpoint_paths(pathlib.Path(model_dir) / "checkpoints")
    by_step = {int(path.rpartition("-")[2]): path for path in paths}
    if not by_step:
        raise InputError(f"{model_dir} holds no checkpoint: train it first with `trivd train`")
    if step is None:
        step = max(by_step)
    if step not in by_step:
        held = ", ".join(map(str, sorted(by_step)))
        raise InputError(f"{model_dir} holds no checkpoint of step {step}; it holds {held}")
    return by_step[step], step


def evaluation_generator(
    experiment: "Experiment",
    model_dir: str | pathlib.Path,
    *,
    step: int | None = None,
    refresh: bool = False,
) -> tuple[Generator, int]:
    """The generator that is scored, exported and asked for predictions, and its step.

    Args:
        experiment: what `model_dir` is a run of.
        model_dir: a run's directory.
        step: of the checkpoint; the newest when left out.
        refresh: estimate the standing statistics again even where they are stored.

    Raises:
        InputError: no checkpoint, or one of another model.
    """
    options = experiment.evaluation
    checkpoint, step = choose_checkpoint(model_dir, step)
    weights = EvaluationWeights(
        pathlib.Path(model_dir) / "evaluation_weights" / f"{step}.npz",
        options.standing_batches,
        options.standing_batch_size,
    )
    if weights.path.exists() and not refresh:
        generator = experiment.build_generator()
        weights.load(generator)
        return generator, step
    generator = restore_generator(experiment, checkpoint)
    estimate_from_training_data(experiment, generator)
    weights.save(generator)
    return generator, step


def estimate_from_training_data(experiment: "Experiment", generator: Generator) -> None:
    """Standing statistics as the evaluation options say, conditioned on training clips."""
    options = experiment.evaluation
    clips = experiment.data.training_clips(
        experiment.clip, seed=options.seed, batch_size=options.standing_batch_size
    )
    with Progress("standing statistics", total=options.standing_batches, unit="batch") as bar:
        estimate_standing_statistics(
            generator,
            iter(clips),
            num_batches=options.standing_batches,
            seed=options.seed,
            class_conditional=experiment.class_conditional,
            on_batch=bar.update,
        )
