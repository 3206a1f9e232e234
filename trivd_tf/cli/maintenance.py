"""Detection of maintenance or preemption announced by Google Cloud for this machine."""

from __future__ import annotations

import contextlib
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Protocol

_SECONDS_BETWEEN_LOOKS = 5.0
# Answers of the metadata server if nothing is announced.
_QUIET = {"instance/preempted": "FALSE", "instance/maintenance-event": "NONE"}


class Stoppable(Protocol):
    """Object that can be asked to stop."""

    def set(self, reason: str) -> None: ...


@contextlib.contextmanager
def watching_maintenance(
    stop: Stoppable, *, wanted: bool, every: float = _SECONDS_BETWEEN_LOOKS
) -> Iterator[None]:
    """Set `stop` as soon as the metadata server announces something.

    Args:
        stop: set once.
        wanted: False disables this.
        every: seconds between two requests.
    """
    if not wanted:
        yield
        return
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            for name, quiet in _QUIET.items():
                answer = _ask(name)
                if answer not in (None, quiet):
                    stop.set(f"Google Cloud announces {name.rpartition('/')[2]} {answer}")
                    return
            ended.wait(every)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _ask(name: str) -> str | None:
    """Return the metadata server's answer, or None (another cloud, a short outage)."""
    host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
    request = urllib.request.Request(
        f"http://{host}/computeMetadata/v1/{name}", headers={"Metadata-Flavor": "Google"}
    )
    try:
        with urllib.request.urlopen(request, timeout=2) as reply:
            return reply.read().decode().strip()
    except (OSError, urllib.error.URLError, UnicodeDecodeError):
        return None
