"""Estimates time and cost of a train step on slices of a TPU v3 pod from compiled programs.

    python tools/plan_slices.py --records compiled [--slices 32 64 128 256 512] [--steps 500000]
        [--price 1.10]

Fits the equation of `trivd_tf/compilation/slices.py` to the paper's milliseconds of those rows of
Table 1 that are recorded (`trivd compile --gin_file table1_clip ... --topology v3:2x2
--replica_batch 8 --programs train --output compiled`). Prints each row's error, of the fit to all
rows and of the fit to the other rows, and then the time of a step on each slice for every recorded
configuration. A slice's batch is that of a replica times its replicas. Nothing is compiled.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from trivd_tf.base.errors import InputError
from trivd_tf.compilation import slices
from trivd_tf.compilation.paper import paper_row
from trivd_tf.compilation.records import Record, Records
from trivd_tf.compilation.report import StepCost, aligned, step_cost

# Table 1: batch 512, 8 samples per replica.
PAPER_REPLICAS = 64
PROGRAMS = {"discriminators", "generator"}


def recorded_steps(records: dict[str, Record]) -> dict[str, tuple[Record, StepCost]]:
    """Return title and replica batch -> one of its records and the cost of its step."""
    jobs: dict[str, dict[str, Record]] = defaultdict(dict)
    for record in records.values():
        if record.topology.startswith("v3:"):
            shared = [record.configuration, record.topology, record.num_replicas]
            jobs[json.dumps([*shared, record.replica_batch], sort_keys=True)][record.program] = (
                record
            )
    steps = {}
    for found in jobs.values():
        cost = step_cost(found) if found.keys() >= PROGRAMS else None
        if cost is not None:
            record = found["generator"]
            title = f"{record.configuration['title']}, {record.replica_batch} a replica"
            title += ", recomputed" * record.configuration.get("recompute", False)
            steps[title] = (record, cost)
    return steps


def table_1_name(record: Record) -> str | None:
    """Return the gin file of the record's row of Table 1, at the paper's batch."""
    configuration = record.configuration
    if not configuration["title"].startswith("Table 1,") or record.replica_batch != 8:
        return None
    if configuration.get("recompute"):
        return None
    if configuration["generator"].get("channel_multiplier") != 48:
        return None
    return f"table1_{configuration['discriminators']['decomposition']}"


def print_errors(costs: dict[str, StepCost]) -> slices.StepTime:
    """Print the table of the paper's rows; return the fitted equation."""
    paper = {name: row for name in costs if (row := paper_row(name))}
    measured = {name: (row.step_ms or 0) / 1e3 for name, row in paper.items()}
    model = slices.fit(costs, measured, PAPER_REPLICAS)
    rows = [("Table 1", "paper, ms", "fitted, ms", "error", "fitted to the others")]
    for name, (error, alone) in slices.errors(costs, measured, PAPER_REPLICAS).items():
        row, fitted = paper[name], 1e3 * model.seconds(costs[name], PAPER_REPLICAS)
        rows.append(
            (row.name, f"{row.step_ms:g}", f"{fitted:.0f}", f"{error:+.1%}", f"{alone:+.1%}")
        )
    print(f"a = {model.compute:.2f}, b = {model.memory:.2f}, from {len(costs)} rows")
    print("\n".join(aligned(rows)))
    return model


def print_slices(
    model: slices.StepTime, steps: dict[str, tuple[Record, StepCost]], args: argparse.Namespace
) -> None:
    """Print a line for every configuration and slice."""
    head = ["slice", "batch", "step, ms", "all-reduce, ms", "hours", "core hours"]
    rows = [[*head, *(["cost"] if args.price else [])]]
    for title, (record, cost) in steps.items():
        print(f"\n{title}, {args.steps:,} steps")
        for replicas in args.slices:
            seconds = model.seconds(cost, replicas)
            hours = seconds * args.steps / 3600
            row = [f"v3-{replicas}", f"{record.replica_batch * replicas:,}", f"{1e3 * seconds:.0f}"]
            row += [f"{1e3 * slices.reduce_seconds(cost, replicas):.1f}", f"{hours:.0f}"]
            row += [f"{hours * replicas:,.0f}"]
            row += [f"{hours * replicas * args.price:,.0f}"] if args.price else []
            rows.append(row)
        print("\n".join(aligned(rows)))
        del rows[1:]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", default="compiled", help="what --output was")
    parser.add_argument(
        "--slices", type=int, nargs="+", default=[32, 64, 128, 256, 512], help="replicas"
    )
    parser.add_argument("--steps", type=int, default=500_000)
    parser.add_argument("--price", type=float, help="of a core for an hour, in any currency")
    args = parser.parse_args(argv)
    try:
        if wrong := [count for count in args.slices if count < 2 or count & (count - 1)]:
            raise InputError(f"--slices {wrong[0]}: give powers of two, such as 32 or 512")
        steps = recorded_steps(Records(args.records).read())
        named = {table_1_name(record): cost for record, cost in steps.values()}
        costs = {name: cost for name, cost in named.items() if name and paper_row(name)}
        if len(costs) < 2:
            raise InputError(
                f"{args.records}: {len(costs)} rows of Table 1 are recorded there; record two or "
                "more with trivd compile (--help shows the command)"
            )
    except InputError as error:
        print(f"plan_slices: {error}", file=sys.stderr)
        return 2
    print_slices(print_errors(costs), steps, args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
