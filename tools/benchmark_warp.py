"""Compares the warp with two simple implementations: seconds and memory, forward and backward.

    python tools/benchmark_warp.py [--channel_multiplier 48] [--batch_size 8] [--repeats 30]

For the three stages of a generator at that width, each implementation computes

    hw[i, j, c] = sum over (m, n) of W[i, j, m k + n] h[i + m - 1, j + n - 1, c],    k = 3

and its gradients by h and W. "kept" is the memory that the forward pass stores for the backward
pass, including h and W, counted in the graph. "peak" is the growth of a new process's peak memory
(Linux only) over one forward and backward pass of eight times the batch, divided by eight: memory
that the process already has hides smaller growth. The implementations are timed in turn, so that
other load on the machine affects all of them.
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

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from trivd_tf.ops.warp import pixelwise_warp

TAPS = 9
Warp = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def by_patches(hidden: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Extract every pixel's 3 x 3 neighborhood, then take its weighted sum."""
    window, ones = [1, 3, 3, 1], [1, 1, 1, 1]
    patches = tf.image.extract_patches(hidden, window, ones, ones, "SAME")
    patches = tf.reshape(patches, [*hidden.shape[:3], TAPS, hidden.shape[3]])
    return tf.reduce_sum(patches * weights[..., None], axis=3)


def by_gathering(hidden: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Gather the nine source pixels of every pixel by index, then take their weighted sum."""
    batch, height, width, channels = hidden.shape
    rows, columns = np.meshgrid(range(height), range(width), indexing="ij")
    index = [(rows + m) * (width + 2) + columns + n for m in range(3) for n in range(3)]
    padded = tf.pad(hidden, [[0, 0], [1, 1], [1, 1], [0, 0]])
    flat = tf.reshape(padded, [batch, (height + 2) * (width + 2), channels])
    sources = tf.gather(flat, np.stack(index, -1).reshape(-1), axis=1)
    sources = tf.reshape(sources, [batch, height, width, TAPS, channels])
    return tf.reduce_sum(sources * weights[..., None], axis=3)


WAYS: dict[str, Warp] = {
    "pixelwise_warp": pixelwise_warp,
    "patches": by_patches,
    "gathering": by_gathering,
}


def make_inputs(shape: list[int]) -> list[tf.Tensor]:
    """Return hidden state, warp weights and upstream gradient."""
    weights = tf.nn.softmax(tf.random.normal([*shape[:3], TAPS]))
    return [tf.random.normal(shape), weights, tf.random.normal(shape)]


def make_functions(way: Warp) -> tuple[tf.types.experimental.GenericFunction, ...]:
    """Return the forward pass, and forward with backward pass."""

    @tf.function
    def forward(hidden, weights, upstream):
        return way(hidden, weights)

    @tf.function
    def backward(hidden, weights, upstream):
        with tf.GradientTape() as tape:
            tape.watch([hidden, weights])
            warped = way(hidden, weights)
        return tape.gradient(warped, [hidden, weights], upstream)

    return forward, backward


def kept_bytes(way: Warp, inputs: list[tf.Tensor]) -> int:
    """Return the bytes that the forward pass of a function stores for its backward pass."""
    concrete = tf.function(way).get_concrete_function(*inputs[:2])
    with tf.GradientTape() as tape:
        tape.watch(inputs[:2])
        concrete(*inputs[:2])
    forward = concrete._delayed_rewrite_functions.forward_backward()[0]
    # The forward function returns its result first, then the tensors for the backward pass.
    return sum(int(np.prod(t.shape)) * t.dtype.size for t in forward.graph.outputs[1:])


def growth_of_peak(way: str, shape: list[int]) -> int:
    """Return the growth in bytes of this process's peak memory in one forward and backward pass."""
    inputs = make_inputs(shape)
    run = make_functions(WAYS[way])[1]
    run(*make_inputs([1, *shape[1:]]))  # exclude threads and code from the measurement
    run.get_concrete_function(*inputs)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # reset the peak to the current memory
    before = memory("VmRSS")
    run(*inputs)
    return memory("VmHWM") - before


def memory(field: str) -> int:
    """Return a field of this process's /proc/self/status, in bytes."""
    status = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in status if line.startswith(field)]
    return 1024 * int(line.split()[1])


def peak_in_fresh_process(way: str, shape: list[int]) -> float:
    shape = [8 * shape[0], *shape[1:]]
    command = [sys.executable, __file__, "--peak_of", way, "--shape", json.dumps(shape)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 8


def milliseconds(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median time of each, run in turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 2):
        for name, run in runs.items():
            start = time.perf_counter()
            tf.nest.map_structure(lambda tensor: tensor.numpy(), run())
            if repeat >= 2:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: float(np.median(values)) for name, values in times.items()}


def compare(shape: list[int], repeats: int) -> None:
    inputs = make_inputs(shape)
    functions = {name: make_functions(way) for name, way in WAYS.items()}
    expected = functions["patches"][0](*inputs)
    for name, (forward, _) in functions.items():
        np.testing.assert_allclose(forward(*inputs), expected, atol=1e-4, err_msg=name)
    forward = milliseconds({n: lambda f=f: f[0](*inputs) for n, f in functions.items()}, repeats)
    backward = milliseconds({n: lambda f=f: f[1](*inputs) for n, f in functions.items()}, repeats)
    print(f"hidden state {shape}, {np.prod(shape) * 4 / 1e6:.1f} MB")
    for name, way in WAYS.items():
        print(
            f"  {name:15s} forward {forward[name]:7.2f} ms   forward and backward "
            f"{backward[name]:7.2f} ms   kept {kept_bytes(way, inputs) / 1e6:7.1f} MB   "
            f"peak {peak_in_fresh_process(name, shape) / 1e6:7.1f} MB",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--channel_multiplier", type=int, default=48)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--peak_of", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--shape", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak_of:
        print(growth_of_peak(args.peak_of, args.shape))
        return
    for size, width in ((8, 8), (16, 4), (32, 2)):
        compare([args.batch_size, size, size, width * args.channel_multiplier], args.repeats)


if __name__ == "__main__":
    main()
