"""The real clips that scores are measured on, and those that they are compared with."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.experiment import Experiment

# Fewest clips at which a score is drawn in the curve over sample counts.
_FEWEST = 16
_MOST_POINTS = 8


class TooFewClips(InputError):
    """The data holds fewer clips than an evaluation asks for."""


@dataclasses.dataclass(frozen=True)
class RealClips:
    """A batch of evaluation clips.

    Attributes:
        videos: uint8 `[b, Tc + T, S, S, 3]`.
        labels: int32 `[b]`, each clip's class; None for a model that takes none, and where the
            classes of the data are not those of the model.
        first: the number of the first of them in the list of evaluation clips.
    """

    videos: np.ndarray
    labels: np.ndarray | None = None
    first: int = 0

    def __len__(self) -> int:
        return len(self.videos)

    def one(self, index: int) -> "RealClips":
        """A batch of one of the clips."""
        labels = None if self.labels is None else self.labels[index : index + 1]
        return RealClips(self.videos[index : index + 1], labels, self.first + index)

    def repeated(self, times: int) -> "RealClips":
        """Every clip several times, one after the other."""
        labels = None if self.labels is None else np.repeat(self.labels, times)
        return RealClips(np.repeat(self.videos, times, axis=0), labels, self.first)


def sample_counts(num_samples: int) -> list[int]:
    """Where the score over the number of samples is taken: halves of `num_samples`, rising."""
    counts = [num_samples // 2**power for power in range(_MOST_POINTS)]
    return [num_samples] if counts[0] < _FEWEST else [n for n in counts if n >= _FEWEST][::-1]


def other_real_clips(experiment: Experiment) -> tuple[str, int]:
    """Where "real against real" takes its second set: (split, clips to skip before it)."""
    options = experiment.evaluation
    held = experiment.data.num_evaluation_clips(experiment.clip, options.split)
    if held >= 2 * options.num_samples:
        return options.split, options.num_samples
    return ("train" if options.split == "test" else "test"), 0


def check_enough_clips(experiment: Experiment, *, in_training: bool = False) -> None:
    """Raises TooFewClips where the data holds fewer clips than the evaluation asks for.

    Scores in training take no other real clips.
    """
    options = experiment.evaluation
    wanted = [(options.split, 0)]
    if not in_training:
        wanted.append(other_real_clips(experiment))
    for split, skipped in wanted:
        held = experiment.data.num_evaluation_clips(experiment.clip, split)
        if held < skipped + options.num_samples:
            what_would_do = (
                f"bind EvaluationOptions.num_samples = {held} or fewer, or no scores while it "
                "trains, TrainingOptions.evaluate_every_steps = 0"
                if in_training
                else f"give --num_samples {held} or fewer (or bind EvaluationOptions.num_samples)"
            )
            raise TooFewClips(
                f"{experiment.data.name} holds {held} {split} clips, the evaluation asks for "
                f"{options.num_samples}: {what_would_do}, or add videos"
            )


def batches_of(
    experiment: Experiment, split: str, *, first: int = 0, num_clips: int
) -> Iterator[RealClips]:
    """Batches of evaluation clips from `first` on."""
    if num_clips < 1:
        return
    clips = experiment.data.evaluation_clips(
        experiment.clip,
        split=split,
        num_clips=num_clips,
        batch_size=experiment.evaluation.batch_size,
        first_clip=first,
    )
    for batch in clips:
        labels = batch["label"].numpy() if experiment.class_conditional else None
        yield RealClips(batch["video"].numpy(), labels, first)
        first += len(batch["video"])
