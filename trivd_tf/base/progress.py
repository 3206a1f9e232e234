"""Progress of long work on stderr: a bar with an estimate in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 30.0


def format_seconds(seconds: float) -> str:
    """`42 s`, `3 min 20 s` or `2 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Progress:
    """Shows how far a piece of long work is and how long it will still take.

    In a terminal this is tqdm's bar. Where stderr is a file or a pipe (a log, CI, a scheduler) it
    is one plain line at most every 30 seconds and one at the end, so that logs stay readable; work
    that ends before the first line is due stays silent.

        with Progress("decoding", total=len(files), unit="file") as progress:
            for file in files:
                ...
                progress.update()

    Args:
        description: what is being done, a few words.
        total: how many units there are, or None where that is not known.
        unit: what is counted, singular.
        initial: how many were done before (a resumed run); they do not count for the speed.
    """

    def __init__(
        self, description: str, *, total: int | None = None, unit: str = "step", initial: int = 0
    ) -> None:
        self._description = description
        self._total = total
        self._unit = unit
        self._initial = initial
        self._done = initial
        self._values = ""
        self._started = time.monotonic()
        self._last_line = self._started
        self._said: int | None = None  # how many were done when the last line was printed
        self._bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                desc=description,
                total=total,
                unit=unit,
                initial=initial,
                dynamic_ncols=True,
                smoothing=0.1,
            )

    def update(self, count: int = 1, **values: object) -> None:
        """Counts `count` more units; `values` (a loss, a name) are shown beside the progress."""
        self._done += count
        if values:
            self._values = ", ".join(f"{name} {value}" for name, value in values.items())
        if self._bar is not None:
            if values:
                self._bar.set_postfix_str(self._values, refresh=False)
            self._bar.update(count)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._print_line()

    def close(self) -> None:
        """Ends the bar, or prints the last line where earlier ones were printed."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        elif self._said not in (None, self._done):
            self._print_line()

    def write(self, line: str) -> None:
        """Prints a line on stderr without tearing the bar."""
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def _print_line(self) -> None:
        elapsed = time.monotonic() - self._started
        rate = (self._done - self._initial) / elapsed if elapsed > 0 else 0.0
        count = f"{self._done}/{self._total}" if self._total is not None else f"{self._done}"
        parts = [f"{self._description}: {count} {self._unit}s", f"{rate:.2f} {self._unit}s/s"]
        if self._total is not None and self._done < self._total and rate > 0:
            parts.append(f"about {format_seconds((self._total - self._done) / rate)} left")
        if self._values:
            parts.append(self._values)
        print(", ".join(parts), file=sys.stderr, flush=True)
        self._last_line = time.monotonic()
        self._said = self._done

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def track(
    items: Iterable[T], description: str, *, total: int | None = None, unit: str = "item"
) -> Iterator[T]:
    """Yields `items` one by one and shows the progress; `total` defaults to their `len`."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(description, total=total, unit=unit) as progress:
        for item in items:
            yield item
            progress.update()
