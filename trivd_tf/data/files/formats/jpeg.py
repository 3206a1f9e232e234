"""Parses JPEG segments (ITU-T T.81, annex B), since libav decodes truncated files silently."""

import re
from pathlib import Path

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
# Markers within a scan other than stuffed bytes, restarts and fill bytes (B.1.1.2 to B.1.1.5).
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def is_cut(path: Path) -> bool:
    """Returns whether a JPEG ends before its end marker; data after the marker is ignored."""
    data = path.read_bytes()
    if data[:2] != bytes((0xFF, _START)):
        return False
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # fill byte
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
