"""Evaluation weights on disk, under a key of everything that they depend on.

`MODEL_DIR/evaluation_weights/<step>-<digest>.npz` holds averaged weights with their standing
statistics. The digest, and the fields inside the file, name the checkpoint, the number and size of
the batches, the seed and the training clips: weights that were estimated otherwise lie in another
file, and are never taken for these.
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
        step: generator updates done.
        checkpoint: `file_digest` of the checkpoint's index, which changes with the weights.
        batches, batch_size, seed: of the standing statistics.
        data: fingerprint of the training clips that they were estimated on; empty where it is not
            known, which equals any.
        data_name: name of the data set.
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
        """As `export.json` and `report.json` hold it."""
        return dataclasses.asdict(self)

    def matches(self, other: "WeightsKey") -> bool:
        """Whether both are the same weights; clips that one of them does not name are any."""
        names = ("step", "checkpoint", "batches", "batch_size", "seed")
        same = all(getattr(self, name) == getattr(other, name) for name in names)
        return same and (self.data == other.data or not self.data or not other.data)

    @property
    def file_name(self) -> str:
        """`<step>-<digest>.npz`."""
        fields = {**self.to_json(), "data_name": None}
        text = json.dumps(fields, sort_keys=True)
        return f"{self.step}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.npz"


def file_digest(path: pathlib.Path) -> str:
    """A key of a file's bytes; a checkpoint's index holds a checksum of each of its tensors."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:24]


class StoredWeights:
    """The evaluation weights of a model directory."""

    def __init__(self, model_dir: str | os.PathLike[str]):
        self.folder = pathlib.Path(model_dir) / model_files.EVALUATION_WEIGHTS

    def keys(self, step: int) -> dict[pathlib.Path, WeightsKey]:
        """Every file of a step that can be read, newest first, and what it holds."""
        found = {}
        for path in sorted(self.folder.glob(f"{step}-*.npz"), key=_age):
            with contextlib.suppress(Exception):  # damaged, by many names: estimated again
                with path.open("rb") as file, np.load(file) as arrays:
                    found[path] = WeightsKey(**json.loads(str(arrays["key"])))
        return found

    def find(self, key: WeightsKey) -> tuple[pathlib.Path, WeightsKey] | None:
        """The file that holds the weights of `key`, and its own key."""
        for path, stored in self.keys(key.step).items():
            if key.matches(stored):
                return path, stored
        return None

    def save(self, key: WeightsKey, generator: Generator) -> None:
        """Writes all variables; the file appears whole or not at all.

        Of the step's other files, those of another checkpoint go, and the oldest of many.
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
        """Sets all variables.

        Raises:
            InputError: when the file is damaged or of another model.
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
