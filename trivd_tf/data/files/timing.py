"""Time stamps of frames, and selection of frames at a target frame rate."""

import collections
from collections.abc import Iterable, Iterator

from trivd_tf.data.files.container import Decoded

DEFAULT_FRAME_RATE = 25.0  # for files that state none
_FASTEST_FRAME_RATE = 120.0  # a higher rate in a header is a time base, not a frame rate
_LONGEST_FRAME = 10.0  # seconds; a longer gap is treated as damage and closed


def plausible_rate(rate: float) -> float:
    """Returns a header's frame rate, or the default if it is implausible."""
    return rate if 0 < rate <= _FASTEST_FRAME_RATE else DEFAULT_FRAME_RATE


def describe_rates(rates: Iterable[float]) -> str:
    """Describes frame rates that differ by more than a tenth, with the number of videos of each.

    Empty if they agree; videos that state no rate (0.0) are ignored.
    """
    counts = collections.Counter(round(rate, 2) for rate in rates if rate > 0)
    if not counts or max(counts) <= 1.1 * min(counts):
        return ""
    listed = [f"{rate:g} ({counts[rate]})" for rate in sorted(counts)]
    if len(listed) > 6:
        listed = [*listed[:3], "...", *listed[-3:]]
    return ", ".join(listed)


def at_rate(frames: Iterator[Decoded], fps: float, *, nominal_rate: float) -> Iterator[Decoded]:
    """Selects `fps` frames per second of playing time.

    Frame k of the result is the frame on the screen at k / fps seconds: the nearest frame that is
    not later (within a tick of the file's clock, because millisecond clocks round). A slow video
    thus repeats frames and a fast one drops some, and all play at the same speed. Time begins with
    the first frame and ends after the duration of the last one.

    Of several frames with the same time stamp, the last is used. If a stamp is missing, goes back
    or is more than ten seconds later, time continues at the file's nominal rate.

    Args:
      frames: frames in display order.
      fps: target frames per second.
      nominal_rate: frame rate of the file, for frames without a usable stamp.
    """
    clock = _Clock(1 / plausible_rate(nominal_rate))
    taken = 0
    held: Decoded | None = None
    for decoded in frames:
        start = clock.start(decoded[0])
        tolerance = min(clock.tick, 0.25 / fps) + 1e-9
        while held is not None and taken / fps < start - tolerance:
            yield held
            taken += 1
        held = decoded
    while held is not None and taken / fps < clock.end - 1e-9:
        yield held
        taken += 1


class _Clock:
    """Seconds since the first frame, never decreasing."""

    def __init__(self, period: float) -> None:
        self._period = period  # duration of a frame, in seconds
        self._begun = False
        self._offset: float | None = None
        self._last = 0.0
        self.tick = 0.0
        self.end = 0.0

    def start(self, frame) -> float:  # type: ignore[no-untyped-def]
        """Returns the display time of the frame; updates `tick` and `end`."""
        base = frame.time_base
        stamp = None if frame.pts is None or base is None else float(frame.pts * base)
        start = self._last + self._period if self._begun else 0.0
        if stamp is not None:
            shown = start if self._offset is None else stamp - self._offset
            if self._last <= shown <= self._last + _LONGEST_FRAME:
                start = shown
            self._offset = stamp - start
        self._begun = True
        duration = float(frame.duration * base) if base is not None and frame.duration else 0.0
        if not 0 < duration <= _LONGEST_FRAME:
            duration = start - self._last if start > self._last else self._period
        self._last, self.end = start, max(self.end, start + duration)
        self.tick = float(base) if base is not None else 0.0
        return start
