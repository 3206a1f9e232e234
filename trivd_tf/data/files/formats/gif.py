"""The blocks of a GIF (GIF89a specification, section 18 on and appendix A)."""

import mmap
import os

_IMAGE, _EXTENSION, _CONTROL = 0x2C, 0x21, 0xF9
_HEADER = 13  # signature and logical screen descriptor
# Disposal methods that leave an image where it is: none stated, and stated.
_KEEPING = frozenset({0, 1})
_FULL, _RUN = b"\xff", 256  # most sub-blocks are full; so many of them are passed over at once


def is_whole(path: str | os.PathLike[str]) -> bool:
    """Whether a GIF ends between two of its blocks; libav does not report it.

    The trailer may be missing, and anything may follow it: all frames are there.
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
                else:  # the trailer, or what is no block
                    return True
                place = _after_sub_blocks(data, place)
        except IndexError:
            return False
    return True


def keeps_opaque(packet: bytes | memoryview, *, first: bool) -> bool:
    """Whether a canvas that is opaque after an image stays so until the next one.

    An image's transparent pixels leave what is below them; only its disposal (to the background,
    or to what was there before it) empties any, and a further header the whole canvas.

    Args:
      packet: the blocks of one image, as libav's demultiplexer cuts them.
      first: whether it begins with the file's header.

    Returns:
      False also where the blocks are not understood.
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
    """The place behind the sub-blocks that begin at `place`; `IndexError` where they are cut."""
    while length := data[place]:
        if length == 255:
            lengths = bytes(data[place : place + 256 * _RUN : 256])
            place += 256 * (len(lengths) - len(lengths.lstrip(_FULL)))
        else:
            place += 1 + length
    return place + 1


def _colours(flags: int) -> int:
    """Bytes of the table of colours that the flags announce."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
