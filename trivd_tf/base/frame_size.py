"""The size of frames: one number for squares, `(height, width)` for other rectangles.

Every option that takes a frame size takes both forms, and every function that needs rows and
columns asks `height_width`. A square is kept as one number, so that `(64, 64)` and `64` name the
same models, caches and files.
"""

import numbers
from typing import Any

from trivd_tf.base.errors import InputError

FrameSize = int | tuple[int, int]

_MULTIPLE = 8  # the generator starts at an eighth of the frame and doubles it three times


def height_width(size: FrameSize) -> tuple[int, int]:
    """Rows and columns of a frame.

    Args:
      size: side of a square, or (height, width), in pixels.

    Returns:
      (height, width).
    """
    if isinstance(size, tuple | list):  # a list where it comes out of JSON
        height, width = size
        return height, width
    return size, size


def from_height_width(height: int, width: int) -> FrameSize:
    """The inverse of `height_width`: one number where the frame is square."""
    return height if height == width else (height, width)


def size_text(size: FrameSize) -> str:
    """`96 x 160`: height, then width."""
    return " x ".join(map(str, height_width(size)))


def checked_size(name: str, value: object, *, minimum: int = 8) -> FrameSize:
    """A size that a user wrote, in its one form.

    Args:
      name: of the option, for the message.
      value: an integer, or two of them (a tuple or a list): height, then width.
      minimum: of both sides, in pixels.

    Raises:
      InputError: it is neither, or a side is smaller than `minimum`.
    """
    sides: list[Any] = list(value) if isinstance(value, tuple | list) else [value, value]
    whole = all(isinstance(s, numbers.Integral) and not isinstance(s, bool) for s in sides)
    if len(sides) != 2 or not whole or min(sides) < minimum:
        raise InputError(
            f"{name} must be an integer of at least {minimum}, or (height, width) with two of "
            f"them; received {value!r}"
        )
    return from_height_width(int(sides[0]), int(sides[1]))


def checked_model_size(name: str, value: object) -> FrameSize:
    """As `checked_size`, for frames that a model predicts: both sides are multiples of 8.

    Raises:
      InputError: also where a side is no multiple of 8; the message names the nearest that are.
    """
    size = checked_size(name, value)
    sides = height_width(size)
    if any(side % _MULTIPLE for side in sides):
        nearest = from_height_width(
            *(max(8, round(side / _MULTIPLE) * _MULTIPLE) for side in sides)
        )
        raise InputError(
            f"{name} must be a multiple of 8 on both sides, such as {nearest!r}; received {value!r}"
        )
    return size
