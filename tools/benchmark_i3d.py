"""Measures the speed of I3D features: seconds per clip, relative to a matrix product.

    python tools/benchmark_i3d.py [--batch_sizes 1 4] [--repeats 8] [--source PATH]

Prints one line per batch size. The time is that of `FeatureExtractor`: uint8 64 x 64 frames in,
resize to 224 x 224, I3D, logits out. "share of matmul" is the rate of the network's multiply-adds
relative to that of a 2048 x 2048 float32 matrix product; unlike seconds, it can be compared across
machines. It can exceed 1, because the count includes the zeros of the padding, which the
convolution may skip.
"""

import argparse
import os
import resource
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from trivd_tf.metrics import I3D, FeatureExtractor
from trivd_tf.metrics.i3d.network import MIXED_WIDTHS

MATMUL_SIZE = 2048


def seconds(run: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call, after two warm-up calls."""
    run(), run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def matmul_flops_a_second(repeats: int) -> float:
    matrix = tf.random.normal([MATMUL_SIZE, MATMUL_SIZE])
    product = tf.function(lambda: tf.matmul(matrix, matrix))
    return 2 * MATMUL_SIZE**3 / seconds(lambda: product().numpy(), 2 * repeats)


def i3d_flops(frames: int) -> float:
    """Return twice the multiply-adds of the convolutions for one clip at 224 x 224."""

    def halved(size: int) -> int:
        return -(-size // 2)

    time_steps, side = halved(frames), 112
    total = time_steps * side**2 * 7**3 * 3 * 64
    side = 56
    total += time_steps * side**2 * (64 * 64 + 27 * 64 * 192)
    side, channels = 28, 192
    for stage, (b0, b1, b1_out, b2, b2_out, b3) in MIXED_WIDTHS.items():
        if stage in ("Mixed_4b", "Mixed_5b"):
            time_steps, side = halved(time_steps), side // 2
        weights = channels * (b0 + b1 + b2 + b3) + 27 * (b1 * b1_out + b2 * b2_out)
        total += time_steps * side**2 * weights
        channels = b0 + b1_out + b2_out + b3
    return 2.0 * total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--source", help="see I3D.from_pretrained; default: found by itself")
    args = parser.parse_args()

    model = I3D.from_pretrained(args.source)
    yardstick = matmul_flops_a_second(args.repeats)
    flops = i3d_flops(args.frames)
    print(f"{os.cpu_count()} CPUs, TensorFlow {tf.__version__}")
    print(
        f"matmul {MATMUL_SIZE}: {yardstick / 1e9:.0f} GFLOP/s; I3D: {flops / 1e9:.1f} GFLOP a clip"
    )
    for batch_size in args.batch_sizes:
        videos = np.random.default_rng(0).integers(
            0, 256, (batch_size, args.frames, 64, 64, 3), dtype=np.uint8
        )
        extractor = FeatureExtractor(model, batch_size=batch_size)
        clip = seconds(lambda run=extractor, v=videos: run(v), args.repeats) / batch_size
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"batch {batch_size}: {clip:.3f} s a clip of {args.frames} frames, "
            f"{1 / clip:.1f} clips/s, share of matmul {flops / clip / yardstick:.2f}, "
            f"peak memory so far {memory:.1f} GB"
        )


if __name__ == "__main__":
    main()
