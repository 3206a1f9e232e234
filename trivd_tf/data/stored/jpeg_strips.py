"""Joins JPEG files of one size into a vertical strip of frames, without decoding pixels.

At 64 x 64, a decoder spends as much time on setup (tables, buffers, the call) as on pixels.
Baseline JPEG files with the same header can be joined by their bytes: one header with the new
height and a restart interval of one frame, then the frames' data, separated by restart markers. One
call of the decoder then returns exactly the pixels of the single files.
"""

import struct
from collections.abc import Sequence

_SOF0, _SOS, _DRI, _RST0 = 0xC0, 0xDA, 0xDD, 0xD0  # markers: frame, scan, interval, restart
_EOI = b"\xff\xd9"
_BLOCK = 8

# A JPEG file has at most 65,500 rows: enough for frames 2,000 pixels high.
FRAMES_IN_STRIP = 32


def padded_height(height: int) -> int:
    """Returns the number of rows of a frame in a strip, rounded up to whole blocks."""
    return -(-height // _BLOCK) * _BLOCK


def join(files: Sequence[bytes]) -> bytes:
    """Joins the frames of `files` vertically into one JPEG file.

    Args:
      files: baseline JPEG files of one size, quality and table, without chroma subsampling, as
        stored by `prepare`; at most `FRAMES_IN_STRIP`.

    Returns:
      A JPEG file of `len(files) * padded_height(H)` rows.

    Raises:
      ValueError: the files are not such JPEG files.
    """
    place, scan, end = _parse_header(files[0])
    header = files[0][:end]
    height, width = struct.unpack_from(">HH", header, place)
    rows = padded_height(height)
    interval = rows // _BLOCK * (padded_height(width) // _BLOCK)
    parts = [
        header[:place],
        struct.pack(">H", rows * len(files)),
        header[place + 2 : scan],
        struct.pack(">BBHH", 0xFF, _DRI, 4, interval),
        header[scan:],
    ]
    for number, file in enumerate(files):
        if not (file.startswith(header) and file.endswith(_EOI)):
            raise ValueError("the JPEG files differ in their headers, or one is truncated")
        parts += (file[end:-2], bytes((0xFF, _RST0 + number % 8)))
    parts[-1] = _EOI
    return b"".join(parts)


def _parse_header(file: bytes) -> tuple[int, int, int]:
    """Returns the offsets of the height, of the scan header and of the scan data."""
    position, height_place = 2, 0
    while position + 4 <= len(file) and file[position] == 0xFF:
        marker, length = struct.unpack_from(">xBH", file, position)
        if marker == _SOF0:
            height_place = position + 5
            if set(file[position + 11 : position + 2 + length : 3]) != {0x11}:
                raise ValueError("the JPEG file has subsampled colour")
        if marker == _SOS and height_place:
            return height_place, position, position + 2 + length
        position += 2 + length
    raise ValueError("no baseline JPEG file")
