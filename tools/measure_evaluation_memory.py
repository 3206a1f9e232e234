"""Measures the memory of an evaluation as a function of its number of samples.

    python tools/measure_evaluation_memory.py [--num_samples 500 50000]

Each number of samples runs in a separate process and scores "copy of the last frame" and "real
against real" on bouncing digits of 9 x 16 x 16, like `trivd evaluate`: clips drawn and read, FVD
and its curve, IS, PSNR, SSIM, partial sums written to a file. Only I3D is replaced by a random
projection to 400 numbers, so that 50,000 samples take minutes. Prints the peak resident memory:
the growth after the first batch, which loads and traces what every number of samples needs, and the
total.
"""

import argparse
import dataclasses
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

BINDINGS = (
    "data.ClipSpec.num_conditioning_frames = 7",
    "data.ClipSpec.num_predicted_frames = 2",
    "data.ClipSpec.size = 16",
)


def measure(num_samples: int) -> None:
    """Score that many samples and print a line."""
    import numpy as np

    from trivd_tf import config
    from trivd_tf.evaluation.real_features import real_features
    from trivd_tf.evaluation.scored import copy_candidate, other_real_candidate, score_all

    experiment = config.parse(["bouncing_digits"], BINDINGS).build()
    options = dataclasses.replace(experiment.evaluation, num_samples=num_samples)
    experiment = dataclasses.replace(experiment, evaluation=options)
    weights = np.random.default_rng(0).normal(size=(9 * 16 * 16 * 3, 400)).astype(np.float32)

    def features(videos: np.ndarray) -> np.ndarray:
        return videos.reshape(len(videos), -1).astype(np.float32) @ weights / 1e4

    peaks: list[float] = []

    def note() -> bool:
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return False

    start = time.perf_counter()
    real = real_features(experiment, features, note)
    candidates = {"copy": copy_candidate(experiment), "other": other_real_candidate(experiment)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sums.npz"
        scored = score_all(
            experiment, candidates, features, identity=0, path=path, should_stop=note
        )
        size = path.stat().st_size / 2**20
    fvd = max(scored["copy"].fvd(real).items())
    note()
    first = len(peaks) // 2  # first batch of the second pass
    print(
        f"{num_samples:>7,} samples: peak {peaks[-1]:.0f} MiB, {peaks[-1] - peaks[first]:.0f} MiB "
        f"after the first batch, sums {size:.1f} MiB, {time.perf_counter() - start:.0f} s "
        f"(distance {fvd[1]:.4g} at {fvd[0]})",
        flush=True,
    )


def main() -> None:
    """Run each number of samples in a separate process, so that each has its own peak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num_samples", type=int, nargs="+", default=[500, 50_000])
    args = parser.parse_args()
    if len(args.num_samples) == 1:
        measure(args.num_samples[0])
        return
    for number in args.num_samples:
        with tempfile.TemporaryDirectory() as cache:
            environment = {**os.environ, "XDG_CACHE_HOME": cache}
            command = [sys.executable, __file__, "--num_samples", str(number)]
            subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()
