"""Progress display on stderr: a bar with a time estimate in a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 30.0
# Terminal width in columns below which tqdm would truncate its line.
_NARROWEST_BAR = 60
_NARROW = "{desc}: {n_fmt}/{total_fmt} [<{remaining}]"


def format_seconds(seconds: float) -> str:
    """Formats a duration as `42 s`, `3 min 20 s` or `2 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Progress:
    """Shows the progress and the remaining time of a long task.

    In a terminal this is tqdm's bar without colors, or only the count and the time left if the
    terminal is narrow. If stderr is a file or a pipe (a log, CI, a scheduler) or a terminal that
    cannot move its cursor (TERM=dumb), one plain line is printed at most every 30 seconds and one
    at the end, so that logs stay readable; a task that ends before the first line is due prints
    nothing. If stderr is closed, the task continues without progress output.

        with Progress("decoding", total=len(files), unit="file") as progress:
            for file in files:
                ...
                progress.update()

    Args:
        description: the task, in a few words.
        total: number of units, or None if unknown.
        unit: name of the unit, singular.
        initial: number of units done before (in a resumed run); excluded from the speed.
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
        self._said: int | None = None  # number of units done when the last line was printed
        self._bar = None
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            from tqdm import tqdm

            columns = shutil.get_terminal_size().columns

            self._bar = tqdm(
                desc=description,
                total=total,
                unit=unit,
                initial=initial,
                dynamic_ncols=True,
                smoothing=0.1,
                bar_format=_NARROW if columns < _NARROWEST_BAR and total is not None else None,
            )

    def update(self, count: int = 1, *, is_typical: bool = True, **values: object) -> None:
        """Counts `count` more units.

        Args:
            count: number of units.
            is_typical: False if these units took longer than later ones will, such as a first step
                that compiles. They and the time before them are then excluded from the speed.
            values: values shown beside the progress, such as a loss or a name.
        """
        self._done += count
        if values:
            self._values = ", ".join(f"{name} {value}" for name, value in values.items())
        if not is_typical:
            self._initial, self._started = self._done, time.monotonic()
        if self._bar is not None:
            with contextlib.suppress(OSError):
                self._update_bar(count, is_typical)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._print_line()

    def _update_bar(self, count: int, is_typical: bool) -> None:
        assert self._bar is not None
        if self._values:
            self._bar.set_postfix_str(self._values, refresh=False)
        if is_typical:
            self._bar.update(count)
            return
        self._bar.n = self._bar.initial = self._bar.last_print_n = self._done
        self._bar.start_t = self._bar.last_print_t = time.time()
        self._bar.refresh()

    def close(self) -> None:
        """Ends the bar, or prints a final line if earlier lines were printed."""
        if self._bar is not None:
            with contextlib.suppress(OSError):
                self._bar.close()
            self._bar = None
        elif self._said not in (None, self._done):
            self._print_line()

    def write(self, line: str) -> None:
        """Prints a line on stderr without disturbing the bar."""
        with contextlib.suppress(OSError):  # a closed pipe must not end the task
            if self._bar is not None:
                self._bar.write(line, file=sys.stderr)
            else:
                print(line, file=sys.stderr, flush=True)

    def _print_line(self) -> None:
        elapsed = time.monotonic() - self._started
        rate = (self._done - self._initial) / elapsed if elapsed > 0 else 0.0
        count = f"{self._done}/{self._total}" if self._total is not None else f"{self._done}"
        parts = [f"{self._description}: {count} {self._unit}s"]
        if rate > 0:
            parts.append(f"{rate:.2f} {self._unit}s/s")
        if self._total is not None and self._done < self._total and rate > 0:
            parts.append(f"about {format_seconds((self._total - self._done) / rate)} left")
        if self._values:
            parts.append(self._values)
        self.write(", ".join(parts))
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
    """Yields `items` and shows the progress; `total` defaults to `len(items)`."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Progress(description, total=total, unit=unit) as progress:
        for item in items:
            yield item
            progress.update()
