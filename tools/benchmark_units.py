"""Measures the cost of each recurrent unit, alone and in a whole train step.

    python tools/benchmark_units.py [--units conv_gru tsru_p ...] [--channel_multiplier 16]
        [--batch_size 4] [--seconds 30] [--alone] [--output FILE.json]

Every unit runs in a new process: the generator's three units at equal widths over T frames, forward
and backward ("units"), then, without `--alone`, the whole step of the paper's Table 2 (two
discriminator updates and one generator update, `dvd_gan_fp_faster`, no data loading: "step").
Columns:

    units ms, step ms   median over `--seconds` seconds each, after the first call; in () the ratio
                        to that of ConvGRU
    GFLOP               of a whole step: required convolutions, matrix products and warps, without
                        recomputation (5 G + 14 D forwards)
    GB                  bytes that the operations of a step read and write, counted per operation
    peak MB             growth of the process's peak memory over the first two steps (Linux)
    first s             the first call: tracing, optimizing, one step

The paper's figures (docs/architecture.md, section 8) are listed beside: ms per step at ch 48 and
batch 512 on its machines, so compare only the ratios.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import tensorflow as tf

from trivd_tf import models
from trivd_tf.data import BouncingDigits, ClipSpec
from trivd_tf.description import graph_costs
from trivd_tf.evaluation import EvaluationOptions
from trivd_tf.experiment import Experiment
from trivd_tf.layers.recurrent import CELLS, make_cell, unroll
from trivd_tf.training import TrainingOptions, make_strategy
from trivd_tf.training.loop import build_step

# ms per step; "TSRU" without its variant.
PAPER_MS = {"conv_gru": 284, "dynamic_conv_lstm": 6385} | {f"tsru_{v}": 354 for v in "cps"}
# Frame side over size / 64, width of the inputs, width of the state, in units of ch.
STAGES = ((8, 8, 8), (16, 8, 4), (32, 4, 2))


def units_alone(name: str, args: argparse.Namespace) -> Callable[[], Any]:
    """Return forward and backward of a generator's three units over T frames."""
    cells, frames, encodings = [], [], []
    for side, inputs, hidden in STAGES:
        side = side * args.size // 64
        shape = [args.batch_size, side, side]
        width = hidden * args.channel_multiplier
        frames.append(tf.random.normal([args.frames, *shape, inputs * args.channel_multiplier]))
        encodings.append(tf.random.normal([*shape, width]))
        cells.append(make_cell(name, width))
        cells[-1].build((None, *frames[-1].shape[2:]))
    weights = [variable.value for cell in cells for variable in cell.trainable_variables]

    @tf.function
    def run() -> Any:
        total = 0.0
        with tf.GradientTape() as tape:
            tape.watch([frames, encodings])
            for cell, inputs, encoding in zip(cells, frames, encodings, strict=True):
                outputs, _ = unroll(cell, inputs, cell.initial_state(encoding))
                total += tf.reduce_mean(outputs**2)
        return tape.gradient(total, [*weights, frames, encodings])

    return run


def experiment_of(
    unit: str,
    decomposition: str,
    *,
    channel_multiplier: int,
    frames: int,
    size: int,
    batch_size: int,
) -> Experiment:
    """Return an experiment with that unit and decomposition; its data is never read."""
    return Experiment(
        clip=ClipSpec(num_predicted_frames=frames, size=size),
        data=BouncingDigits(),
        generator=models.generator(channel_multiplier=channel_multiplier, recurrent_unit=unit),
        discriminators=models.discriminators(
            channel_multiplier=channel_multiplier, decomposition=decomposition
        ),
        training=TrainingOptions(batch_size=batch_size),
        evaluation=EvaluationOptions(),
    )


def whole_step(name: str, args: argparse.Namespace) -> tuple[Callable[[], Any], float]:
    """Return a whole train step, and its FLOPs."""
    keys = ("channel_multiplier", "frames", "size", "batch_size")
    setting = {key: getattr(args, key) for key in keys}
    experiment = experiment_of(name, args.decomposition, **setting)
    options, clip = experiment.training, experiment.clip
    gan = build_step(experiment, make_strategy(), seed=0)
    shape = [args.batch_size, clip.num_frames, args.size, args.size, 3]
    batch = {
        "video": tf.cast(tf.random.uniform(shape, 0, 256, tf.int32), tf.uint8),
        "label": tf.zeros([args.batch_size], tf.int32),
    }
    step = tf.constant(0, tf.int64)

    @tf.function
    def run() -> Any:
        for update in range(options.discriminator_steps):
            gan.update_discriminators(batch, step, tf.constant(update))
        return gan.update_generator(batch, step)["generator/loss"]

    return run, step_flops(gan, batch, options.discriminator_steps)


def step_flops(gan: Any, batch: dict[str, tf.Tensor], updates: int) -> float:
    """Compute the FLOPs of a step from those of one forward pass of each network.

    A backward pass costs two forward passes (one for the gradient of the inputs, one for that of
    the weights), or one if the weights' gradients are not needed.
    """
    seed = tf.constant([0, 0], tf.int64)

    def flops(run: Callable[[], Any]) -> float:
        return graph_costs.flops(tf.function(run).get_concrete_function().graph)

    def score() -> list[Any]:
        videos = tf.cast(batch["video"], tf.float32)
        return [model.scores(gan._view(model, videos, seed), None) for model in gan.discriminators]

    generator = flops(lambda: gan.predict(batch, seed))
    discriminators = flops(score)
    return updates * (generator + 6 * discriminators) + 3 * generator + 2 * discriminators


def memory(field: str) -> int:
    """Return a field of this process's /proc/self/status, in bytes."""
    status = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in status if line.startswith(field)]
    return 1024 * int(line.split()[1])


def measure(run: Any, seconds: float) -> dict[str, float]:
    """Return first-call time, peak memory and median time of a function."""
    gc.collect()
    start = time.perf_counter()
    graph = run.get_concrete_function().graph
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak to the current memory
    before = memory("VmRSS")
    tf.nest.map_structure(lambda tensor: tensor.numpy(), run())
    first = time.perf_counter() - start
    run()
    peak = memory("VmHWM") - before
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        tf.nest.map_structure(lambda tensor: tensor.numpy(), run())
        times.append(time.perf_counter() - start)
    return {
        "ms": 1000 * float(np.median(times)),
        "first_s": first,
        "peak_mb": peak / 1e6,
        "gb": graph_costs.moved_bytes(graph) / 1e9,
    }


def measure_unit(name: str, args: argparse.Namespace) -> dict[str, Any]:
    row: dict[str, Any] = {"unit": name, "units": measure(units_alone(name, args), args.seconds)}
    if not args.alone:
        run, flops = whole_step(name, args)
        row["step"] = measure(run, args.seconds) | {"gflop": flops / 1e9}
    return row


def show(rows: list[dict[str, Any]], alone: bool) -> None:
    base = next((row for row in rows if row["unit"] == "conv_gru"), rows[0])
    whole = "units" if alone else "step"
    print(
        f"{'unit':18s} {'units ms':>16s} {'step ms':>16s} {'GFLOP':>8s} {'GB':>7s} "
        f"{'peak MB':>8s} {'first s':>8s} {'paper ms':>14s}"
    )
    for row in rows:
        unit = row["unit"]
        cells = []
        for part in ("units", "step"):
            if part in row:
                ratio = row[part]["ms"] / base[part]["ms"]
                cells.append(f"{row[part]['ms']:9.1f} ({ratio:4.2f})")
            else:
                cells.append("-")
        paper = PAPER_MS.get(unit)
        beside = f"{paper} ({paper / PAPER_MS['conv_gru']:.2f})" if paper else "-"
        cost = row[whole]
        flops = f"{cost['gflop']:.1f}" if "gflop" in cost else "-"
        print(
            f"{unit:18s} {cells[0]:>16s} {cells[1]:>16s} {flops:>8s} {cost['gb']:7.2f} "
            f"{cost['peak_mb']:8.0f} {cost['first_s']:8.1f} {beside:>14s}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--units", nargs="+", choices=list(CELLS), default=list(CELLS))
    parser.add_argument("--channel_multiplier", type=int, default=16)
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--frames", type=int, default=11, help="predicted frames")
    parser.add_argument("--size", type=int, default=64, help="side of the frames")
    parser.add_argument("--decomposition", default="dvd_gan_fp_faster")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--alone", action="store_true", help="the units only, no whole step")
    parser.add_argument("--output", type=Path, help="also write the figures as JSON")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure_unit(args.units[0], args)))
        return
    rows = []
    for unit in args.units:
        command = [sys.executable, __file__, *sys.argv[1:], "--child", "--units", unit]
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(child.stdout.splitlines()[-1]))
        print(f"measured {unit}", file=sys.stderr)
    show(rows, args.alone)
    if args.output:
        setting = {name: str(value) for name, value in vars(args).items()}
        args.output.write_text(json.dumps({"setting": setting, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
