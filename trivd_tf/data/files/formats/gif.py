"""Parses the blocks of a GIF (GIF89a specification, from section 18, and appendix A)."""

import mmap
import os

_IMAGE, _EXTENSION, _CONTROL = 0x2C, 0x21, 0xF9
_HEADER = 13  # signature and logical screen descriptor
# Disposal methods that leave an image in place: unspecified, and "do not dispose".
_KEEPING = frozenset({0, 1})
_FULL, _RUN = b"\xff", 256  # most sub-blocks are full; up to this many are skipped at once


def is_whole(path: str | os.PathLike[str]) -> bool:
    """Returns whether a GIF ends between two of its blocks, which libav does not report.

    The trailer may be missing, and any data may follow it: the frames are complete.
    """
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        try:
            place = _HEADER + _colours(data[10])
            while place < len(data):
                kind = data[place]
                if kind == _IMAGE:
                    place += 11 + _colours(data[place + 9])
                elif kind == _EXTENSION:
                    place += 2
                else:  # the trailer, or data that is not a block
                    return True
                place = _after_sub_blocks(data, place)
        except IndexError:
            return False
    return True


def keeps_opaque(packet: bytes | memoryview, *, first: bool) -> bool:
    """Returns whether a canvas that is opaque after an image remains opaque until the next one.

    Transparent pixels of an image keep the pixels below them. Only its disposal (to the background,
    or to the previous content) clears pixels, and a further header clears the whole canvas.

    Args:
      packet: the blocks of one image, as split by libav's demultiplexer.
      first: whether the packet begins with the file's header.

    Returns:
      The result; False if the blocks cannot be parsed.
    """
    try:
        place = _HEADER + _colours(packet[10]) if first else 0
        while packet[place] == _EXTENSION:
            if packet[place + 1] == _CONTROL and packet[place + 3] >> 2 & 7 not in _KEEPING:
                return False
            place = _after_sub_blocks(packet, place + 2)
        return packet[place] == _IMAGE
    except IndexError:
        return False


def _after_sub_blocks(data: bytes | memoryview | mmap.mmap, place: int) -> int:
    """Returns the offset after the sub-blocks at `place`; `IndexError` if they are truncated."""
    while length := data[place]:
        if length == 255:
            lengths = bytes(data[place : place + 256 * _RUN : 256])
            place += 256 * (len(lengths) - len(lengths.lstrip(_FULL)))
        else:
            place += 1 + length
    return place + 1


def _colours(flags: int) -> int:
    """Returns the size in bytes of the color table announced by the flags."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
