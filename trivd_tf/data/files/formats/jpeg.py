"""The segments of a JPEG (ITU-T T.81, annex B): libav decodes half a picture without a word."""

import re
from pathlib import Path

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
# Within a scan, what is neither a stuffed byte nor a restart nor filling (B.1.1.2 to B.1.1.5).
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def is_cut(path: Path) -> bool:
    """Whether a file begins as a JPEG and ends before its end marker; what follows is ignored."""
    data = path.read_bytes()
    if data[:2] != bytes((0xFF, _START)):
        return False
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # filling
            place += 1
        elif marker == _END:
            return False
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
            if marker == _SCAN:
                found = _MARKER.search(data, place)
                if found is None:
                    return True
                place = found.start()
    return data[place : place + 2] != bytes((0xFF, _END))
