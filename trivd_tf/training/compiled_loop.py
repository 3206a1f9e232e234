"""Several train steps in one call: a loop that runs without Python."""

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

    It is the loop that TensorFlow documents for TPUs: a `tf.function` that takes batches from the
    distributed iterator and calls `strategy.run` for each. The number of steps is a tensor, so it
    is traced and compiled once.

    Where every replica is a CPU, `seconds_waiting` is among the metrics. Elsewhere nothing in the
    loop calls back to Python, which a clock would.

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
        self._programs = ReplicaPrograms(step)
        self.measures_waiting = kind_of(strategy) == "CPU"
        self.names = [*step.discriminator_metrics, *step.generator_metrics]
        if self.measures_waiting:
            self.names.append(WAITING)
        self._run = tf.function(self._many)
        self.tracing_seconds = 0.0

    def __call__(self, iterator, num_steps: int) -> dict[str, np.ndarray]:
        """Runs `num_steps` steps.

        Returns:
            For each metric its values, `[num_steps]`; `seconds_waiting`, where it is measured, is
            at most how long the step waited for data.
        """
        values = self.launch(iterator, num_steps).numpy()
        return dict(zip(self.names, values.T, strict=True))

    def launch(self, iterator, num_steps: int) -> tf.Tensor:
        """As a call; returns `[num_steps, metrics]`, which a GPU may still be computing."""
        count = tf.constant(num_steps)
        if not self.times_traced:
            started = time.perf_counter()
            self._run.get_concrete_function(iterator, count)
            self.tracing_seconds = time.perf_counter() - started
        return self._run(iterator, count)

    @property
    def times_traced(self) -> int:
        """1 after the first call; more when something made TensorFlow compile the loop again."""
        return self._run.experimental_get_tracing_count()

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
        """`metrics`, where waiting is measured only once the update wrote every weight.

        They are known before the backward pass begins, and the clock of the next batch starts
        when they are there. A read comes after the writes before it, and copies nothing.
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
        """The next batch, and at most how many seconds it was waited for once `after` was known.

        At most: spectral norms, which need no batch, may be computed in that time.
        `tools/benchmark_step.py` distinguishes the two.
        """
        if not self.measures_waiting:
            return next(iterator), tf.zeros([], tf.float64)
        with tf.control_dependencies([after]):
            start = _now()
        with tf.control_dependencies([start]):
            batch = next(iterator)
        with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
            end = _now()
        # The update waits for the clock; else it could take the only thread before the clock does.
        with tf.control_dependencies([end]):
            return tf.nest.map_structure(tf.identity, batch, expand_composites=True), end - start


def _now() -> tf.Tensor:
    """Seconds on the host's clock; `tf.timestamp` is refused where operations are deterministic."""
    return tf.ensure_shape(tf.numpy_function(time.perf_counter, [], tf.float64), [])
