"""Example clips, generated or from a folder."""

import dataclasses
import functools
from pathlib import Path

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.data.bouncing_digits import BouncingDigits
from trivd_tf.data.clips import ClipSpec
from trivd_tf.inference.predictor_base import Predictor
from trivd_tf.pictures.video_io import Clip, read_clip

_MOST_FILES = 24
_RATE = 8.0
_ENDINGS = {".mp4", ".avi", ".mkv", ".webm", ".gif", ".mov", ".m4v", ".mpg", ".mpeg", ".ogv"}


@dataclasses.dataclass(frozen=True)
class Example:
    """A clip offered by the page.

    Attributes:
        key: key in URLs.
        title: title on the page.
        clip: conditioning frames and their real continuation, up to the longest prediction.
    """

    key: str
    title: str
    clip: Clip


def examples(predictor: Predictor, folder: Path | None, max_frames: int) -> list[Example]:
    """Return the clips of a folder, or generated clips of two kinds.

    Raises:
        InputError: the folder does not exist, or has no clip that the model can use.
    """
    if folder is not None:
        return _of_folder(predictor, folder, max_frames)
    spec = ClipSpec(
        num_conditioning_frames=predictor.num_conditioning_frames,
        num_predicted_frames=max_frames,
        size=predictor.frame_size,
        stride=predictor.stride,
    )
    found = [
        _example(f"digit-{index + 1}", f"A bouncing digit, {index + 1}", frames, spec)
        for index, frames in enumerate(_digits(spec, 3))
    ]
    found.append(_example("drift", "Drifting shapes", _drifting_shapes(spec), spec))
    return found


def _example(key: str, title: str, frames: np.ndarray, spec: ClipSpec) -> Example:
    count = spec.num_conditioning_frames
    return Example(key, title, Clip(Path(key), frames[:count], frames[count:], _RATE))


def _digits(spec: ClipSpec, count: int) -> np.ndarray:
    """Draw digits that training never shows, uint8 `[count, T, S, S, 3]`."""
    source = BouncingDigits()
    batches = source.evaluation_clips(spec, split="test", num_clips=count, batch_size=count)
    return next(iter(batches))["video"].numpy()


def _drifting_shapes(spec: ClipSpec) -> np.ndarray:
    """Draw soft colored discs that drift over a slow gradient, uint8 `[T, S, S, 3]`."""
    side = min(spec.height, spec.width)
    y, x = np.mgrid[0 : spec.height, 0 : spec.width].astype(np.float32) / side
    room = np.array([spec.height, spec.width], np.float32) / side
    rng = np.random.default_rng(5)
    discs = [(rng.uniform(0.2, 0.8, 2), rng.uniform(-0.02, 0.02, 2), c) for c in _COLORS]
    frames = []
    for time in range(spec.num_frames):
        ground = 0.25 + 0.2 * np.stack([x / room[1], y / room[0], 1 - x / room[1]], axis=-1)
        for start, speed, color in discs:
            # Back and forth between the sides.
            middle = room * (1 - np.abs((start + speed * time * spec.stride) % 2 - 1))
            distance = np.hypot(y - middle[0], x - middle[1])
            cover = np.clip((0.16 - distance) * 0.5 * side, 0, 1)[..., None]
            ground = ground * (1 - cover) + np.asarray(color) * cover
        frames.append(np.round(ground * 255).astype(np.uint8))
    return np.stack(frames)


_COLORS = ((0.95, 0.6, 0.2), (0.3, 0.7, 0.95), (0.9, 0.3, 0.5))


def _of_folder(predictor: Predictor, folder: Path, max_frames: int) -> list[Example]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of examples")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)
    found, reason = [], ""
    for number, path in enumerate(paths[:_MOST_FILES]):
        try:
            clip = read_clip(
                path,
                num_conditioning_frames=predictor.num_conditioning_frames,
                size=predictor.frame_size,
                num_continuation_frames=max_frames,
                stride=predictor.stride,
                fps=predictor.fps,
            )
        except InputError as error:
            reason = f" ({error})"
            continue
        found.append(Example(f"clip-{number + 1}", path.stem[:40], clip))
    if not found:
        raise InputError(f"{folder}: holds no video that this model can continue{reason}")
    return found


@functools.cache
def page_file(name: str) -> bytes:
    """Return the content of one of the page's own files."""
    return (Path(__file__).parent / "page" / name).read_bytes()
