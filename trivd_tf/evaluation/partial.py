"""File of an evaluation's partial sums, from which an interrupted evaluation resumes."""

import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from trivd_tf.base.storage import RUN_AGAIN, whole_file

# Clips between two writes of a file of a few megabytes.
SAVE_EVERY = 256

Arrays = dict[str, np.ndarray]


class EvaluationStopped(Exception):
    """The caller asked to stop; partial results are kept."""


def digest(parts: Any) -> str:
    """Return a short key of any JSON-serializable value."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class PartialResult:
    """A file of arrays, valid only for the same work and written atomically.

    Args:
        path: path of the file.
        key: key of the work, from `digest`; a file with another key is ignored.
        should_stop: polled after every write.
        save_every: clips between two writes.
    """

    def __init__(
        self,
        path: pathlib.Path,
        key: str,
        should_stop: Callable[[], bool] = lambda: False,
        save_every: int = SAVE_EVERY,
    ):
        self.path = path
        self._key = key
        self._should_stop = should_stop
        self._save_every = save_every
        self._saved = 0

    def load(self) -> Arrays | None:
        """Return an earlier process's arrays of the same work, or None."""
        try:
            with open(self.path, "rb") as file, np.load(file, allow_pickle=False) as stored:
                if str(stored["key"]) != self._key:
                    return None
                arrays = {name: stored[name] for name in stored.files if name != "key"}
        except Exception:  # missing, truncated or damaged, with many error types: start over
            return None
        self._saved = int(arrays["done"])
        return arrays

    def step(self, done: int, arrays: Callable[[], Arrays], *, last: bool = False) -> None:
        """Call after each batch: writes if it is due, or at the last clip.

        Args:
            done: clips processed so far.
            arrays: returns the current partial sums.
            last: whether these were all clips.

        Raises:
            EvaluationStopped: `should_stop` returned True; everything so far is written.
            RunError: the file cannot be written.
        """
        stopping = self._should_stop()
        if last or stopping or done - self._saved >= self._save_every:
            self._write({**arrays(), "done": np.array(done)})
            self._saved = done
        if stopping and not last:
            raise EvaluationStopped(f"after {done} clips")

    def _write(self, arrays: Mapping[str, np.ndarray]) -> None:
        with whole_file(self.path, advice=RUN_AGAIN) as partial, partial.open("wb") as file:
            np.savez(file, key=np.array(self._key), **arrays)  # type: ignore[arg-type]


def prefixed(prefix: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Prepend `prefix/` to the names of the arrays."""
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def below(prefix: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Invert `prefixed`."""
    start = f"{prefix}/"
    return {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}
