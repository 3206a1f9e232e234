"""Frame sizes: one number for squares, `(height, width)` for other rectangles.

Every option for a frame size accepts both forms, and every function that needs height and width
calls `height_width`. A square is always stored as one number, so that `(64, 64)` and `64` name the
same models, caches and files.
"""

import numbers
from typing import Any

from trivd_tf.base.errors import InputError

FrameSize = int | tuple[int, int]

_MULTIPLE = 8  # the generator starts at 1/8 of the frame size and doubles it three times


def height_width(size: FrameSize) -> tuple[int, int]:
    """Returns the height and width of a frame.

    Args:
      size: side of a square, or (height, width), in pixels.

    Returns:
      (height, width).
    """
    if isinstance(size, tuple | list):  # JSON gives a list
        height, width = size
        return height, width
    return size, size


def from_height_width(height: int, width: int) -> FrameSize:
    """Inverts `height_width`: returns one number if the frame is square."""
    return height if height == width else (height, width)


def size_text(size: FrameSize) -> str:
    """Formats a frame size as `96 x 160`: height, then width."""
    return " x ".join(map(str, height_width(size)))


def checked_size(name: str, value: object, *, minimum: int = 8) -> FrameSize:
    """Checks a user's frame size and returns its canonical form.

    Args:
      name: name of the option, for the message.
      value: an integer, or a tuple or list of two integers: height, then width.
      minimum: minimum of both sides, in pixels.

    Raises:
      InputError: `value` has another form, or a side is smaller than `minimum`.
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
    """As `checked_size`, for frames that a model predicts: both sides must be multiples of 8.

    Raises:
      InputError: as in `checked_size`, or a side is not a multiple of 8; the message names the
        nearest valid sizes.
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
