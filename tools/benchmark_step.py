"""Times the train step of a gin file relative to the rate of large convolutions in the same run.

On a GPU it also reports memory, and the time for the host to launch a step's operations.

example:
  python tools/benchmark_step.py --gin_file quickstart --data_dir ~/videos
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")  # as in `trivd train`

import tensorflow as tf

from trivd_tf import config
from trivd_tf.description.graph_costs import count_operations, flops, traced
from trivd_tf.training.checkpoints import Counters
from trivd_tf.training.compiled_loop import CompiledLoop
from trivd_tf.training.distribution.batches import make_iterator
from trivd_tf.training.distribution.devices import kind_of
from trivd_tf.training.distribution.strategy import make_strategy
from trivd_tf.training.loop import build_step

_FORWARD_AND_BACKWARD = 3  # a convolution and its two gradients cost the same


# Convolutions that saturate a device, forward and backward: channels, images and their side.
_ON_CPU = ((64, 16, 64),)
_ON_GPU = ((192, 64, 64), (384, 64, 32), (768, 128, 16))


class Yardstick:
    """The fastest of a few 3x3 convolutions, forward and backward.

    Args:
        dtype: dtype of images and kernels.
        shapes: (channels, images, side) of each; those that saturate the device by default.
    """

    def __init__(
        self,
        dtype: tf.DType = tf.float32,
        shapes: tuple[tuple[int, int, int], ...] | None = None,
    ) -> None:
        if shapes is None:
            shapes = _ON_GPU if tf.config.list_physical_devices("GPU") else _ON_CPU
        candidates = [self._convolution(dtype, *shape) for shape in shapes]
        self._run, self._work = candidates[0]
        if len(candidates) > 1:
            self._run, self._work = max(candidates, key=self._quick_rate)
        self.rates: list[float] = []

    @staticmethod
    def _convolution(dtype: tf.DType, channels: int, images: int, side: int):
        inputs = tf.cast(tf.random.normal([images, side, side, channels]), dtype)
        kernel = tf.cast(tf.random.normal([3, 3, channels, channels]), dtype)

        @tf.function(autograph=False)
        def gradients() -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch([inputs, kernel])
                outputs = tf.nn.conv2d(inputs, kernel, 1, "SAME")
            found = tape.gradient(outputs, [inputs, kernel], output_gradients=outputs)
            # A scalar: copying gradients to the host would be timed too.
            with tf.control_dependencies(found):
                return tf.cast(found[1][0, 0, 0, 0], tf.float32)

        gradients()
        work = 2 * images * side**2 * channels**2 * 9 * _FORWARD_AND_BACKWARD
        return gradients, work

    @staticmethod
    def _quick_rate(candidate) -> float:
        run, work = candidate
        run().numpy()
        started = time.perf_counter()
        run().numpy()
        return work / (time.perf_counter() - started)

    def measure(self, seconds: float = 2.0) -> None:
        """Add rates (FLOP/s) measured for about `seconds`."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            self._run().numpy()
            self.rates.append(self._work / (time.perf_counter() - start))


def graphs(step, experiment, strategy) -> dict[str, tuple[int, tf.Graph]]:
    """Return, per update, its runs per step and its graph."""
    clip, batch = experiment.clip, step.replica_batch_size
    spec = {
        "video": tf.TensorSpec([batch, clip.num_frames, clip.height, clip.width, 3], tf.uint8),
        "label": tf.TensorSpec([batch], tf.int32),
    }
    number, update = tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.int32)

    def graph(function, *specs) -> tf.Graph:
        return traced(lambda *given: strategy.run(function, args=given), *specs)

    return {
        "discriminator updates": (
            experiment.training.discriminator_steps,
            graph(step.update_discriminators, spec, number, update),
        ),
        "generator update": (1, graph(step.update_generator, spec, number)),
    }


def device_memory() -> dict[str, float]:
    """Return current and peak memory of the first GPU's allocator; empty without a GPU."""
    if not tf.config.list_logical_devices("GPU"):
        return {}
    found = tf.config.experimental.get_memory_info("GPU:0")
    return {f"device_memory_{name}_gib": found[name] / 2**30 for name in ("current", "peak")}


def launching_seconds(loop: CompiledLoop, iterator) -> float:
    """Return the seconds for the host to launch one step, without computing it.

    Only on devices that run asynchronously (GPUs) is this less than the step itself.
    """
    started = time.perf_counter()
    result = loop.launch(iterator, 1)
    launched = time.perf_counter() - started
    result.numpy()
    return launched


def repeated(batch, strategy: tf.distribute.Strategy):
    """Return an iterator that always has this batch, or each replica's share, available."""
    shares = [strategy.experimental_local_results(value) for value in tf.nest.flatten(batch)]
    replicas = [tf.nest.pack_sequence_as(batch, share) for share in zip(*shares, strict=True)]
    if len(replicas) == 1:
        return iter(tf.data.Dataset.from_tensors(replicas[0]).repeat())
    stacked = tf.nest.map_structure(lambda *parts: tf.stack(parts), *replicas)
    return iter(
        strategy.distribute_datasets_from_function(
            lambda context: tf.data.Dataset.from_tensor_slices(stacked).cache().repeat()
        )
    )


def timed(loop: CompiledLoop, iterator, steps: int) -> float:
    """Return the seconds per step of one compiled loop."""
    started = time.perf_counter()
    loop(iterator, steps)
    return (time.perf_counter() - started) / steps


def measure(
    experiment, strategy: tf.distribute.Strategy, *, loops: int, steps: int, seed: int = 0
) -> dict[str, float]:
    """Run `loops` compiled loops of `steps` steps, with the yardstick before and after each."""
    experiment.data.prepare(experiment.clip)
    step = build_step(experiment, strategy, seed)
    of_step = graphs(step, experiment, strategy)
    costs = {name: count * flops(graph) for name, (count, graph) in of_step.items()}
    operations = sum(count * count_operations(graph) for count, graph in of_step.values())
    loop = CompiledLoop(step, strategy, Counters())
    iterator = make_iterator(experiment, strategy, seed, 0)
    started = time.perf_counter()
    loop(iterator, 1)
    first = time.perf_counter() - started
    loop(iterator, steps)
    # The time that remains with an always available batch is that of the step itself.
    at_once = repeated(next(iterator), strategy)
    loop(at_once, steps)
    yardstick, seconds, waiting, shares = Yardstick(), [], [], []
    yardstick.measure()
    for _ in range(loops):
        before = statistics.median(yardstick.rates[-5:])
        seconds.append(timed(loop, iterator, steps))
        waiting.append(1.0 - timed(loop, at_once, steps) / seconds[-1])
        yardstick.measure()
        rate = (before + statistics.median(yardstick.rates[-5:])) / 2
        shares.append(sum(costs.values()) / seconds[-1] / rate)
    accelerator = device_memory()
    if kind_of(strategy) == "GPU":
        bfloat16 = Yardstick(tf.bfloat16)
        bfloat16.measure()
        rate = statistics.median(bfloat16.rates) / 1e9
        accelerator |= {"bfloat16_convolution_gflop_a_second": rate}
        if strategy.num_replicas_in_sync == 1:
            accelerator["seconds_to_launch_a_step"] = launching_seconds(loop, at_once)
    clips = experiment.training.batch_size * (experiment.training.discriminator_steps + 1)
    return {
        "seconds_a_step": statistics.median(seconds),
        "clips_a_second": clips / statistics.median(seconds),
        "gflop_a_step": sum(costs.values()) / 1e9,
        **{f"gflop_{name.replace(' ', '_')}": cost / 1e9 for name, cost in costs.items()},
        "operations_a_step": operations,
        "convolution_gflop_a_second": statistics.median(yardstick.rates) / 1e9,
        "share_of_convolution_rate": statistics.median(shares),
        "share_waiting_for_data": statistics.median(waiting),
        "first_call_seconds": first,
        **accelerator,
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser for what to measure: a gin file, bindings and data."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gin_file", action="append", required=True)
    parser.add_argument("--gin_bindings", action="append", default=[])
    parser.add_argument("--data_dir")
    return parser


def main() -> int:
    """Print the figures of a gin file."""
    parser = make_parser(__doc__)
    parser.add_argument("--loops", type=int, default=5, help="timed loops (default 5)")
    parser.add_argument("--steps", type=int, default=5, help="steps in a loop (default 5)")
    parser.add_argument(
        "--logical_devices", type=int, default=1, help="replicas, which share the CPU (default 1)"
    )
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    parsed = config.parse(args.gin_file, args.gin_bindings, data_dir=args.data_dir)
    name = "mirrored" if args.logical_devices > 1 else "one_device"
    strategy = make_strategy(name, logical_devices=args.logical_devices)
    figures = measure(parsed.build(), strategy, loops=args.loops, steps=args.steps)
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):32} {value:10.3f}")
    if args.json:
        with open(args.json, "w") as file:
            json.dump(figures, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
