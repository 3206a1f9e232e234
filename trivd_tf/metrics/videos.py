"""Checks and conversion of videos to score, with code that fixes wrong input in the messages."""

from typing import Any

import numpy as np
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.metrics.i3d.shapes import MIN_FRAMES

# Tolerance of floats beyond the stated range: rounding, as in 16-bit numbers.
_SLACK = 1e-3

Range = tuple[float, float]


def as_uint8_videos(videos: Any, value_range: Range | None = None, name: str = "videos") -> Any:
    """Convert videos to the input format of I3D preprocessing, uint8 ``[N, T, H, W, 3]``.

    Args:
        videos: ``[N, T, H, W, 3]``, or gray ``[N, T, H, W, 1]``, which is repeated for the three
            channels; uint8, or floats in `value_range`, which are rounded to 8 bits, as in a file.
        value_range: values of black and white in float videos, such as ``(0, 1)`` or ``(-1, 1)``;
            uint8 always spans 0 to 255.
        name: name of the argument, for messages.

    Raises:
        InputError: any other input. The message has a line of code that fixes it, if one does.
    """
    if not (hasattr(videos, "shape") and hasattr(videos, "dtype")):
        videos = np.asarray(videos)
    shape = tuple(int(size) for size in videos.shape)
    kind = tf.as_dtype(videos.dtype) if isinstance(videos, tf.Tensor) else np.dtype(videos.dtype)
    kind = np.dtype(kind.as_numpy_dtype) if isinstance(kind, tf.DType) else kind
    if (wrong := _wrong_shape(shape, name)) is not None:
        raise InputError(f"{name}: {wrong}; received {kind} of shape {list(shape)}")
    if kind == np.uint8:
        _refuse_binary(videos, name)
    elif kind.kind == "f":
        videos = _from_floats(np.asarray(videos), value_range, name)
    else:
        raise InputError(
            f"{name}: expected uint8, or floats of a stated range; received {kind}: if its values "
            f"lie in 0 to 255, {name} = {name}.astype(np.uint8)"
        )
    if shape[-1] == 1:
        videos = np.repeat(np.asarray(videos), 3, axis=-1)
    return videos


def _wrong_shape(shape: tuple[int, ...], name: str) -> str | None:
    """Return the error and the line of code that fixes it, or None."""
    expected = "expected videos [N, T, H, W, 3]"
    if len(shape) == 4 and shape[-1] in (1, 3):
        return f"{expected}, this is one video: {name} = {name}[None]"
    if len(shape) == 4:
        return f"{expected}, these are grey without an axis of channels: {name} = {name}[..., None]"
    if len(shape) != 5:
        return expected
    if shape[-1] not in (1, 3):
        for axis, layout in ((2, "[N, T, C, H, W]"), (1, "[N, C, T, H, W]")):
            if shape[axis] in (1, 3):
                return f"{expected}, this is {layout}: {name} = np.moveaxis({name}, {axis}, -1)"
        if shape[-1] == 4:
            return f"{expected}, there is a fourth channel (alpha): {name} = {name}[..., :3]"
        return f"{expected}, or [N, T, H, W, 1] for grey"
    if shape[1] < MIN_FRAMES:
        return (
            f"I3D takes clips of at least {MIN_FRAMES} frames, these have {shape[1]}: make them "
            f"longer, {name} = {name}_of_{MIN_FRAMES}_or_more_frames (repeating frames would score "
            "other videos)"
        )
    return None


def _refuse_binary(videos: Any, name: str) -> None:
    """Reject uint8 videos of only 0 and 1, cast from [0, 1]; a black video is all 0."""
    if len(videos) and int(np.max(videos)) == 1:
        raise InputError(
            f"{name}: uint8 with no value above 1, cast from [0, 1]: {name} = (255 * "
            f"{name}).astype(np.uint8), before it is cast"
        )


def _from_floats(videos: np.ndarray, value_range: Range | None, name: str) -> np.ndarray:
    low, high = _extremes(videos, name)
    if value_range is None:
        likely = (-1, 1) if -1 - _SLACK <= low < 0 else (0, 1)
        likely = likely if high <= 1 + _SLACK else (0, 255)
        raise InputError(
            f"{name}: floats between {low:.4g} and {high:.4g} need their range stated: "
            f"value_range={likely} if {likely[0]} is black and {likely[1]} white"
        )
    black, white = value_range
    slack = _SLACK * (white - black)
    if not white > black or low < black - slack or high > white + slack:
        raise InputError(
            f"{name}: values between {low:.4g} and {high:.4g} do not lie in value_range="
            f"{value_range}: state theirs, or clip them, {name} = np.clip({name}, *value_range)"
        )
    scaled = np.empty(videos.shape, np.uint8)
    for index, video in enumerate(videos):  # one at a time: no second float copy in memory
        grey = (video.astype(np.float64) - black) * (255.0 / (white - black))
        scaled[index] = np.rint(np.clip(grey, 0.0, 255.0))
    return scaled


def _extremes(videos: np.ndarray, name: str) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for index, video in enumerate(videos):
        if not np.isfinite(video).all():
            raise InputError(
                f"{name}: video {index} holds NaN or infinity: leave such videos out, {name} = "
                f"{name}[np.isfinite({name}).all(axis=(1, 2, 3, 4))]"
            )
        low, high = min(low, float(video.min())), max(high, float(video.max()))
    return low, high
