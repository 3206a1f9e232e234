"""Times the train step of a gin file against the rate of a large convolution in the same run.

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
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")  # as `trivd train` runs

import tensorflow as tf

from trivd_tf import config
from trivd_tf.description.graph_costs import flops, traced
from trivd_tf.training.checkpoints import Counters
from trivd_tf.training.compiled_loop import CompiledLoop
from trivd_tf.training.distribution.strategy import make_strategy
from trivd_tf.training.loop import build_step, make_iterator

_FORWARD_AND_BACKWARD = 3  # a convolution and its two gradients cost the same


class Yardstick:
    """A 3x3 convolution, 64 to 64 channels, forward and backward, on 16 frames of 64 x 64."""

    def __init__(self) -> None:
        self._inputs = tf.random.normal([16, 64, 64, 64])
        self._kernel = tf.random.normal([3, 3, 64, 64])
        self._run = tf.function(self._gradients, autograph=False)
        self._run()
        self.rates: list[float] = []

    def _gradients(self) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([self._inputs, self._kernel])
            outputs = tf.nn.conv2d(self._inputs, self._kernel, 1, "SAME")
        return tape.gradient(outputs, [self._inputs, self._kernel], output_gradients=outputs)

    def measure(self, seconds: float = 2.0) -> None:
        """Adds rates (FLOP/s) measured for about this long."""
        work = 2 * 16 * 64 * 64 * 64 * 64 * 9 * _FORWARD_AND_BACKWARD
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            self._run()[1].numpy()
            self.rates.append(work / (time.perf_counter() - start))


def step_flops(step, experiment, strategy) -> dict[str, int]:
    """What the updates of one step cost on all replicas, each traced once."""
    clip, batch = experiment.clip, step.replica_batch_size
    spec = {
        "video": tf.TensorSpec([batch, clip.num_frames, clip.height, clip.width, 3], tf.uint8),
        "label": tf.TensorSpec([batch], tf.int32),
    }
    number, update = tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.int32)
    count = experiment.training.discriminator_steps

    def cost(function, *specs) -> int:
        def run(*given) -> None:
            strategy.run(function, args=given)

        return flops(traced(run, *specs))

    return {
        "discriminator updates": count * cost(step.update_discriminators, spec, number, update),
        "generator update": cost(step.update_generator, spec, number),
    }


def repeated(batch, strategy: tf.distribute.Strategy):
    """An iterator that has this batch, or every replica's share of it, at once."""
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
    """Seconds a step of one compiled loop."""
    started = time.perf_counter()
    loop(iterator, steps)
    return (time.perf_counter() - started) / steps


def measure(
    experiment, strategy: tf.distribute.Strategy, *, loops: int, steps: int, seed: int = 0
) -> dict[str, float]:
    """Runs `loops` compiled loops of `steps` steps, the yardstick before and after each."""
    experiment.data.prepare(experiment.clip)
    step = build_step(experiment, strategy, seed)
    costs = step_flops(step, experiment, strategy)
    loop = CompiledLoop(step, strategy, Counters())
    iterator = make_iterator(experiment, strategy, seed, 0)
    started = time.perf_counter()
    loop(iterator, 1)
    first = time.perf_counter() - started
    loop(iterator, steps)
    # What is left when the same batch is there at once is what the step itself takes.
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
    clips = experiment.training.batch_size * (experiment.training.discriminator_steps + 1)
    return {
        "seconds_a_step": statistics.median(seconds),
        "clips_a_second": clips / statistics.median(seconds),
        "gflop_a_step": sum(costs.values()) / 1e9,
        **{f"gflop_{name.replace(' ', '_')}": cost / 1e9 for name, cost in costs.items()},
        "convolution_gflop_a_second": statistics.median(yardstick.rates) / 1e9,
        "share_of_convolution_rate": statistics.median(shares),
        "share_waiting_for_data": statistics.median(waiting),
        "first_call_seconds": first,
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Flags that say what is measured: a gin file, bindings and data."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gin_file", action="append", required=True)
    parser.add_argument("--gin_bindings", action="append", default=[])
    parser.add_argument("--data_dir")
    return parser


def main() -> int:
    """Prints the figures of a gin file."""
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
