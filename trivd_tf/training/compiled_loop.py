"""Compiled loop: several train steps in one call, without Python in between."""

import time
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from trivd_tf.training.checkpoints import Counters
from trivd_tf.training.distribution.devices import kind_of
from trivd_tf.training.replica_programs import ReplicaPrograms
from trivd_tf.training.step import GanStep

WAITING = "seconds_waiting"


class CompiledLoop:
    """Runs several steps in one call and returns every step's metrics.

    This is the loop that TensorFlow documents for TPUs: a `tf.function` that takes batches from the
    distributed iterator and calls `strategy.run` for each. The number of steps is a tensor, so the
    loop is traced and compiled once.

    If every replica is a CPU, the metrics include `seconds_waiting`. On other devices the loop has
    no callback to Python, which reading the clock would need.

    Args:
        step: the train step of one replica.
        strategy: how the replicas run it.
        counters: advanced by one per step.
    """

    def __init__(self, step: GanStep, strategy: tf.distribute.Strategy, counters: Counters):
        self._step = step
        self._strategy = strategy
        self._counters = counters
        options = step.options
        self._clips_a_step = (options.discriminator_steps + 1) * options.batch_size
        self._programs = ReplicaPrograms(step)
        self.measures_waiting = kind_of(strategy) == "CPU"
        self.names = [*step.discriminator_metrics, *step.generator_metrics]
        if self.measures_waiting:
            self.names.append(WAITING)
        self._run = tf.function(self._many)
        self.tracing_seconds = 0.0

    def __call__(self, iterator, num_steps: int) -> dict[str, np.ndarray]:
        """Run `num_steps` steps.

        Returns:
            Values `[num_steps]` of each metric. `seconds_waiting`, if measured, is an upper bound
            of the time that the step waited for data.
        """
        values = self.launch(iterator, num_steps).numpy()
        return dict(zip(self.names, values.T, strict=True))

    def launch(self, iterator, num_steps: int) -> tf.Tensor:
        """Start `num_steps` steps; return `[num_steps, metrics]`, which may still be computing."""
        count = tf.constant(num_steps)
        if not self.times_traced:
            started = time.perf_counter()
            self._run.get_concrete_function(iterator, count)
            self.tracing_seconds = time.perf_counter() - started
        return self._run(iterator, count)

    @property
    def times_traced(self) -> int:
        """1 after the first call; higher if TensorFlow compiled the loop again."""
        return self._run.experimental_get_tracing_count()

    def _many(self, iterator, num_steps: tf.Tensor) -> tf.Tensor:
        rows = tf.TensorArray(tf.float64, size=num_steps)
        for index in tf.range(num_steps):
            waited = tf.zeros([], tf.float64)
            row = tf.zeros([len(self._step.discriminator_metrics)], tf.float64)
            # A loop here too, so that the graph of the update is traced and built only once.
            for update in tf.range(self._step.options.discriminator_steps):
                seconds, row = self._discriminator_update(iterator, update, row)
                waited += seconds
            rows = rows.write(index, self._generator_update(iterator, waited, row))
        return rows.stack()

    # Autograph would rewrite every function below, which takes longer than tracing it.
    @tf.autograph.experimental.do_not_convert
    def _discriminator_update(
        self, iterator, update: tf.Tensor, row: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        batch, waited = self._next(iterator, row)

        def inside(batch, step: tf.Tensor, update: tf.Tensor) -> tf.Tensor:
            metrics = self._programs.discriminators(batch, step, update)
            return self._once_written(metrics, self._step.discriminators)

        step = tf.identity(self._counters.step)
        return waited, self._mean(self._strategy.run(inside, args=(batch, step, update)))

    @tf.autograph.experimental.do_not_convert
    def _generator_update(self, iterator, waited: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
        batch, seconds = self._next(iterator, row)

        def inside(batch, step: tf.Tensor) -> tf.Tensor:
            metrics = self._programs.generator(batch, step)
            return self._once_written(metrics, [self._step.generator])

        step = tf.identity(self._counters.step)
        whole = [row, self._mean(self._strategy.run(inside, args=(batch, step)))]
        if self.measures_waiting:
            whole.append([waited + seconds])
        result = tf.concat(whole, axis=0)
        with tf.control_dependencies([result]):
            self._counters.step.assign_add(1)
            self._counters.clips.assign_add(self._clips_a_step)
        return result

    def _once_written(self, metrics: tf.Tensor, models: Sequence[keras.Model]) -> tf.Tensor:
        """Return `metrics`; if waiting is measured, only after the update has written every weight.

        The metrics are known before the backward pass begins, and the clock of the next batch
        starts when they are available. Each read runs after the preceding writes and copies
        nothing.
        """
        if not self.measures_waiting:
            return metrics
        weights = [variable for model in models for variable in model.trainable_variables]
        with tf.control_dependencies([tf.identity(weight.value) for weight in weights]):
            return tf.identity(metrics)

    def _mean(self, per_replica: tf.Tensor) -> tf.Tensor:
        mean = self._strategy.reduce(tf.distribute.ReduceOp.MEAN, per_replica, axis=None)
        return tf.cast(mean, tf.float64)

    def _next(self, iterator, after: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Return the next batch, and an upper bound of the seconds it was waited for after `after`.

        An upper bound because spectral norms, which need no batch, may be computed in that time.
        `tools/benchmark_step.py` separates the two.
        """
        if not self.measures_waiting:
            return next(iterator), tf.zeros([], tf.float64)
        with tf.control_dependencies([after]):
            start = _now()
        with tf.control_dependencies([start]):
            batch = next(iterator)
        with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
            end = _now()
        # The update waits for the clock, or it could occupy the only thread before the clock runs.
        with tf.control_dependencies([end]):
            return tf.nest.map_structure(tf.identity, batch, expand_composites=True), end - start


def _now() -> tf.Tensor:
    """Return seconds on the host's clock; `tf.timestamp` is not allowed with determinism."""
    return tf.ensure_shape(tf.numpy_function(time.perf_counter, [], tf.float64), [])
