"""Measures the cost of each discriminator decomposition in a whole train step.

    python tools/benchmark_decompositions.py [--channel_multiplier 8] [--batch_size 4]
        [--seconds 30] [--output FILE.json]

Every row of Table 1 runs in a new process: two discriminator updates and one generator update at
equal widths (ConvGRU), without data loading. Columns are those of `benchmark_units.py`, beside the
paper's milliseconds and gigabytes (ch 48 on TPUv3 replicas, averaged over 30 seconds); compare the
order, not the values. The last lines are Spearman's rank correlations with the paper's
milliseconds, of the FLOPs of a step at ch 48 and 64 x 64 and of the measurements.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import tensorflow as tf
from benchmark_units import experiment_of, measure, whole_step
from scipy.stats import spearmanr

from trivd_tf.description.costs import discriminator_rows
from trivd_tf.evaluation.paper_tables.paper_figures import PaperRow, rows_of_run
from trivd_tf.models import DECOMPOSITIONS

UNIT = "conv_gru"


def paper(name: str) -> PaperRow:
    """Return the row of Table 1."""
    return rows_of_run(f"table1_{name}")[0]


def flops_in_full_size(name: str) -> float:
    """FLOPs per clip of the discriminators in a step: two updates of six forwards, and two more."""
    experiment = experiment_of(UNIT, name, channel_multiplier=48, frames=11, size=64, batch_size=1)
    with tf.Graph().as_default():
        models = experiment.build_discriminators()
        forward = sum(
            row.flops for model in models for row in discriminator_rows(experiment, model)
        )
    return 14.0 * forward


def measure_decomposition(name: str, args: argparse.Namespace) -> dict[str, Any]:
    args.decomposition = name
    run, flops = whole_step(UNIT, args)
    return {"name": name, "gflop": flops / 1e9, **measure(run, args.seconds)}


def show(rows: list[dict[str, Any]]) -> None:
    print(
        f"{'decomposition':22s} {'step ms':>9s} {'GFLOP':>8s} {'GB':>7s} {'peak MB':>8s} "
        f"{'first s':>8s} {'paper ms':>9s} {'paper GB':>9s}"
    )
    for row in rows:
        printed = paper(row["name"])
        print(
            f"{row['name']:22s} {row['ms']:9.1f} {row['gflop']:8.1f} {row['gb']:7.2f} "
            f"{row['peak_mb']:8.0f} {row['first_s']:8.1f} {printed.step_ms:9.0f} "
            f"{printed.memory_gb:9.2f}"
        )


def correlations(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return Spearman's correlations with the paper's milliseconds (memory: with its gigabytes)."""
    names = [row["name"] for row in rows]
    ms = [paper(name).step_ms for name in names]
    gb = [paper(name).memory_gb for name in names]
    pairs = {
        "FLOPs at ch 48": ([flops_in_full_size(name) for name in names], ms),
        "FLOPs here": ([row["gflop"] for row in rows], ms),
        "ms here": ([row["ms"] for row in rows], ms),
        "peak memory here (with the paper's GB)": ([row["peak_mb"] for row in rows], gb),
    }
    return {name: float(spearmanr(*pair).statistic) for name, pair in pairs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = list(DECOMPOSITIONS)
    parser.add_argument("--decompositions", nargs="+", choices=names, default=names)
    parser.add_argument("--channel_multiplier", type=int, default=8)
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--frames", type=int, default=11, help="predicted frames")
    parser.add_argument("--size", type=int, default=64, help="side of the frames")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--output", type=Path, help="also write the figures as JSON")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure_decomposition(args.decompositions[0], args)))
        return
    rows = []
    for name in args.decompositions:
        command = [sys.executable, __file__, *sys.argv[1:], "--child", "--decompositions", name]
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(child.stdout.splitlines()[-1]))
        print(f"measured {name}", file=sys.stderr)
    show(rows)
    found = correlations(rows) if len(rows) > 2 else {}
    for name, value in found.items():
        print(f"Spearman's correlation with the paper's ms, {name}: {value:.3f}")
    if args.output:
        setting = {name: str(value) for name, value in vars(args).items()}
        content = {"setting": setting, "rows": rows, "spearman": found}
        args.output.write_text(json.dumps(content, indent=2))


if __name__ == "__main__":
    main()
