"""Tables of compiled programs for `trivd compile`. GB are 10^9 bytes."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trivd_tf.compilation.compile import Job
from trivd_tf.compilation.records import Record
from trivd_tf.compilation.topologies import parse_topology


@dataclasses.dataclass(frozen=True)
class StepCost:
    """Cost of one train step per replica.

    Attributes:
        peak_bytes: peak HBM.
        flops, accessed_bytes: totals of all programs of a step.
        collective_bytes: bytes of the results of a step's collectives.
        collectives: number of collectives.
    """

    peak_bytes: int
    flops: float
    accessed_bytes: float
    collective_bytes: int
    collectives: int


def step_cost(found: Mapping[str, Record]) -> StepCost | None:
    """Return the step's cost from its programs; None if one of them does not fit."""
    records = [record for record in found.values() if record.runs_a_step]
    if not records or not all(record.fits for record in records):
        return None

    def total(value: Callable[[dict[str, Any]], float]) -> float:
        return sum(record.runs_a_step * value(record.figures) for record in records)

    return StepCost(
        peak_bytes=max(record.peak_bytes for record in records),
        flops=total(lambda figures: figures["flops"]),
        accessed_bytes=total(lambda figures: figures["accessed_bytes"]),
        collective_bytes=int(
            total(lambda figures: sum(one["num_bytes"] for one in figures["collectives"]))
        ),
        collectives=int(total(lambda figures: sum(one["count"] for one in figures["collectives"]))),
    )


def job_table(job: Job, found: Mapping[str, Record]) -> str:
    """Return a table of what each program of a job needs per replica."""
    head = (
        "program",
        "a step",
        "arguments",
        "temporaries",
        "other",
        "peak GB",
        "GFLOP",
        "GB moved",
    )
    rows = [head, *(_row(name, record) for name, record in found.items())]
    cost = step_cost(found)
    if cost is not None:
        amounts = (cost.peak_bytes, cost.flops, cost.accessed_bytes)
        rows.append(("train step", "", "", "", "", *(billions(amount) for amount in amounts)))
    title = (
        f"{job.experiment.title}: {job.topology.name}, {job.num_replicas} replicas of "
        f"{job.replica_batch} samples{', recomputed' * job.experiment.training.recompute}"
    )
    lines = [title, *aligned(rows)]
    for name, record in found.items():
        lines += _remarks(name, record)
    return "\n".join(lines)


def _row(name: str, record: Record) -> tuple[str, ...]:
    runs = str(record.runs_a_step) if record.runs_a_step else "-"
    other = billions(record.resident_bytes)
    figures = record.figures
    if not record.compiled:
        return (name, runs, "-", "-", other, "none", "-", "-")
    return (
        name,
        runs,
        billions(figures["argument_bytes"]),
        billions(figures["temporary_bytes"]),
        other,
        billions(record.peak_bytes),
        billions(figures["flops"]),
        billions(figures["accessed_bytes"]),
    )


def _remarks(name: str, record: Record) -> list[str]:
    if not record.compiled:
        return [f"{name}: OUT OF MEMORY: {record.figures['out_of_memory']['message']}"]
    room = parse_topology(record.topology).hbm_bytes
    short = (
        f"{name}: OUT OF MEMORY: with the job's other variables it needs "
        f"{billions(record.peak_bytes)} GB of {billions(room)}"
    )
    return [short] * (not record.fits) + [
        f"{name}: {one['count']} {one['kind']}, {one['num_bytes'] / 1e6:.3f} MB in all, the "
        f"largest {one['largest'] / 1e6:.3f} MB"
        for one in record.figures["collectives"]
    ]


def billions(amount: float) -> str:
    """Format as GB or GFLOP with three digits: 3.51, 0.0123."""
    value = amount / 1e9
    digits = 2 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align rows of text as lines, the first column left, the others right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
