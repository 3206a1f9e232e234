"""Root object that holds all options of training, evaluation and export.

A gin file binds `experiment.Experiment`, and the same file serves every command. Python code can
build it directly: nothing in this module depends on gin.
"""

import dataclasses
from collections.abc import Callable

import keras

from trivd_tf.base.errors import InputError
from trivd_tf.data.clips import ClipSpec
from trivd_tf.data.source import ClipSource
from trivd_tf.experiment.evaluation_options import EvaluationOptions
from trivd_tf.experiment.training_options import TrainingOptions
from trivd_tf.layers.spectral_norm import set_power_iteration
from trivd_tf.models import Discriminator, Generator


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Definition of a run: clips, data, networks, training and evaluation.

    Attributes:
        clip: numbers of conditioning and predicted frames, their size and stride.
        data: source of the clips.
        generator: builds the generator; clip and data supply the remaining arguments
            (`models.generator`).
        discriminators: builds the discriminators likewise (`models.discriminators`).
        training: hyperparameters of the run.
        evaluation: options of the evaluation.
        class_conditional: use the data's labels; else the dummy class 0, as in the paper.
        title: title for reports.
        class_names: names of the labels from the run's record; if None, those of the data.
    """

    clip: ClipSpec
    data: ClipSource
    generator: Callable[..., Generator]
    discriminators: Callable[..., list[Discriminator]]
    training: TrainingOptions
    evaluation: EvaluationOptions
    class_conditional: bool = False
    title: str = ""
    class_names: tuple[str, ...] | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names, one per row of the class embeddings; ("dummy",) without labels.

        Raises:
            InputError: the model takes labels, but the data have none or cannot be read.
        """
        if not self.class_conditional:
            return ("dummy",)
        names = self.data.class_names if self.class_names is None else tuple(self.class_names)
        if len(names) < 2:
            raise InputError(
                f"Experiment.class_conditional needs labelled data; {self.data.name} has no "
                "labels: leave it False, or use a labelled data set, such as a folder with a "
                "subfolder for each class"
            )
        return names

    @property
    def num_classes(self) -> int:
        """Number of rows of the class embeddings: the data's classes, or 1 for the dummy class."""
        return len(self.labels)

    @property
    def dtype_policy(self) -> keras.DTypePolicy:
        """Keras dtype policy of the networks."""
        return keras.DTypePolicy(self.training.precision)

    def build_generator(self) -> Generator:
        """Builds a generator with newly initialized variables."""
        return _build_or_refuse(self._build_generator)

    def _build_generator(self) -> Generator:
        generator = self.generator(
            num_predicted_frames=self.clip.num_predicted_frames,
            num_conditioning_frames=self.clip.num_conditioning_frames,
            frame_size=self.clip.size,
            num_classes=self.num_classes,
            dtype=self.dtype_policy,
            name="generator",
        )
        generator.build_variables()
        set_power_iteration(generator, False)  # the train step runs them, one per update
        return generator

    def build_discriminators(self) -> list[Discriminator]:
        """Builds the discriminators of the decomposition with newly initialized variables."""
        return _build_or_refuse(self._build_discriminators)

    def _build_discriminators(self) -> list[Discriminator]:
        models = self.discriminators(
            num_conditioning_frames=self.clip.num_conditioning_frames,
            num_classes=self.num_classes,
            dtype=self.dtype_policy,
        )
        for model in models:
            model.build_variables(self.clip.num_frames, self.clip.size)
            set_power_iteration(model, False)
        return models


def _build_or_refuse(build: Callable[[], object]):
    """Calls `build`; reports contradicting options as an `InputError` of one line."""
    try:
        return build()
    except ValueError as error:
        raise InputError(f"the model cannot be built: {' '.join(str(error).split())}") from error
