"""Selects the windows of videos that are scored as clips, and reads their frames."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.data.clips import crop_offset
from trivd_tf.scoring.readers import Video
from trivd_tf.scoring.rules import Rule


@dataclasses.dataclass(frozen=True)
class Clip:
    """A window: the index of a video in its list, and the first frame."""

    video: int
    start: int


def shuffled(videos: Sequence[Video], seed: int) -> list[Video]:
    """Returns the videos in an order that depends only on their names and the seed.

    Videos of the same name have the same position on both sides.
    """
    return sorted(videos, key=lambda video: _number(seed, video.name))


def starts(video: Video, length: int, rule: Rule, windows: str, seed: int) -> list[int]:
    """Returns the first frames of a video's clips, in the order in which they are used.

    Args:
        video: the video.
        length: its number of frames.
        rule: rule of the clips.
        windows: one of `trivd_tf.scoring.rules.WINDOWS`.
        seed: seed of a random window.
    """
    free = length - rule.span
    if free < 0:
        return []
    if windows == "first":
        return [0]
    if windows == "random":
        return [_number(seed, f"{video.name} window") % (free + 1)]
    return list(range(0, free + 1, rule.step))


def choose(starts_by_video: Sequence[Sequence[int]], number: int | None) -> list[Clip]:
    """Chooses `number` clips of one side, or all.

    Cycles through the videos: the first window of each, then the second of each that has one, ...
    """
    rounds = max(map(len, starts_by_video), default=0)
    clips = [
        Clip(video, of_video[turn])
        for turn in range(rounds)
        for video, of_video in enumerate(starts_by_video)
        if turn < len(of_video)
    ]
    return clips[:number]


def read_clips(video: Video, wanted: Sequence[int], rule: Rule) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the clips of a video that start at `wanted`, each as soon as it is complete.

    Only the frames of incomplete clips are held in memory.

    Yields:
        (start, uint8 `[frames, H, W, 3]`), cropped.

    Raises:
        InputError: the video cannot be read, or ends before a clip is complete.
    """
    waiting: dict[int, np.ndarray] = {}
    missing = sorted(wanted)
    if not missing:
        return
    frames = video.frames(size=rule.size, frame_rate=rule.frame_rate)
    for number, frame in enumerate(frames):
        frame = cropped(frame, rule.crop)
        while missing and missing[0] == number:
            waiting[missing.pop(0)] = np.empty((rule.frames, *frame.shape), np.uint8)
        for start in list(waiting):
            place, between = divmod(number - start, rule.stride)
            if between:
                continue
            waiting[start][place] = frame
            if place + 1 == rule.frames:
                yield start, waiting.pop(start)
        if not (waiting or missing):
            return
    raise InputError(f"{video.path}: ends before a clip that starts at {min([*waiting, *missing])}")


def cropped(frame: np.ndarray, crop: str) -> np.ndarray:
    """Returns a frame `[H, W, 3]`, or its largest center square."""
    if crop == "none":
        return frame
    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = crop_offset(height - side, None), crop_offset(width - side, None)
    return frame[top : top + side, left : left + side]


def _number(seed: int, text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {text}".encode()).digest()[:8], "big")
