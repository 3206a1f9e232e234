"""Logits of the clips that were scored so far, in a file: memory does not grow with them."""

import contextlib
import os
import pathlib
import shutil
import uuid

import numpy as np

from trivd_tf.base.errors import RunError
from trivd_tf.base.storage import RUN_AGAIN

_ENDING = ".f32"


class LogitsFile:
    """Rows of float32 that are appended, beside an unfinished result that names the file.

    Each process writes a file of its own: what another process of the same work writes, or wrote
    before it was interrupted, stays as it is and is copied.

    Args:
        result: path of the unfinished result; the file's name begins with its stem.
        dim: D, of a row.
    """

    def __init__(self, result: pathlib.Path, dim: int = 400):
        self._stem = f".{result.stem}."
        self.path = result.with_name(f"{self._stem}{uuid.uuid4().hex}{_ENDING}")
        self._dim = dim
        self._count = 0

    @property
    def name(self) -> np.ndarray:
        """For the unfinished result."""
        return np.array(self.path.name)

    def resume(self, name: str, count: int, *, complete: bool) -> bool:
        """Begins with the first `count` rows of another file; False where it lacks them.

        Args:
            name: of the other file.
            count: rows that belong to the unfinished result; there may be more.
            complete: nothing will be appended, so that the other file itself is used.
        """
        other = self.path.with_name(name)
        size = count * self._dim * 4
        try:
            if other.stat().st_size < size:
                return False
            if complete:
                self.path = other
            else:
                shutil.copyfile(other, self.path)
                os.truncate(self.path, size)
        except OSError:
            return False
        self._count = count
        return True

    def append(self, rows: np.ndarray) -> None:
        """Adds logits `[n, D]`.

        Raises:
            RunError: they cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(np.ascontiguousarray(rows, np.float32).tobytes())
        except OSError as error:
            reason = error.strerror or error
            raise RunError(f"{self.path}: could not be written ({reason}); {RUN_AGAIN}") from error
        self._count += len(rows)

    def rows(self) -> np.ndarray:
        """All of them, `[N, D]`, memory-mapped."""
        return np.memmap(self.path, np.float32, "r", shape=(self._count, self._dim))

    def remove_others(self) -> None:
        """Deletes the files of interrupted processes, once all is done."""
        for path in self.path.parent.glob(f"{self._stem}*{_ENDING}"):
            if path != self.path:
                with contextlib.suppress(OSError):
                    path.unlink()
