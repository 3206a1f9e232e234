"""Rotation and mirroring that make a decoded picture upright."""

import dataclasses
import struct
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type


@dataclasses.dataclass(frozen=True)
class Orientation:
    """One of the eight orientations of a rectangle: transpose, then reverse rows and columns.

    Attributes:
      transposed: rows become columns.
      upside_down: the order of the rows is reversed, after transposing.
      mirrored: the order of the columns is reversed, after transposing.
    """

    transposed: bool = False
    upside_down: bool = False
    mirrored: bool = False

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Returns `image` `[H, W, C]` upright and contiguous: `[W, H, C]` if transposed."""
        if self.transposed:
            image = image.transpose(1, 0, 2)
        if self.upside_down:
            image = image[::-1]
        if self.mirrored:
            image = image[:, ::-1]
        return np.ascontiguousarray(image)

    def describe(self) -> str:
        """Describes the operation in a few words; empty for the identity."""
        return _WORDS[self.transposed, self.upside_down, self.mirrored]


UPRIGHT = Orientation()

_WORDS = {
    (False, False, False): "",
    (False, False, True): "mirrored left to right",
    (False, True, False): "flipped top to bottom",
    (False, True, True): "turned by 180 degrees",
    (True, False, False): "transposed",
    (True, False, True): "turned by 90 degrees clockwise",
    (True, True, False): "turned by 90 degrees counterclockwise",
    (True, True, True): "transposed along the other diagonal",
}


def from_matrix(a: float, b: float, c: float, d: float) -> Orientation:
    """Returns the orientation nearest to a display matrix.

    Args:
      a, b, c, d: a pixel at (x, y) of the stored picture is shown at (a x + c y, b x + d y), y
        pointing down (ISO/IEC 14496-12, 6.2.2: the matrix of a track header).
    """
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, upside_down=b < 0, mirrored=c < 0)
    return Orientation(False, upside_down=d < 0, mirrored=a < 0)


# Orientations by the value of Exif's tag 0x0112.
_BY_EXIF = {
    2: Orientation(mirrored=True),
    3: Orientation(upside_down=True, mirrored=True),
    4: Orientation(upside_down=True),
    5: Orientation(True),
    6: Orientation(True, mirrored=True),
    7: Orientation(True, upside_down=True, mirrored=True),
    8: Orientation(True, upside_down=True),
}


def from_exif(value: object) -> Orientation:
    """Returns the orientation of Exif's tag 0x0112; upright unless the value is 2 to 8."""
    return _BY_EXIF.get(value, UPRIGHT) if isinstance(value, int) else UPRIGHT


def side_data(frame: av.VideoFrame, kind: Type) -> bytes | None:
    """Returns side data of a frame.

    Raises:
      ValueError: the frame has side data of a kind unknown to PyAV (Exif in 18.1), which prevents
        reading any side data.
    """
    known: Any = frame.side_data
    data = known.get(kind)
    return None if data is None else bytes(data)


def of_frame(frame: av.VideoFrame) -> Orientation:
    """Returns the orientation of a frame's display matrix."""
    try:
        data = side_data(frame, Type.DISPLAYMATRIX)
    except ValueError:
        return _from_quarter_turns(round(frame.rotation / 90) % 4)
    if data is None:
        return UPRIGHT
    a, b, _, c, d = struct.unpack_from("=5i", data)
    return from_matrix(a, b, c, d)


class OrientationReader:
    """Applies `of_frame` to the frames of one video, only when the angle changes.

    PyAV's side data and their frame refer to each other, so that its memory is not reused until
    garbage collection: reading them at every frame costs a tenth of the decoding speed.
    """

    def __init__(self) -> None:
        self._angle: int | None = None
        self._orientation = UPRIGHT

    def __call__(self, frame: av.VideoFrame) -> Orientation:
        angle = frame.rotation
        if angle != self._angle:
            self._angle, self._orientation = angle, of_frame(frame)
        return self._orientation


def _from_quarter_turns(turns: int) -> Orientation:
    """Returns the orientation of a number of counterclockwise quarter turns."""
    return (UPRIGHT, _BY_EXIF[8], _BY_EXIF[3], _BY_EXIF[6])[turns]
