"""Stores evaluation weights on disk, keyed by everything that they depend on.

`MODEL_DIR/evaluation_weights/<step>-<digest>.npz` holds averaged weights with their standing
statistics. The digest and the fields inside the file identify the checkpoint, the number and size
of the batches, the seed and the training clips. Weights that were estimated differently are stored
in another file and never confused with these.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Any

import numpy as np

from trivd_tf.base import model_files
from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import whole_file
from trivd_tf.models import Generator

# Each file is as large as the generator.
_KEPT_PER_STEP = 3


@dataclasses.dataclass(frozen=True)
class WeightsKey:
    """Everything that evaluation weights depend on.

    Attributes:
        step: number of generator updates done.
        checkpoint: `file_digest` of the checkpoint's index, which changes with the weights.
        batches, batch_size, seed: settings of the standing statistics.
        data: fingerprint of the training clips that they were estimated on; empty if unknown, which
            matches any.
        data_name: name of the dataset.
    """

    step: int
    checkpoint: str
    batches: int
    batch_size: int
    seed: int
    data: str = ""
    data_name: str = ""

    def __str__(self) -> str:
        clips = f"{self.batches} x {self.batch_size} training clips"
        name = f" of {self.data_name}" if self.data_name else ""
        data = f" ({self.data})" if self.data else ""
        return (
            f"averaged weights of step {self.step} (checkpoint {self.checkpoint}), standing "
            f"statistics of {clips}{name}{data}, seed {self.seed}"
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the form stored in `export.json` and `report.json`."""
        return dataclasses.asdict(self)

    def matches(self, other: "WeightsKey") -> bool:
        """Returns whether both keys name the same weights; an empty `data` matches any."""
        names = ("step", "checkpoint", "batches", "batch_size", "seed")
        same = all(getattr(self, name) == getattr(other, name) for name in names)
        return same and (self.data == other.data or not self.data or not other.data)

    @property
    def file_name(self) -> str:
        """Name of the weights file, `<step>-<digest>.npz`."""
        fields = {**self.to_json(), "data_name": None}
        text = json.dumps(fields, sort_keys=True)
        return f"{self.step}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz"


def file_digest(path: pathlib.Path) -> str:
    """Returns a digest of a file; a checkpoint's index holds a checksum of each tensor."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:24]


class StoredWeights:
    """The stored evaluation weights of a model directory."""

    def __init__(self, model_dir: str | os.PathLike[str]):
        self.folder = pathlib.Path(model_dir) / model_files.EVALUATION_WEIGHTS

    def keys(self, step: int) -> dict[pathlib.Path, WeightsKey]:
        """Returns the readable files of a step, newest first, and their keys."""
        found = {}
        for path in sorted(self.folder.glob(f"{step}-*.npz"), key=_age):
            with contextlib.suppress(Exception):  # many error types; damaged files are replaced
                with path.open("rb") as file, np.load(file) as arrays:
                    found[path] = WeightsKey(**json.loads(str(arrays["key"])))
        return found

    def find(self, key: WeightsKey) -> tuple[pathlib.Path, WeightsKey] | None:
        """Returns the file that holds the weights of `key`, and the stored key."""
        for path, stored in self.keys(key.step).items():
            if key.matches(stored):
                return path, stored
        return None

    def save(self, key: WeightsKey, generator: Generator) -> None:
        """Writes all variables atomically.

        Deletes the step's files of other checkpoints, and the oldest files beyond the limit.
        """
        arrays = {f"{i:04d}": v.numpy() for i, v in enumerate(generator.variables)}
        path = self.folder / key.file_name
        with whole_file(path) as partial, partial.open("wb") as file:
            np.savez(file, key=np.array(json.dumps(key.to_json())), **arrays)  # type: ignore[arg-type]
        kept = 0
        for other, stored in self.keys(key.step).items():
            kept += stored.checkpoint == key.checkpoint
            if other != path and (stored.checkpoint != key.checkpoint or kept > _KEPT_PER_STEP):
                other.unlink(missing_ok=True)

    def load(self, path: pathlib.Path, generator: Generator) -> None:
        """Sets all variables of `generator` from a stored file.

        Raises:
            InputError: the file is damaged or holds another model.
        """
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                for index, variable in enumerate(generator.variables):
                    variable.assign(arrays[f"{index:04d}"])
        except (OSError, KeyError, ValueError, EOFError) as error:
            raise InputError(
                f"{path} is damaged or of another model ({error}): delete it and run "
                "`trivd evaluate` again"
            ) from error


def _age(path: pathlib.Path) -> float:
    try:
        return -path.stat().st_mtime
    except OSError:  # another process removed it
        return 0.0
