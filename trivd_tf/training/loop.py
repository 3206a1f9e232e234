"""The training loop: compiled steps on the device, host work between them."""

import contextlib
import dataclasses
import math
import sys
import threading
import time
from collections.abc import Callable
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from trivd_tf.base import model_files
from trivd_tf.base.errors import RunError
from trivd_tf.base.lock import directory_lock
from trivd_tf.base.progress import Progress
from trivd_tf.base.storage import RunName, RunPath, run_folder
from trivd_tf.experiment import Experiment
from trivd_tf.experiment.training_options import ENDLESS
from trivd_tf.layers.recompute import recomputable_layers
from trivd_tf.training.adam import FusedAdam
from trivd_tf.training.checkpoints import Checkpoints, Counters
from trivd_tf.training.compiled_loop import CompiledLoop
from trivd_tf.training.distribution.batches import make_iterator
from trivd_tf.training.distribution.devices import (
    compiles_islands,
    graph_optimizers,
    kind_of,
    reporting_device_failures,
    set_determinism,
)
from trivd_tf.training.distribution.strategy import replica_batch_size
from trivd_tf.training.distribution.workers import Watchdog, Workers
from trivd_tf.training.ema import WeightAverage
from trivd_tf.training.losses_log import LossesLog
from trivd_tf.training.optional import Optional
from trivd_tf.training.step import GanStep
from trivd_tf.training.summaries import Summaries


class Stop(Protocol):
    """Stop request, set by the command on SIGTERM or Ctrl-C; `threading.Event` implements it."""

    def is_set(self) -> bool: ...


@dataclasses.dataclass
class LoopResult:
    """Result of a run: total steps done, and whether it was stopped early."""

    step: int
    was_stopped: bool


def build_step(
    experiment: Experiment,
    strategy: tf.distribute.Strategy,
    seed: int,
    *,
    device_kind: str | None = None,
) -> GanStep:
    """Build networks, optimizers and weight average under `strategy`.

    Args:
        experiment: the experiment to train.
        strategy: devices to train on.
        seed: seed of the weights and of all randomness in the step.
        device_kind: `CPU`, `GPU` or `TPU`; defaults to that of the strategy.

    Raises:
        InputError: networks or options do not fit the devices.
    """
    options = experiment.training
    jit_compile = compiles_islands(
        options, device_kind or kind_of(strategy), strategy.num_replicas_in_sync
    )
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
    for model in (generator, *discriminators):
        for layer in recomputable_layers(model):
            layer.recompute = options.recompute
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
        jit_compile=jit_compile,
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


def check_finite(metrics: dict[str, np.ndarray], first_step: int) -> None:
    """Raise RunError with step and metric if a loss or gradient is NaN or infinite."""
    for index in range(len(next(iter(metrics.values())))):
        for name, values in metrics.items():
            if not math.isfinite(values[index]):
                raise RunError(
                    f"step {first_step + index + 1}: {name} is {values[index]}: training stopped, "
                    "the last checkpoint before it stays (a lower learning rate may help)"
                )


def train(
    experiment: Experiment,
    *,
    model_dir: RunName,
    seed: int = 0,
    strategy: tf.distribute.Strategy | None = None,
    stop: Stop | None = None,
    on_score: Callable[[int], None] | None = None,
    on_loop: Callable[[int, float], None] | None = None,
    start: Callable[[GanStep], None] | None = None,
    on_begin: Callable[[int], None] | None = None,
) -> LoopResult:
    """Train until `num_steps`, resuming from the newest checkpoint in `model_dir` if there is one.

    Args:
        experiment: networks, data and training options.
        model_dir: model directory for `checkpoints/`, `tensorboard/` and `losses.jsonl`; a local
            folder, or one of a file system that TensorFlow supports (`gs://bucket/run`).
        seed: seed of weights, data order and latents.
        strategy: devices; one device by default. With several workers, every worker calls this.
        stop: checked between compiled loops. If set in any worker, the run is saved and ends.
        on_score: called in every worker with the step at `evaluate_every_steps`, after its
            checkpoint, and also at the start if a run was interrupted there. It does nothing for a
            step that is already scored.
        on_begin: called in every worker with the current step once training is ready to start; not
            called if the run has reached `num_steps`.
        on_loop: called with the steps and seconds of every compiled loop; the first one includes
            compilation.
        start: called with the new networks before the first step, to set their weights.

    `TrainingOptions.deterministic` decides whether operations are deterministic. On CPU,
    repeatability to the last bit also needs the environment variable TF_NUM_INTEROP_THREADS=1, set
    before TensorFlow is imported, as the command does.

    Raises:
        InputError: invalid data or configuration.
        RunError: disk full, a loss or gradient that is not finite, or a lost worker.
    """
    model_dir = run_folder(model_dir)
    options = experiment.training
    strategy = strategy or tf.distribute.get_strategy()
    workers = Workers(strategy)
    kind = kind_of(strategy)
    set_determinism(options, kind)
    experiment.data.prepare(experiment.clip)
    step = build_step(experiment, strategy, seed)
    counters = Counters()
    checkpoints = Checkpoints(
        model_dir / model_files.CHECKPOINTS,
        step,
        counters,
        keep=options.keep_checkpoints,
        patience=options.save_patience_seconds,
    )
    done = checkpoints.restore()
    if start and not done:
        start(step)
    lock = directory_lock(model_dir, "training") if workers.is_chief else contextlib.nullcontext()
    with lock, workers.reporting_losses(lambda: int(counters.step)), graph_optimizers(kind):
        workers.check_same_step(done)
        if on_score and done and _is_due(done, options.evaluate_every_steps):
            with Optional(_say).work(f"the score of step {done}"):
                on_score(done)
            workers.wait()
        if done >= options.num_steps:
            return LoopResult(done, was_stopped=False)
        if on_begin:
            on_begin(done)
        run = _Run(experiment, strategy, step, counters, checkpoints, workers, model_dir, seed)
        return run.until_end(done, stop or threading.Event(), on_score, on_loop)


class _Run:
    """A run in progress: the host work between compiled loops."""

    def __init__(
        self,
        experiment: Experiment,
        strategy: tf.distribute.Strategy,
        step: GanStep,
        counters: Counters,
        checkpoints: Checkpoints,
        workers: Workers,
        model_dir: RunPath,
        seed: int,
    ):
        self._options = experiment.training
        self._checkpoints = checkpoints
        self._counters = counters
        self._jit_compile = step.jit_compile
        self._workers = workers
        self._loop = CompiledLoop(step, strategy, counters)
        self._iterator = make_iterator(experiment, strategy, seed, int(counters.clips))
        self._log = self._summaries = None
        if workers.is_chief:
            self._log = LossesLog(model_dir / model_files.LOSSES, resume_at=int(counters.step))
            self._summaries = Summaries(model_dir / model_files.TENSORBOARD, experiment, step)
        self._watchdog = Watchdog(workers)
        self._optional = Optional(_say)

    def until_end(
        self,
        done: int,
        stop: Stop,
        on_score: Callable[[int], None] | None,
        on_loop: Callable[[int, float], None] | None,
    ) -> LoopResult:
        """Train from step `done` to the last one, or until any worker is asked to stop."""
        options, first = self._options, done
        total = None if options.num_steps >= ENDLESS else options.num_steps
        with Progress("training", total=total, initial=done) as progress:
            self._optional = Optional(progress.write)
            self._tell_left_out(progress)
            while done < options.num_steps and not self._workers.any(stop.is_set()):
                count = 1 if done == first else _steps_to_next_event(done, options)
                started = time.perf_counter()
                with (
                    self._watchdog.watching(done),
                    reporting_device_failures(
                        options,
                        lambda: int(self._counters.step),
                        jit_compile=self._jit_compile,
                    ),
                ):
                    metrics = self._loop(self._iterator, count)
                seconds = time.perf_counter() - started
                if on_loop:
                    on_loop(count, seconds)
                check_finite(metrics, done)
                is_first = done == first
                self._tell_compiling(progress, seconds, is_first=is_first)
                done += count
                loss = float(metrics["generator/loss"][-1])
                progress.update(count, is_typical=not is_first, loss=loss)
                if self._log:
                    self._log.write(metrics, done - count)
                to_score = on_score is not None and _is_due(done, options.evaluate_every_steps)
                is_last = done >= options.num_steps
                if to_score or is_last or _is_due(done, options.checkpoint_every_steps):
                    self._save(progress)
                # What follows is optional and runs after the checkpoint.
                self._summarize(metrics, done, seconds)
                if on_score and to_score:
                    with self._optional.work(f"the score of step {done}"):
                        on_score(done)
                    self._workers.wait()  # only one worker scores
            if done < options.num_steps:
                self._save(progress)
        # A worker that leaves earlier would look dead to one that is still saving.
        self._workers.wait()
        if self._summaries:
            with self._optional.work("the last summaries"):
                self._summaries.close()
        return LoopResult(done, was_stopped=done < options.num_steps)

    def _tell_compiling(self, progress: Progress, seconds: float, *, is_first: bool) -> None:
        if is_first:
            progress.write(
                f"trivd: compiled: the first step took {seconds:.1f} s, "
                f"{self._loop.tracing_seconds:.1f} s of it tracing"
            )
            self._times_traced = self._loop.times_traced
        elif self._loop.times_traced > self._times_traced:
            self._times_traced = self._loop.times_traced
            progress.write(
                f"trivd: warning: the training loop was compiled again, which took {seconds:.0f} s "
                "with its steps: batches must keep their shapes and types"
            )

    def _tell_left_out(self, progress: Progress) -> None:
        """Report missing sample videos at the start instead of hours later."""
        if self._summaries and self._options.sample_every_steps:
            with self._optional.work("sample videos"):
                problem = self._summaries.problem_with_samples()
                if problem:
                    progress.write(f"trivd: {problem}")

    def _summarize(self, metrics: dict[str, np.ndarray], done: int, seconds: float) -> None:
        if self._summaries:
            with self._optional.work("summaries"):
                self._summaries.write(metrics, done, seconds)

    def _save(self, progress: Progress) -> None:
        """Save on the chief; the state is the same on every worker."""
        if self._log:
            self._checkpoints.save_patiently(progress.write, before=self._log.flush)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _steps_to_next_event(done: int, options) -> int:
    """Return the steps until the next host work, at most one compiled loop."""
    events = [options.steps_per_loop, options.checkpoint_every_steps, options.summary_every_steps]
    events += [options.evaluate_every_steps, options.sample_every_steps]
    to_next = [every - done % every for every in events if every > 0]
    return min(*to_next, options.num_steps - done)
