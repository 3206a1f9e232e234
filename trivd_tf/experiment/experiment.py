"""One root object that names everything train, evaluate and export take.

A gin file binds `experiment.Experiment`; the same file serves every command. Plain Python builds it
directly: nothing here knows about gin.
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
    """What a run is.

    Attributes:
        clip: numbers of conditioning and predicted frames, their size and stride.
        data: where clips come from.
        generator: builds the generator but for what clip and data decide (`models.generator`).
        discriminators: likewise (`models.discriminators`).
        training: hyperparameters of the run.
        evaluation: what a score is measured on.
        class_conditional: use the data's labels; else the dummy class 0, as the paper does.
        title: for reports.
        class_names: of the labels, where a run remembers them; else the data are asked.
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
        """Names of the classes, a row each of the class embeddings; ("dummy",) without labels.

        Raises:
            InputError: the model takes labels, and the data have none or cannot be read.
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
        """Rows of the class embeddings: the data's classes, or 1, the dummy class."""
        return len(self.labels)

    @property
    def dtype_policy(self) -> keras.DTypePolicy:
        """How the networks compute and store numbers."""
        return keras.DTypePolicy(self.training.precision)

    def build_generator(self) -> Generator:
        """A generator with all its variables, freshly initialised."""
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
        set_power_iteration(generator, False)  # the train step makes them, one an update
        return generator

    def build_discriminators(self) -> list[Discriminator]:
        """The decomposition's discriminators with all their variables."""
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
    """Options that contradict each other are the user's to mend, in one line."""
    try:
        return build()
    except ValueError as error:
        raise InputError(f"the model cannot be built: {' '.join(str(error).split())}") from error
