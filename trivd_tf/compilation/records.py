"""Records of compiled programs, so that nothing is compiled twice."""

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

# Packages whose changes may change a program.
_SOURCES = ("ops", "layers", "models", "experiment", "training", "compilation")


def fingerprint(description: dict[str, Any]) -> str:
    """Return a hash of everything that determines a program."""
    text = json.dumps(description, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def describe(experiment: Any) -> dict[str, Any]:
    """Return what determines an experiment's programs, without numbers that only scale a loss."""
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
        # Omitted if off, so that records from before recomputation stay valid.
        **({"recompute": True} if options.recompute else {}),
        # "auto" disables it on a TPU.
        **({"deterministic": True} if options.deterministic is True else {}),
    }


def _options(deferred: Any) -> dict[str, Any]:
    """Return the arguments passed to `models.generator` or `models.discriminators`."""
    return dict(sorted(deferred.keywords.items()))


def source_digest() -> str:
    """Return a digest of the package's files that programs are traced from."""
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
        program: one of `programs.PROGRAMS`.
        topology: topology, for example `v3:2x2`.
        num_replicas, replica_batch: how the global batch is divided.
        configuration: from `describe`.
        runs_a_step: number of runs per train step.
        resident_bytes: bytes of the job's variables that are not arguments of the program.
        figures: from `tpu_compiler`.
        digest: digest of the StableHLO.
        source: from `source_digest`.
        date: date of the compilation, `2026-01-31`.
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
        """Whether the program alone fits in memory."""
        return "out_of_memory" not in self.figures

    @property
    def fits(self) -> bool:
        """Whether the program fits in memory together with the job's other variables."""
        return self.compiled and self.peak_bytes <= parse_topology(self.topology).hbm_bytes

    @property
    def peak_bytes(self) -> int:
        """Peak HBM of the program, the job's other variables included.

        For a program that does not fit, the amount that it would need.
        """
        if not self.compiled:
            return self.figures["out_of_memory"]["wanted_bytes"] + self.resident_bytes
        return self.figures["peak_bytes"] + self.resident_bytes


class Records:
    """The records of a folder, which several processes may add to at once.

    Args:
        folder: created with the first record.
    """

    def __init__(self, folder: str | Path):
        self.path = Path(folder).expanduser() / FILE_NAME

    def read(self) -> dict[str, Record]:
        """Return fingerprint -> record.

        Raises:
            InputError: the file is not a records file.
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
        """Return the record with this fingerprint, or None."""
        return self.read().get(key)

    def add(self, key: str, record: Record) -> None:
        """Add a record to the existing ones, atomically."""
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
