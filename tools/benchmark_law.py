"""Fits the cost of a train step as a function of width, batch, frames and replicas.

    python tools/benchmark_law.py --gin_file quickstart [--data_dir DIR] [--widths 8 16 32]
        [--batches 2 4 8] [--frames 3 6 11] [--replicas 1 2 4] [--json FILE]

Times the step (`benchmark_step.py`, in a new process each) at the middle of the first three lists,
along each of them, and at the middle with several replicas that share batch and CPU. Fits

    seconds = p B T ch^2  +  q B T ch  +  R (r ch^2  +  s)

with B clips in the global batch, T predicted frames, R replicas, and nonnegative factors. The terms
are convolutions, work per feature map element, work per weight, and work independent of the size.
Every replica does the last two, one replica after the other on a single CPU.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

TERMS = ("p B T ch^2", "q B T ch", "R r ch^2", "R s")
BINDINGS = (
    "from trivd_tf import data",
    "from trivd_tf import models",
    "from trivd_tf import training",
    "models.generator.channel_multiplier = {width}",
    "models.discriminators.channel_multiplier = {width}",
    "models.discriminators.num_sampled_frames = {sampled}",
    "training.TrainingOptions.batch_size = {batch}",
    "data.ClipSpec.num_predicted_frames = {frames}",
)
Setting = tuple[int, int, int, int]


def settings(
    widths: list[int], batches: list[int], frames: list[int], replicas: list[int]
) -> list[Setting]:
    """Return (width, batch, frames, replicas) at the middle of each list, and along each list."""
    lists = (widths, batches, frames, replicas)
    middle = [*(sorted(values)[len(values) // 2] for values in lists[:3]), min(replicas)]
    found = [
        (*middle[:axis], value, *middle[axis + 1 :])
        for axis, values in enumerate(lists)
        for value in sorted(values)
    ]
    return list(dict.fromkeys(found))


def measure(setting: Setting, args: argparse.Namespace) -> dict[str, float]:
    """Return the figures of `benchmark_step.py`."""
    width, batch, frames, replicas = setting
    values = {"width": width, "batch": batch, "frames": frames, "sampled": min(8, frames)}
    command = [sys.executable, str(Path(__file__).with_name("benchmark_step.py"))]
    command += [f"--gin_file={name}" for name in args.gin_file]
    command += [f"--gin_bindings={text.format(**values)}" for text in BINDINGS]
    command += [f"--logical_devices={replicas}"]
    command += [f"--data_dir={args.data_dir}"] if args.data_dir else []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        command += [f"--loops={args.loops}", f"--steps={args.steps}", f"--json={path}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads(path.read_text())


def terms(found: list[Setting]) -> np.ndarray:
    """Return the multiplier of each factor, `[settings, 4]`."""
    width, batch, frames, replicas = np.array(found, float).T
    each = batch * frames * width
    return np.stack([each * width, each, replicas * width**2, replicas], axis=1)


def fit(found: list[Setting], seconds: np.ndarray) -> np.ndarray:
    """Fit the factors by least squares of the relative errors."""
    return nnls(terms(found) / seconds[:, None], np.ones_like(seconds))[0]


def main(argv: list[str] | None = None) -> int:
    """Measure, fit and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gin_file", action="append", required=True)
    parser.add_argument("--data_dir")
    parser.add_argument("--widths", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--batches", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--frames", type=int, nargs="+", default=[3, 6, 11])
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--loops", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args(argv)
    found = settings(args.widths, args.batches, args.frames, args.replicas)
    figures = []
    for setting in found:
        figures.append(measure(setting, args))
        done = dict(zip(("ch", "batch", "T", "replicas"), setting, strict=True))
        print("measured", ", ".join(f"{k} {v}" for k, v in done.items()), file=sys.stderr)
    seconds = np.array([each["seconds_a_step"] for each in figures])
    factors = fit(found, seconds)
    shares = terms(found) * factors
    print(f"{'ch':>4}{'batch':>6}{'T':>4}{'R':>3}{'seconds':>9}{'fitted':>9}{'error':>8}", end="")
    print("".join(f"{name:>13}" for name in TERMS) + f"{'of yardstick':>14}")
    for setting, second, share, each in zip(found, seconds, shares, figures, strict=True):
        width, batch, frames, replicas = setting
        fitted = share.sum()
        print(f"{width:4}{batch:6}{frames:4}{replicas:3}{second:9.3f}{fitted:9.3f}", end="")
        print(f"{fitted / second - 1:+8.1%}", end="")
        print("".join(f"{part:13.3f}" for part in share), end="")
        print(f"{each['share_of_convolution_rate']:14.1%}")
    print("factors: " + ", ".join(f"{n} = {f:.3g}" for n, f in zip("pqrs", factors, strict=True)))
    if args.json:
        names = ("width", "batch", "frames", "replicas")
        rows = [dict(zip(names, setting, strict=True)) for setting in found]
        rows = [row | each for row, each in zip(rows, figures, strict=True)]
        args.json.write_text(json.dumps({"rows": rows, "factors": list(factors)}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
