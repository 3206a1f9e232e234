"""Figures of compiled programs, kept so that nothing is compiled twice."""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import write_whole
from trivd_tf.compilation.topologies import parse_topology

FILE_NAME = "compiled.json"

# A change in these may change a program.
_SOURCES = ("ops", "layers", "models", "experiment", "training", "compilation")


def fingerprint(description: dict[str, Any]) -> str:
    """A name for whatever decides a program: the same for equal descriptions."""
    text = json.dumps(description, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def describe(experiment: Any) -> dict[str, Any]:
    """What of an experiment decides its programs; numbers that only scale a loss do not."""
    options = experiment.training
    clip = experiment.clip
    return {
        "title": experiment.title,
        "frames": [clip.num_conditioning_frames, clip.num_predicted_frames, clip.size],
        "num_classes": experiment.num_classes,
        "generator": _options(experiment.generator),
        "discriminators": _options(experiment.discriminators),
        "optimizer": options.optimizer,
        "precision": options.precision,
        "batch_size": options.batch_size,
        "discriminator_steps": options.discriminator_steps,
        "mix_over_replicas": options.mix_over_replicas,
        # Left out where off: records made before there was recomputation stay good.
        **({"recompute": True} if options.recompute else {}),
        # "auto" leaves it off on a TPU.
        **({"deterministic": True} if options.deterministic is True else {}),
    }


def _options(deferred: Any) -> dict[str, Any]:
    """The arguments that `models.generator` or `models.discriminators` was given."""
    return dict(sorted(deferred.keywords.items()))


def source_digest() -> str:
    """Of the package's files that programs are traced from."""
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for folder in _SOURCES:
        for path in sorted((package / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Record:
    """One program compiled for one topology.

    Attributes:
        program: of `programs.PROGRAMS`.
        topology: for example `v3:2x2`.
        num_replicas, replica_batch: how the global batch is shared.
        configuration: from `describe`.
        runs_a_step: how often a train step runs it.
        resident_bytes: of the job's variables that the program does not take.
        figures: from `tpu_compiler`.
        digest: of the StableHLO.
        source: from `source_digest`.
        date: of the compile, `2026-01-31`.
    """

    program: str
    topology: str
    num_replicas: int
    replica_batch: int
    configuration: dict[str, Any]
    runs_a_step: int
    resident_bytes: int
    figures: dict[str, Any]
    digest: str
    source: str
    date: str

    @property
    def compiled(self) -> bool:
        """Whether the compiler found room for the program alone."""
        return "out_of_memory" not in self.figures

    @property
    def fits(self) -> bool:
        """Whether the program and the job's other variables find room together."""
        return self.compiled and self.peak_bytes <= parse_topology(self.topology).hbm_bytes

    @property
    def peak_bytes(self) -> int:
        """The most HBM in use at any time of the program, the job's other variables included.

        Of a program that the compiler refused, what it would have needed.
        """
        if not self.compiled:
            return self.figures["out_of_memory"]["wanted_bytes"] + self.resident_bytes
        return self.figures["peak_bytes"] + self.resident_bytes


class Records:
    """The records of a folder; another process may add to the same folder meanwhile.

    Args:
        folder: made when the first record is written.
    """

    def __init__(self, folder: str | Path):
        self.path = Path(folder).expanduser() / FILE_NAME

    def read(self) -> dict[str, Record]:
        """Fingerprint -> record.

        Raises:
            InputError: the file is not one of these.
        """
        if not self.path.is_file():
            return {}
        try:
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            return {key: Record(**record) for key, record in stored.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(
                f"{self.path} does not hold records of `trivd compile`: move it away or give "
                f"another --output ({error})"
            ) from error

    def get(self, key: str) -> Record | None:
        """The record with this fingerprint."""
        return self.read().get(key)

    def add(self, key: str, record: Record) -> None:
        """Writes a record beside those that are there, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked():
            records = self.read() | {key: record}
            stored = {name: dataclasses.asdict(one) for name, one in sorted(records.items())}
            write_whole(self.path, json.dumps(stored, indent=1) + "\n")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with open(self.path.with_name(f".{FILE_NAME}.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
