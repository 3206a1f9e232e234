"""Checks of constructor and call arguments of the models, with Keras-style messages."""

import numbers
from typing import Any

import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import FrameSize, checked_model_size


def check_counts(**counts: Any) -> None:
    """Raise ValueError unless every count is a positive integer."""
    for name, count in counts.items():
        whole = isinstance(count, numbers.Integral) and not isinstance(count, bool)
        if not whole or count < 1:
            raise ValueError(f"{name} must be a whole number from 1 on. Received: {count!r}")


def checked_frame_size(size: Any) -> FrameSize:
    """Return a valid generator frame size in canonical form.

    Raises:
        ValueError: `size` is neither a multiple of 8 nor a (height, width) of two.
    """
    try:
        return checked_model_size("frame_size", size)
    except InputError:
        raise ValueError(
            f"frame_size must be a multiple of 8, or (height, width) of two. Received: {size!r}"
        ) from None


def check_frames(name: str, frames: Any, shape: tuple[int | None, ...]) -> None:
    """Check frames before operations that abort the process if the rank is wrong.

    Args:
        name: name of the argument, for the message.
        frames: the value passed to the model.
        shape: expected shape; None matches any size.

    Raises:
        ValueError: wrong rank or shape, or not floating point. Integer pixels from 0 to 255 would
            be taken for values in [-1, 1].
    """
    found = tf.TensorShape(getattr(frames, "shape", None))
    wanted = f"{name} must be floats in [-1, 1] of shape {_text(shape)}"
    if not found.is_compatible_with(shape):
        raise ValueError(f"{wanted}. Received: shape {_text(found)}")
    if not tf.as_dtype(frames.dtype).is_floating:
        raise ValueError(
            f"{wanted}. Received: {tf.as_dtype(frames.dtype).name}; use frames / 127.5 - 1 for "
            "values from 0 to 255"
        )


def _text(shape: Any) -> str:
    return f"[{', '.join('any' if side is None else str(side) for side in shape)}]"
