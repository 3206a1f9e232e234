"""Compilation of an experiment for a topology: what its programs need on each replica."""

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
    """The compilation job: an experiment on one replica of a slice.

    Attributes:
        experiment: the experiment, with the global batch size.
        topology: topology that libtpu compiles for.
        num_replicas: number of replicas, at most those of the topology.
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
        """Create a job on all of the topology, or on `num_replicas` of it.

        Args:
            experiment: its global batch is divided among the replicas, unless `replica_batch` is
                set.
            topology: topology of the slice.
            num_replicas: number of replicas; all of the topology by default.
            replica_batch: samples per replica.

        Raises:
            InputError: too many replicas, or a batch that cannot be divided evenly.
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
        """Return the job with another batch per replica."""
        training = dataclasses.replace(
            self.experiment.training, batch_size=replica_batch * self.num_replicas
        )
        experiment = dataclasses.replace(self.experiment, training=training)
        return dataclasses.replace(self, experiment=experiment)

    @property
    def replica_batch(self) -> int:
        """Samples per replica."""
        return self.experiment.training.batch_size // self.num_replicas

    def key(self, program: str) -> str:
        """Return the fingerprint of one of the job's programs."""
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
    """Compile those of `programs` that are not recorded yet.

    Args:
        job: job to compile.
        records: checked first; every new result is added as soon as it is available.
        programs: some of `programs.PROGRAMS`.
        again: also compile recorded programs, unless the program has not changed.
        while_they_fit: stop after the first program that does not fit.
        say: called with lines that report progress.

    Returns:
        A record per program; one that does not fit has `fits` False.

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
    """Compile a StableHLO file in a separate process.

    Raises:
        RunError: it failed for another reason than exceeding the TPU's memory.
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
    """Find the largest batch per replica for which all training programs fit.

    Memory grows linearly with the batch above what variables take, so each compilation predicts
    where to search next. Every guess is compiled, the most demanding program first, until a batch
    fits and one with one more sample does not.

    Returns:
        The compiled jobs, with the largest that fits last; if none fits, only those that do not.
    """
    tried: dict[int, dict[str, Record]] = {}
    # The generator's program needs more in the paper's models.
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
    """Return the next batch to try, or one already tried if the search is over."""
    below = max((size for size in tried if _fits(tried[size])), default=0)
    above = min((size for size in tried if not _fits(tried[size])), default=None)
    if above is not None and above - below <= 1:
        return below or above
    if above is None:
        return min(max(_on_the_line(tried, hbm_bytes), below + 1), 4 * below)
    # Bisect now and then if the line keeps misleading.
    if len(tried) > 5 and len(tried) % 2:
        return (below + above) // 2
    failed = next(record for record in tried[above].values() if not record.fits)
    limit = failed.figures.get("out_of_memory", {}).get("hbm_bytes", hbm_bytes)
    return min(max(_on_the_line(tried, limit), below + 1), above - 1)


def _on_the_line(tried: dict[int, dict[str, Record]], limit: int) -> int:
    """Return the batch whose predicted memory is `limit`.

    The line goes through the two batches closest to the limit, preferring those that fit, because
    the compiler rearranges work when memory is short. With a single batch it starts at the
    batch-independent memory of that batch's largest program, or at zero if that is unknown.
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
