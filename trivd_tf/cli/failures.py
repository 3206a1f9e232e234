"""Report of a failure: one line on stderr, and the exit status."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.cli.signals import EXIT_TERMINATED, Terminated

EXIT_FAILED, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_PIPE_CLOSED = 1, 2, 130, 141


def report(error: BaseException, *, debug: bool) -> int:
    """Print the error, preceded by the traceback if `debug`.

    Returns:
        1 for a failed run; 2 for invalid usage, configuration or input; 130, 141 and 143 after
        Ctrl-C, a closed stdout and SIGTERM.
    """
    if isinstance(error, BrokenPipeError):
        # The reader closed the pipe, which is no failure. Keep Python from flushing the rest.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE_CLOSED
    if isinstance(error, KeyboardInterrupt):
        print(": ".join(["trivd: interrupted", *error.args]), file=sys.stderr)
        return EXIT_INTERRUPTED
    if isinstance(error, Terminated):
        print(": ".join(["trivd: terminated", *error.args]), file=sys.stderr)
        return EXIT_TERMINATED
    if debug:
        traceback.print_exception(error)
    if isinstance(error, InputError | RunError | OSError):
        _print_error(_one_line(str(error)) or type(error).__name__)
        return EXIT_INPUT if isinstance(error, InputError) else EXIT_FAILED
    advice = "" if debug else " (run again with --debug for the traceback)"
    _print_error(f"{type(error).__name__}: {_one_line(str(error), limit=300)}{advice}")
    return EXIT_FAILED


@contextlib.contextmanager
def leaving_at_once(*, wanted: bool, debug: bool) -> Iterator[None]:
    """Report any failure inside the context and end the process immediately.

    For a job of several workers: at a normal exit TensorFlow waits for the other workers, which may
    be gone, or be waiting for this one.

    Args:
        wanted: False disables this.
        debug: argument of `report`.
    """
    try:
        yield
    except BaseException as error:
        if not wanted:
            raise
        status = report(error, debug=debug)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(status)


def _one_line(text: str, limit: int | None = None) -> str:
    line = " ".join(text.split())
    return line if limit is None or len(line) <= limit else line[:limit] + "..."


def _print_error(line: str) -> None:
    try:
        print(f"trivd: error: {line}", file=sys.stderr, flush=True)
    except OSError:
        # stderr itself is closed; the exit status remains.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
