"""The training loop: compiled steps on the device, and between them what the host has to do."""

import dataclasses
import math
import pathlib
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import keras
import numpy as np
import tensorflow as tf

from trivd_tf.errors import RunError
from trivd_tf.progress import Progress
from trivd_tf.training.adam import FusedAdam
from trivd_tf.training.checkpoints import Checkpoints, Counters
from trivd_tf.training.ema import WeightAverage
from trivd_tf.training.losses_log import LossesLog
from trivd_tf.training.step import GanStep
from trivd_tf.training.strategy import replica_batch_size
from trivd_tf.training.summaries import Summaries

if TYPE_CHECKING:
    from trivd_tf.experiment import Experiment


class Stop(Protocol):
    """What the command sets on SIGTERM or Ctrl-C: `threading.Event` fits."""

    def is_set(self) -> bool: ...


@dataclasses.dataclass
class LoopResult:
    """How a run ended: steps done in all, and whether it was asked to stop before its end."""

    step: int
    was_stopped: bool


def build_step(experiment: "Experiment", strategy: tf.distribute.Strategy, seed: int) -> GanStep:
    """Networks, optimisers and the average, all under `strategy`."""
    options = experiment.training
    keras.utils.set_random_seed(seed)
    with strategy.scope():
        generator = experiment.build_generator()
        discriminators = experiment.build_discriminators()
        of_generator = _optimizer(options, options.generator_learning_rate)
        of_discriminators = _optimizer(options, options.discriminator_learning_rate)
        of_generator.build(generator.trainable_variables)
        of_discriminators.build(
            [weight for model in discriminators for weight in model.trainable_variables]
        )
        average = WeightAverage(
            generator.trainable_variables,
            decay=options.ema_decay,
            start_step=options.ema_start_step,
        )
    return GanStep(
        generator=generator,
        discriminators=discriminators,
        generator_optimizer=of_generator,
        discriminator_optimizer=of_discriminators,
        average=average,
        options=options,
        replica_batch_size=replica_batch_size(strategy, options.batch_size),
        num_replicas=strategy.num_replicas_in_sync,
        seed=seed,
        class_conditional=experiment.class_conditional,
    )


def _optimizer(options, learning_rate: float) -> keras.optimizers.Optimizer:
    if options.optimizer == "sgd":
        return keras.optimizers.SGD(learning_rate)
    return FusedAdam(
        learning_rate,
        beta_1=options.beta_1,
        beta_2=options.beta_2,
        epsilon=options.adam_epsilon,
    )


def make_iterator(
    experiment: "Experiment", strategy: tf.distribute.Strategy, seed: int, start: int
):
    """Endless training batches, each replica's share of them, from clip number `start` on."""
    replicas = strategy.num_replicas_in_sync

    def dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
        clips = experiment.data.training_clips(
            experiment.clip,
            seed=seed,
            start=start,
            shard_index=context.input_pipeline_id,
            shard_count=context.num_input_pipelines,
            batch_size=experiment.training.batch_size,
        )
        own = replicas // context.num_input_pipelines
        if own == 1:
            return clips
        # A batch of this worker holds its replicas' shares one after the other.
        share = experiment.training.batch_size // replicas
        return clips.unbatch().batch(share, drop_remainder=True)

    if replicas == 1:
        return iter(dataset(tf.distribute.InputContext()))
    return iter(strategy.distribute_datasets_from_function(dataset))


class CompiledLoop:
    """Runs several steps in one call and returns every step's metrics.

    Args:
        step: the step inside a replica.
        strategy: how replicas run it.
        counters: advanced by one for each step.
    """

    def __init__(self, step: GanStep, strategy: tf.distribute.Strategy, counters: Counters):
        self._step = step
        self._strategy = strategy
        self._counters = counters
        options = step.options
        self._clips_a_step = (options.discriminator_steps + 1) * options.batch_size
        self.names = [*step.discriminator_metrics, *step.generator_metrics, "seconds_waiting"]
        self._run = tf.function(self._many)

    def __call__(self, iterator, num_steps: int) -> dict[str, np.ndarray]:
        """Runs `num_steps` steps.

        Returns:
            For each metric its values, `[num_steps]`; among them `seconds_waiting`, at most
            how long the step waited for data.
        """
        values = self._run(iterator, tf.constant(num_steps)).numpy()
        return dict(zip(self.names, values.T, strict=True))

    def _many(self, iterator, num_steps: tf.Tensor) -> tf.Tensor:
        rows = tf.TensorArray(tf.float64, size=num_steps)
        for index in tf.range(num_steps):
            waited = tf.zeros([], tf.float64)
            row = tf.zeros([len(self._step.discriminator_metrics)], tf.float64)
            # A loop here too: the graph of the update is traced and built once, not twice.
            for update in tf.range(self._step.options.discriminator_steps):
                seconds, row = self._discriminator_update(iterator, update, row)
                waited += seconds
            rows = rows.write(index, self._generator_update(iterator, waited, row))
        return rows.stack()

    # Autograph would rewrite every function below, which takes longer than tracing them.
    @tf.autograph.experimental.do_not_convert
    def _discriminator_update(
        self, iterator, update: tf.Tensor, row: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        batch, waited = _next(iterator, row)
        metrics = self._strategy.run(
            self._step.update_discriminators, args=(batch, self._counters.step, update)
        )
        return waited, self._reduced(metrics, self._step.discriminator_metrics)

    @tf.autograph.experimental.do_not_convert
    def _generator_update(self, iterator, waited: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
        batch, seconds = _next(iterator, row)
        metrics = self._strategy.run(self._step.update_generator, args=(batch, self._counters.step))
        own = self._reduced(metrics, self._step.generator_metrics)
        whole = tf.concat([row, own, [waited + seconds]], axis=0)
        with tf.control_dependencies([whole]):
            self._counters.step.assign_add(1)
            self._counters.clips.assign_add(self._clips_a_step)
        return whole

    def _reduced(self, metrics: dict[str, tf.Tensor], names: list[str]) -> tf.Tensor:
        mean = tf.distribute.ReduceOp.MEAN
        values = [self._strategy.reduce(mean, metrics[name], axis=None) for name in names]
        return tf.stack([tf.cast(value, tf.float64) for value in values])


def _now() -> tf.Tensor:
    """Seconds on the host's clock; `tf.timestamp` is refused where operations are deterministic."""
    return tf.ensure_shape(tf.numpy_function(time.perf_counter, [], tf.float64), [])


def _next(iterator, after: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """The next batch, and at most how many seconds it was waited for once `after` was known.

    At most: what is left of the update before may run in that time. `tools/benchmark_step.py` tells
    the two apart.
    """
    with tf.control_dependencies([after]):
        start = _now()
    with tf.control_dependencies([start]):
        batch = next(iterator)
    with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
        return batch, _now() - start


def check_finite(metrics: dict[str, np.ndarray], first_step: int) -> None:
    """Raises RunError with step and term where a loss or a gradient is NaN or infinite."""
    for index in range(len(metrics["seconds_waiting"])):
        for name, values in metrics.items():
            if not math.isfinite(values[index]):
                raise RunError(
                    f"step {first_step + index + 1}: {name} is {values[index]}: training stopped, "
                    "the last checkpoint before it stays (a lower learning rate may help)"
                )


def train(
    experiment: "Experiment",
    *,
    model_dir: str | pathlib.Path,
    seed: int = 0,
    strategy: tf.distribute.Strategy | None = None,
    stop: Stop | None = None,
    on_score: Callable[[int], None] | None = None,
) -> LoopResult:
    """Trains until `num_steps`, from the newest checkpoint in `model_dir` if there is one.

    Args:
        experiment: what to train, on what.
        model_dir: gets `checkpoints/`, `tensorboard/` and `losses.jsonl`.
        seed: of weights, data order and latents.
        strategy: devices; one device when left out.
        stop: looked at between compiled loops; when set, the run is saved and ends.
        on_score: called with the step at `evaluate_every_steps`, after a checkpoint of it.

    Operations are made deterministic. On CPU, repeating a run to the last bit also needs the
    environment variable TF_NUM_INTEROP_THREADS=1, set before TensorFlow is imported, as the command
    does.

    Raises:
        InputError: the data or the configuration is at fault.
        RunError: disk full, or a loss or gradient that is not finite.
    """
    model_dir = pathlib.Path(model_dir)
    options = experiment.training
    strategy = strategy or tf.distribute.get_strategy()
    stop = stop or threading.Event()
    # Threads that add up in another order give other last bits, and so another run.
    tf.config.experimental.enable_op_determinism()
    experiment.data.prepare(experiment.clip)
    step = build_step(experiment, strategy, seed)
    counters = Counters()
    checkpoints = Checkpoints(
        model_dir / "checkpoints", step, counters, keep=options.keep_checkpoints
    )
    done = checkpoints.restore()
    if done >= options.num_steps:
        return LoopResult(done, was_stopped=False)
    loop = CompiledLoop(step, strategy, counters)
    iterator = make_iterator(experiment, strategy, seed, int(counters.clips))
    log = LossesLog(model_dir / "losses.jsonl", resume_at=done)
    summaries = Summaries(model_dir / "tensorboard", experiment, step)
    with Progress("training", total=options.num_steps, initial=done) as progress:
        while done < options.num_steps and not stop.is_set():
            count = _steps_to_next_event(done, options)
            started = time.perf_counter()
            metrics = loop(iterator, count)
            seconds = time.perf_counter() - started
            check_finite(metrics, done)
            log.write(metrics, done)
            done += count
            progress.update(count, loss=float(metrics["generator/loss"][-1]))
            summaries.write(metrics, done, seconds)
            if done % options.checkpoint_every_steps == 0 or done >= options.num_steps:
                log.flush()
                checkpoints.save()
            if on_score and _is_due(done, options.evaluate_every_steps):
                on_score(done)
    if done < options.num_steps:
        log.flush()
        checkpoints.save()
    summaries.close()
    return LoopResult(done, was_stopped=done < options.num_steps)


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _steps_to_next_event(done: int, options) -> int:
    """Steps until the host has something to do: at most one compiled loop."""
    events = [options.steps_per_loop, options.checkpoint_every_steps, options.summary_every_steps]
    events += [options.evaluate_every_steps, options.sample_every_steps]
    to_next = [every - done % every for every in events if every > 0]
    return min(*to_next, options.num_steps - done)
