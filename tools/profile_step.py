"""Profiles a train step: its parts, each compiled alone and timed in turn.

    python tools/profile_step.py --gin_file quickstart [--gin_bindings ...] [--data_dir DIR]
        [--rounds 5]

Prints one line per part: its runs per step, milliseconds per step, FLOPs, and its rate relative to
the yardstick's (a 3x3 convolution of 64 channels, forward and backward, in the same run). Lines
that begin with "(within)" are pieces of a part above and not included in the sum.
"""

import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")  # as in `trivd train`
sys.path.insert(0, str(Path(__file__).resolve().parent))

import tensorflow as tf
from benchmark_step import Yardstick, make_parser

from trivd_tf import config
from trivd_tf.description.graph_costs import flops
from trivd_tf.layers.spectral_norm import power_iterate, spectral_layers
from trivd_tf.training.distribution.batches import make_iterator
from trivd_tf.training.loop import build_step
from trivd_tf.training.step import GanStep


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of the step.

    Attributes:
        name: printed name.
        times: runs per step.
        run: computes the part; returns tensors, so that nothing is optimized away.
    """

    name: str
    times: int
    run: Callable[[], Any]


def without_optimizer(step: GanStep) -> GanStep:
    """Return the step with the same networks, whose updates stop at the gradients."""
    twin = dataclasses.replace(step, average=_NoAverage())
    twin._apply = lambda _, gradients, __: tf.linalg.global_norm(  # type: ignore[method-assign]
        [tf.convert_to_tensor(gradient) for gradient in gradients]
    )
    return twin


class _NoAverage:
    def update(self, step: tf.Tensor) -> None:
        """Do nothing."""


def spectral_norms(models: list) -> list[tf.Tensor]:
    """Run power iterations; return normalized kernels with the gradient through them."""
    found = []
    for model in models:
        power_iterate(model)
        for layer in spectral_layers(model):
            kernel = layer.kernel.value
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(kernel)
                normalized = layer.normalized_kernel()
            found.append(tape.gradient(normalized, kernel, output_gradients=normalized))
    return [tf.reduce_max(gradient) for gradient in found]


def penalty(step: GanStep) -> list[tf.Tensor]:
    """Return the orthogonality penalty and its gradient."""
    sources = [weight.value for weight in step.generator.trainable_variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(sources)
        loss = step.penalty()
    gradients = tape.gradient(loss, sources)
    return [tf.reduce_max(gradient) for gradient in gradients if gradient is not None]


def parts(step: GanStep, batch: dict[str, tf.Tensor]) -> list[Part]:
    """Return the parts of a step on one batch."""
    updates = step.options.discriminator_steps
    number, update = tf.constant(0, tf.int64), tf.constant(0)
    bare = without_optimizer(step)
    seed = tf.constant([1, 2], tf.int64)
    given = step.predict(batch, seed)
    judged = without_optimizer(step)
    judged.predict = lambda *_: given  # type: ignore[method-assign]
    of_generator = step.generator.trainable_variables
    of_discriminators = [w for model in step.discriminators for w in model.trainable_variables]

    def adam(optimizer, weights) -> list[tf.Tensor]:
        # A small result instead of the weights, which would be copied.
        optimizer.apply([tf.zeros_like(weight.value) for weight in weights], weights)
        return [optimizer.iterations.value]

    def average() -> tf.Tensor:
        step.average.update(tf.constant(10**8, tf.int64))
        return number

    return [
        Part("prediction, forward", updates, lambda: step.predict(batch, seed)),
        Part(
            "discriminators, forward and backward",
            updates,
            lambda: judged.update_discriminators(batch, number, update),
        ),
        Part(
            "generator and discriminators, forward and backward",
            1,
            lambda: bare.update_generator(batch, number),
        ),
        Part(
            "Adam of the discriminators",
            updates,
            lambda: adam(step.discriminator_optimizer, of_discriminators),
        ),
        Part("Adam of the generator", 1, lambda: adam(step.generator_optimizer, of_generator)),
        Part("average of the weights", 1, average),
        Part("(within) the generator's penalty", 1, lambda: penalty(step)),
        Part(
            "(within) the discriminators' spectral norms",
            updates,
            lambda: spectral_norms(step.discriminators),
        ),
        Part(
            "(within) the generator's spectral norms", 1, lambda: spectral_norms([step.generator])
        ),
    ]


def compiled(run: Callable[[], Any]) -> tuple[Callable[[], Any], int]:
    """Compile a function; return it with its FLOPs."""
    function = tf.function(run, autograph=False)
    return function, flops(function.get_concrete_function().graph)


def profile(experiment: Any, rounds: int) -> tuple[list[dict[str, Any]], float]:
    """Return a row per part, and the yardstick's rate (FLOP/s)."""
    strategy = tf.distribute.get_strategy()
    experiment.data.prepare(experiment.clip)
    step = build_step(experiment, strategy, 0)
    batch = next(make_iterator(experiment, strategy, 0, 0))
    found = parts(step, batch)
    functions = [compiled(part.run) for part in found]
    yardstick = Yardstick()
    seconds: list[list[float]] = [[] for _ in found]
    for function, _ in functions:
        function()
    for _ in range(rounds):
        yardstick.measure(1.0)
        for times, (function, _) in zip(seconds, functions, strict=True):
            started = time.perf_counter()
            tf.nest.map_structure(lambda tensor: tensor.numpy(), function())
            times.append(time.perf_counter() - started)
    rate = statistics.median(yardstick.rates)
    rows = [
        {
            "part": part.name,
            "times": part.times,
            "ms": 1e3 * part.times * statistics.median(times),
            "gflop": part.times * cost / 1e9,
            "share_of_convolution_rate": cost / statistics.median(times) / rate,
        }
        for part, times, (_, cost) in zip(found, seconds, functions, strict=True)
    ]
    return rows, rate


def main() -> int:
    """Print the parts of a gin file's step."""
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    parsed = config.parse(args.gin_file, args.gin_bindings, data_dir=args.data_dir)
    rows, rate = profile(parsed.build(), args.rounds)
    whole = sum(row["ms"] for row in rows if not row["part"].startswith("("))
    print(f"{'part':52}{'times':>6}{'ms':>9}{'of all':>8}{'GFLOP':>9}{'of yardstick':>14}")
    for row in rows:
        print(
            f"{row['part']:52}{row['times']:6}{row['ms']:9.1f}{row['ms'] / whole:8.1%}"
            f"{row['gflop']:9.1f}{row['share_of_convolution_rate']:14.1%}"
        )
    print(f"{'all':58}{whole:9.1f}; yardstick {rate / 1e9:.0f} GFLOP/s")
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, "yardstick": rate}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
