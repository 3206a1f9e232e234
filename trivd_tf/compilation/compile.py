"""From an experiment and a topology to what its programs need on each replica."""

import dataclasses
import datetime
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.compilation.emission import emit, why
from trivd_tf.compilation.programs import TRAINING_PROGRAMS, Emitted
from trivd_tf.compilation.records import Record, Records, describe, fingerprint, source_digest
from trivd_tf.compilation.topologies import Topology
from trivd_tf.compilation.tpu_compiler import ENVIRONMENT
from trivd_tf.experiment import Experiment

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Job:
    """What is compiled: an experiment as one replica of a slice sees it.

    Attributes:
        experiment: with the global batch size.
        topology: what libtpu compiles for.
        num_replicas: at most those of the topology.
    """

    experiment: Experiment
    topology: Topology
    num_replicas: int

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        topology: Topology,
        num_replicas: int | None = None,
        replica_batch: int | None = None,
    ) -> "Job":
        """A job on all of the topology, or on `num_replicas` of it.

        Args:
            experiment: its global batch is shared by the replicas, unless `replica_batch` is given.
            topology: of the slice.
            num_replicas: all of the topology's when left out.
            replica_batch: samples on each replica.

        Raises:
            InputError: more replicas than there are, or a batch that they cannot share evenly.
        """
        replicas = num_replicas or topology.num_replicas
        if replicas > topology.num_replicas:
            raise InputError(
                f"--replicas {replicas}: {topology.name} has {topology.num_replicas}; give a "
                "larger --topology or fewer replicas"
            )
        batch = experiment.training.batch_size
        if replica_batch is None and batch % replicas:
            raise InputError(
                f"a batch of {batch} cannot be shared evenly by {replicas} replicas: give "
                "--replica_batch, or another --replicas"
            )
        return cls(experiment, topology, replicas).with_batch(replica_batch or batch // replicas)

    def with_batch(self, replica_batch: int) -> "Job":
        """The same with another batch on each replica."""
        training = dataclasses.replace(
            self.experiment.training, batch_size=replica_batch * self.num_replicas
        )
        experiment = dataclasses.replace(self.experiment, training=training)
        return dataclasses.replace(self, experiment=experiment)

    @property
    def replica_batch(self) -> int:
        """Samples on each replica."""
        return self.experiment.training.batch_size // self.num_replicas

    def key(self, program: str) -> str:
        """The fingerprint of one of its programs."""
        return fingerprint(
            {
                "program": program,
                "topology": self.topology.name,
                "replicas": self.num_replicas,
                **describe(self.experiment),
                "libtpu": _version("libtpu"),
            }
        )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError(
            f"compiling for a TPU needs {package}: install the [aot] extra, pip install '.[aot]'"
        ) from error


def compile_job(
    job: Job,
    records: Records,
    programs: Sequence[str] = TRAINING_PROGRAMS,
    *,
    again: bool = False,
    while_they_fit: bool = False,
    say: Say = lambda line: None,
) -> dict[str, Record]:
    """Compiles what of `programs` is not yet recorded.

    Args:
        job: what to compile.
        records: looked at first; gets every new figure as soon as it is there.
        programs: of `programs.PROGRAMS`.
        again: compile what is recorded too, unless its program is still the same.
        while_they_fit: leave out those after the first that does not fit.
        say: called with a line about what is being done.

    Returns:
        A record for each program; one that does not fit has `fits` False.

    Raises:
        InputError: jax or libtpu is not installed, or the networks cannot be built.
        RunError: tracing or the compiler failed.
    """
    _version("jax")
    known = {name: records.get(job.key(name)) for name in programs}
    found = {name: record for name, record in known.items() if record and not again}
    stale = [name for name, record in found.items() if record.source != source_digest()]
    if stale:
        say(
            f"recorded before the code last changed: {', '.join(stale)}; --again compiles what is "
            "no longer the same"
        )
    missing = [name for name in programs if name not in found]
    refused = while_they_fit and any(not record.fits for record in found.values())
    with tempfile.TemporaryDirectory() as folder:
        if missing and not refused:
            say(
                f"tracing {job.experiment.title or 'the configuration'}: {', '.join(missing)}, "
                f"{job.replica_batch} samples a replica"
            )
            emitted = emit(job.experiment, job.num_replicas, missing, Path(folder))
        for name in programs if not refused else ():
            if name in missing:
                found[name] = _compile_program(job, emitted[name], name, known[name], say)
                records.add(job.key(name), found[name])
            if while_they_fit and not found[name].fits:
                break
    return {name: found[name] for name in programs if name in found}


def _compile_program(
    job: Job, emitted: Emitted, name: str, known: Record | None, say: Say
) -> Record:
    if known and known.digest == emitted.digest:
        return dataclasses.replace(known, source=source_digest())
    say(f"compiling {name} for {job.topology.name}")
    figures = run_compiler(emitted.path, job.topology.name, job.num_replicas)
    return Record(
        program=name,
        topology=job.topology.name,
        num_replicas=job.num_replicas,
        replica_batch=job.replica_batch,
        configuration=describe(job.experiment),
        runs_a_step=emitted.runs_a_step,
        resident_bytes=emitted.resident_bytes,
        figures={**figures, "libtpu": _version("libtpu")},
        digest=emitted.digest,
        source=source_digest(),
        date=datetime.date.today().isoformat(),
    )


def run_compiler(path: Path, topology: str, num_replicas: int) -> dict[str, Any]:
    """Compiles a StableHLO file in a process of its own.

    Raises:
        RunError: it failed otherwise than by running out of the TPU's memory.
    """
    result = path.with_suffix(".json")
    command = [sys.executable, "-m", "trivd_tf.compilation.tpu_compiler"]
    command += [str(path), topology, str(num_replicas), str(result)]
    done = subprocess.run(
        command,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    if done.returncode or not result.is_file():
        raise RunError(f"compiling {path.stem} for {topology} failed: {why(done)}")
    return json.loads(result.read_text(encoding="utf-8"))


def find_batch(job: Job, records: Records, *, say: Say = lambda line: None) -> list[Job]:
    """Looks for the largest batch on each replica with which all training programs fit.

    Memory grows with the batch on a straight line above what variables take, so that one compile
    indicates where to look; each guess is compiled, the program that needs most first, and the
    answer is a batch that fits beside one more sample that does not.

    Returns:
        The jobs that were compiled, the largest that fits last; without one that fits only those
        that do not.
    """
    tried: dict[int, dict[str, Record]] = {}
    # The generator's needs more in the paper's models.
    programs: tuple[str, ...] = TRAINING_PROGRAMS[::-1]
    batch = job.replica_batch
    while batch not in tried:
        found = compile_job(job.with_batch(batch), records, programs, while_they_fit=True, say=say)
        tried[batch] = found
        fit = _fits(found)
        say(f"{batch} samples a replica: {_peak(found) / 1e9:.2f} GB, {_FITS[fit]}")
        if len(found) == len(programs):
            programs = tuple(sorted(found, key=lambda name: -found[name].peak_bytes))
        batch = _next_batch(tried, job.topology.hbm_bytes)
    fitting = [size for size in tried if _fits(tried[size])]
    order = [size for size in tried if size != max(fitting, default=None)]
    return [job.with_batch(size) for size in [*order, *([max(fitting)] if fitting else [])]]


_FITS = {True: "fits", False: "does not fit"}


def _fits(found: dict[str, Record]) -> bool:
    return all(record.fits for record in found.values())


def _peak(found: dict[str, Record]) -> int:
    return max(record.peak_bytes for record in found.values())


def _next_batch(tried: dict[int, dict[str, Record]], hbm_bytes: int) -> int:
    """The batch to try after these; one that was tried when the answer is known."""
    below = max((size for size in tried if _fits(tried[size])), default=0)
    above = min((size for size in tried if not _fits(tried[size])), default=None)
    if above is not None and above - below <= 1:
        return below or above
    if above is None:
        return min(max(_on_the_line(tried, hbm_bytes), below + 1), 4 * below)
    # Halving now and then where the line has misled for long.
    if len(tried) > 5 and len(tried) % 2:
        return (below + above) // 2
    failed = next(record for record in tried[above].values() if not record.fits)
    limit = failed.figures.get("out_of_memory", {}).get("hbm_bytes", hbm_bytes)
    return min(max(_on_the_line(tried, limit), below + 1), above - 1)


def _on_the_line(tried: dict[int, dict[str, Record]], limit: int) -> int:
    """The batch whose memory would be `limit`.

    The line goes through the two batches nearest to it, those that fit before others: the
    compiler moves work about when memory is short. With one batch it starts at what this batch's
    largest program takes and keeps whatever the batch is, or at nothing where that is not known.
    """
    sizes = sorted(
        tried, key=lambda size: (not _fits(tried[size]), abs(_peak(tried[size]) - limit))
    )
    peak = _peak(tried[sizes[0]])
    if len(sizes) > 1:
        slope = (_peak(tried[sizes[1]]) - peak) / (sizes[1] - sizes[0])
    else:
        largest = max(tried[sizes[0]].values(), key=lambda record: record.peak_bytes)
        kept = largest.figures.get("argument_bytes", 0) + largest.resident_bytes
        slope = (peak - kept * largest.fits) / sizes[0]
    return sizes[0] + int((limit - peak) // slope) if slope > 0 else sizes[0]
