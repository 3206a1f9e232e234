"""Real clips for scoring, and other real clips to compare them with."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.experiment import Experiment

# Fewest clips for a point of the curve over sample counts.
_FEWEST = 16
_MOST_POINTS = 8


class TooFewClips(InputError):
    """The data has fewer clips than an evaluation needs."""


@dataclasses.dataclass(frozen=True)
class RealClips:
    """A batch of evaluation clips.

    Attributes:
        videos: uint8 `[b, Tc + T, S, S, 3]`.
        labels: int32 `[b]`, each clip's class; None if the model takes no labels, or if the data's
            classes are not those of the model.
        first: index of the first clip in the list of evaluation clips.
    """

    videos: np.ndarray
    labels: np.ndarray | None = None
    first: int = 0

    def __len__(self) -> int:
        return len(self.videos)

    def one(self, index: int) -> "RealClips":
        """Return a batch of the clip at `index`."""
        labels = None if self.labels is None else self.labels[index : index + 1]
        return RealClips(self.videos[index : index + 1], labels, self.first + index)

    def repeated(self, times: int) -> "RealClips":
        """Return a batch with every clip repeated `times` times in a row."""
        labels = None if self.labels is None else np.repeat(self.labels, times)
        return RealClips(np.repeat(self.videos, times, axis=0), labels, self.first)


def sample_counts(num_samples: int) -> list[int]:
    """Return the sample counts to score: `num_samples`, halved repeatedly, in ascending order."""
    counts = [num_samples // 2**power for power in range(_MOST_POINTS)]
    return [num_samples] if counts[0] < _FEWEST else [n for n in counts if n >= _FEWEST][::-1]


def other_real_clips(experiment: Experiment) -> tuple[str, int]:
    """Return the location of the second set of "real against real": (split, clips to skip)."""
    options = experiment.evaluation
    held = experiment.data.num_evaluation_clips(experiment.clip, options.split)
    if held >= 2 * options.num_samples:
        return options.split, options.num_samples
    return ("train" if options.split == "test" else "test"), 0


def check_enough_clips(experiment: Experiment, *, in_training: bool = False) -> None:
    """Raise TooFewClips if the data has fewer clips than the evaluation needs.

    Scores during training need no second set of real clips.
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
    """Iterate over batches of evaluation clips, starting at clip `first`."""
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
