"""Initializes a run from another run or an export, for `trivd train --start_from`."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from trivd_tf import config
from trivd_tf.base import model_files, shipped
from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import whole_file
from trivd_tf.experiment import Experiment
from trivd_tf.models import Discriminator
from trivd_tf.runs.weights import choose_checkpoint
from trivd_tf.training.checkpoints import network_variables
from trivd_tf.training.step import GanStep

# Bindings that determine the shapes and the meaning of weights.
_OF_THE_NETWORKS = (
    "trivd_tf.models.",
    "trivd_tf.data.ClipSpec.num_conditioning_frames",
    "trivd_tf.data.ClipSpec.num_predicted_frames",
    "trivd_tf.data.ClipSpec.size",
    "trivd_tf.experiment.Experiment.class_conditional",
)
_SAVED_VARIABLE = "variables/{}/.ATTRIBUTES/VARIABLE_VALUE"


@dataclasses.dataclass(frozen=True)
class Start:
    """Initializes new networks from existing weights; called by `train` if there is no checkpoint.

    Attributes:
        source: a model directory, an export, or the name of a model included in the package.
        config_text: the new run's operative configuration.
        report: called with one line that states which weights were loaded from where.
    """

    source: str
    config_text: str
    report: Callable[[str], None] = print

    def __post_init__(self) -> None:
        folder = self._folder
        if not (model_files.is_export(folder) or model_files.is_model_dir(folder)):
            raise InputError(
                f"--start_from {self.source}: neither a model directory nor an export, nor one of "
                f"the models that come with the package: {', '.join(shipped.shipped_models())}"
            )
        self._refuse_other_networks(folder)

    @property
    def _folder(self) -> Path:
        return shipped.find_model(self.source)

    def _refuse_other_networks(self, folder: Path) -> None:
        try:
            there = (folder / model_files.CONFIG).read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"--start_from {self.source}: no {model_files.CONFIG} in it") from error
        # A binding in only one of them is an option that the other's version did not have.
        differences = [
            f"{name.removeprefix('trivd_tf.')} is {old} there and {new} here"
            for name, (old, new) in config.changed_bindings(there, self.config_text).items()
            if None not in (old, new) and _is_of_the_networks(name.rpartition("/")[2])
        ]
        if differences:
            raise InputError(
                f"--start_from {self.source}: its networks are not those of this run: "
                f"{'; '.join(differences)}"
            )

    def __call__(self, step: GanStep) -> None:
        """Sets weights, averages and spectral norm vectors; optimizers and counters stay new.

        Raises:
            InputError: the weights do not fit or cannot be read.
        """
        folder = self._folder
        try:
            if model_files.is_export(folder):
                taken = _from_export(step, folder)
            else:
                taken = _from_run(step, folder)
        except (OSError, KeyError, ValueError, AssertionError, tf.errors.OpError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"--start_from {self.source}: does not fit this run ({reason})") from error
        self.report(f"trivd: starts from {self.source}: {taken}")


def _is_of_the_networks(name: str) -> bool:
    return name.startswith(_OF_THE_NETWORKS) and not name.endswith(".motion_levels")


def _from_run(step: GanStep, folder: Path) -> str:
    checkpoint, number = choose_checkpoint(folder)
    status = tf.train.Checkpoint(variables=network_variables(step)).restore(checkpoint)
    status.expect_partial().assert_existing_objects_matched()
    return f"all networks of step {number}"


def _from_export(step: GanStep, folder: Path) -> str:
    reader = tf.train.load_checkpoint(os.fspath(folder / "variables" / "variables"))
    for index, variable in enumerate(step.generator.variables):
        value = reader.get_tensor(_SAVED_VARIABLE.format(index))
        variable.assign(np.asarray(value, np.float32))
    weights = step.generator.trainable_variables
    for average, weight in zip(step.average.averages, weights, strict=True):
        average.assign(tf.convert_to_tensor(weight))
    stored = folder / shipped.DISCRIMINATORS
    if not stored.is_file():
        return "the generator; an export holds no discriminators, which start from scratch"
    load_discriminators(stored, step.discriminators)
    return "generator and discriminators"


def copy_discriminators(experiment: Experiment, model_dir: Path, step: int, path: Path) -> None:
    """Writes a checkpoint's discriminators to a file beside an export.

    Raises:
        InputError: there is no checkpoint of that step, or it holds other networks.
    """
    checkpoint, _ = choose_checkpoint(model_dir, step)
    models = experiment.build_discriminators()
    variables = {
        f"{model.name}/{index:04d}/{variable.name}": variable.value
        for model in models
        for index, variable in enumerate(model.variables)
    }
    try:
        status = tf.train.Checkpoint(variables=variables).restore(checkpoint)
        status.expect_partial().assert_existing_objects_matched()
    except (tf.errors.OpError, AssertionError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{checkpoint} holds other discriminators ({reason})") from error
    save_discriminators(path, models)


def save_discriminators(path: Path, discriminators: list[Discriminator]) -> None:
    """Writes all variables of the discriminators, kernels as float16."""
    arrays = {}
    for name, variable in _named(discriminators).items():
        value = variable.numpy()
        arrays[name] = value.astype(np.float16) if variable.name == "kernel" else value
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_discriminators(path: Path, discriminators: list[Discriminator]) -> None:
    """Sets the discriminators' variables from a file written by `save_discriminators`.

    Raises:
        KeyError, ValueError: the file holds other networks.
    """
    with np.load(path) as arrays:
        for name, variable in _named(discriminators).items():
            variable.assign(arrays[name].astype(np.float32))


def _named(discriminators: list[Discriminator]) -> dict:
    return {
        f"{model.name}/{index:04d}": variable
        for model in discriminators
        for index, variable in enumerate(model.variables)
    }
