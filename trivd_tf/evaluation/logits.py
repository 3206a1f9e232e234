"""File of the logits scored so far, so that memory use does not grow with the clips."""

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
    """Appendable float32 rows, stored beside the partial result that names the file.

    Each process writes its own file. Files of other processes working on the same evaluation, or
    of interrupted ones, are copied and never changed.

    Args:
        result: path of the partial result; the file's name begins with its stem.
        dim: D, the length of a row.
    """

    def __init__(self, result: pathlib.Path, dim: int = 400):
        self._stem = f".{result.stem}."
        self.path = result.with_name(f"{self._stem}{uuid.uuid4().hex}{_ENDING}")
        self._dim = dim
        self._count = 0

    @property
    def name(self) -> np.ndarray:
        """File name, as stored in the partial result."""
        return np.array(self.path.name)

    def resume(self, name: str, count: int, *, complete: bool) -> bool:
        """Start from the first `count` rows of another file; return False if they are missing.

        Args:
            name: name of the other file.
            count: rows that belong to the partial result; the file may have more.
            complete: nothing will be appended, so use the other file itself.
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
        """Append logits `[n, D]`.

        Raises:
            RunError: the file cannot be written.
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
        """Return all rows, `[N, D]`, memory-mapped."""
        return np.memmap(self.path, np.float32, "r", shape=(self._count, self._dim))

    def remove_others(self) -> None:
        """Delete the files of interrupted processes once the evaluation is complete."""
        for path in self.path.parent.glob(f"{self._stem}*{_ENDING}"):
            if path != self.path:
                with contextlib.suppress(OSError):
                    path.unlink()
