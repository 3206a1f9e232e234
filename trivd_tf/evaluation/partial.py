"""The partial sums of an evaluation, in a file, so that an interrupted evaluation resumes."""

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
    """The caller asked to stop; what was done so far is kept."""


def digest(parts: Any) -> str:
    """A short key of anything JSON can hold."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class PartialResult:
    """A file of arrays that counts only for the same work; it appears whole or not at all.

    Args:
        path: of the file.
        key: of the work, from `digest`; a file with another key is ignored.
        should_stop: asked after every write.
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
        """What an earlier process left of the same work; None where there is nothing to use."""
        try:
            with open(self.path, "rb") as file, np.load(file, allow_pickle=False) as stored:
                if str(stored["key"]) != self._key:
                    return None
                arrays = {name: stored[name] for name in stored.files if name != "key"}
        except Exception:  # missing, truncated or damaged, by many names: the work is done again
            return None
        self._saved = int(arrays["done"])
        return arrays

    def step(self, done: int, arrays: Callable[[], Arrays], *, last: bool = False) -> None:
        """Called after each batch: writes when it is time to, or at the last clip.

        Args:
            done: clips so far.
            arrays: gives what was summed so far.
            last: whether these were all.

        Raises:
            EvaluationStopped: the caller wants to stop; everything so far was written.
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
    """The arrays under names that begin with `prefix/`."""
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def below(prefix: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
    """The inverse of `prefixed`."""
    start = f"{prefix}/"
    return {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}
