"""Splits the videos of a folder into training and test parts."""

import dataclasses
from collections.abc import Sequence

from trivd_tf.data.clips import ClipSpec
from trivd_tf.data.source import digest

_MIN_TEST_FILES = 2


@dataclasses.dataclass(frozen=True)
class Part:
    """Frames [first, first + length) of one video that belong to one split."""

    video: int
    first: int
    length: int


def split_videos(
    names: list[str],
    lengths: list[int],
    *,
    clip: ClipSpec,
    train_fraction: float,
    split_by: str,
    stated: Sequence[str] = (),
) -> dict[str, list[Part]]:
    """Splits videos into training and test parts without common frames.

    By file, videos are ranked by a hash of their names, so that neighbors in the alphabet are
    separated and the result does not depend on the machine. By time, the test part is the end of
    each video, at least one window long; a video too short for a window on both sides is used for
    training.

    Args:
      names: unique names of the videos.
      lengths: number of frames of each video, at least clip.span.
      clip: definition of the clips.
      train_fraction: fraction for training.
      split_by: "file", "time" or "auto".
      stated: for each video, "train" or "test" if its file states the split, else "".

    Returns:
      The parts of "train" and of "test".
    """
    left = [video for video in range(len(names)) if not (stated and stated[video])]
    if len(left) < len(names):
        parts: dict[str, list[Part]] = {"train": [], "test": []}
        if left:
            parts = split_videos(
                [names[video] for video in left],
                [lengths[video] for video in left],
                clip=clip,
                train_fraction=train_fraction,
                split_by=split_by,
            )
        parts = {
            split: [dataclasses.replace(part, video=left[part.video]) for part in shared]
            for split, shared in parts.items()
        }
        for video, split in enumerate(stated):
            if split:
                parts[split].append(Part(video, 0, lengths[video]))
        return parts
    num_test = round(len(names) * (1 - train_fraction))
    if split_by == "auto":
        split_by = "file" if num_test >= _MIN_TEST_FILES else "time"
    if split_by == "file":
        num_test = min(max(num_test, 1), len(names) - 1)
        ranked = sorted(range(len(names)), key=lambda video: digest(names[video]))
        test = set(ranked[:num_test])
        whole = [Part(video, 0, length) for video, length in enumerate(lengths)]
        return {
            "train": [part for part in whole if part.video not in test],
            "test": [part for part in whole if part.video in test],
        }
    parts = {"train": [], "test": []}
    for video, length in enumerate(lengths):
        held_out = max(round(length * (1 - train_fraction)), clip.span)
        if length - held_out < clip.span:
            parts["train"].append(Part(video, 0, length))
        else:
            parts["train"].append(Part(video, 0, length - held_out))
            parts["test"].append(Part(video, length - held_out, held_out))
    return parts
