"""Handling of Ctrl-C and SIGTERM."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

EXIT_TERMINATED = 128 + signal.SIGTERM


class Terminated(BaseException):
    """SIGTERM was received; like KeyboardInterrupt, `except Exception` does not catch it."""


@contextlib.contextmanager
def raise_on_sigterm() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM, so that files are closed and partial ones removed."""

    def handle(number: int, frame: FrameType | None) -> None:
        raise Terminated

    with _handlers({signal.SIGTERM: handle}):
        yield


class StopSignal:
    """Records a first SIGTERM or Ctrl-C for a loop that saves and exits; a second exits at once.

    with StopSignal() as stop:
        while not stop.is_set():
            ...
    sys.exit(stop.exit_status)
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._stack = contextlib.ExitStack()

    def is_set(self) -> bool:
        """Whether a signal was received."""
        return self._number is not None

    def set(self, reason: str) -> None:
        """Request a stop as SIGTERM does, and print the reason."""
        if self._number is None:
            self._number = signal.SIGTERM
            print(f"trivd: stopping: {reason}; the run is saved", file=sys.stderr, flush=True)

    @property
    def exit_status(self) -> int:
        """Exit status: 130 after Ctrl-C, 143 after SIGTERM, 0 without either."""
        return 0 if self._number is None else 128 + self._number

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._number is not None:
            raise KeyboardInterrupt if number == signal.SIGINT else Terminated
        self._number = number
        print(
            "trivd: stopping: the run is saved after the current steps (repeat to stop at once)",
            file=sys.stderr,
            flush=True,
        )

    def __enter__(self) -> StopSignal:
        handlers = {signal.SIGINT: self._handle, signal.SIGTERM: self._handle}
        self._stack.enter_context(_handlers(handlers))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


@contextlib.contextmanager
def _handlers(handlers: dict) -> Iterator[None]:
    # Only the main thread may set handlers; elsewhere (tests, notebooks) they are unchanged.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
