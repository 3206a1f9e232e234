"""Coordination of the processes of a multi-machine job.

With one process (one device, `mirrored`, `tpu`) nothing here communicates.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

import tensorflow as tf

from trivd_tf.base.errors import RunError

# Errors that TensorFlow raises while waiting for a lost worker.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)


class Workers:
    """The group of processes that train together, seen from one of them.

    Args:
        strategy: strategy of the run.

    Attributes:
        count: number of processes.
        is_chief: whether this process writes checkpoints, logs and records.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        self.count = _count(strategy)
        self.is_chief = self.count == 1 or strategy.extended.should_checkpoint
        self._sum = tf.function(self._sum_over_replicas, autograph=False)

    def _sum_over_replicas(self, values: tf.Tensor) -> tf.Tensor:
        copies = self._strategy.run(tf.identity, args=(values,))
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, copies, axis=None)

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set in any worker; all workers must call it and get the same answer."""
        if self.count == 1:
            return flag
        return float(self._sum(tf.constant([float(flag)], tf.float64))[0]) > 0

    def wait(self) -> None:
        """Block until every worker calls it."""
        self.any(False)

    def check_same_step(self, step: int) -> None:
        """Raise RunError if the workers restored different checkpoints."""
        if self.count == 1:
            return
        replicas = self._strategy.num_replicas_in_sync
        total, squares = self._sum(tf.constant([step, step * step], tf.float64)).numpy() / replicas
        if squares != total * total:
            raise RunError(
                f"this worker found the checkpoint of step {step}, another one that of another "
                "step: --model_dir must be the same shared folder for all workers"
            )

    @contextlib.contextmanager
    def reporting_losses(self, step: Callable[[], int]) -> Iterator[None]:
        """Convert TensorFlow's various errors about a lost worker into one RunError."""
        try:
            yield
        except _LOST as error:
            if self.count == 1:
                raise
            raise RunError(f"{lost_message(step())} ({_reason(error)})") from error


def lost_message(step: int) -> str:
    """Return the message for a user whose job lost a worker."""
    return (
        f"a worker no longer answers after step {step}: this job ends; start all workers again, "
        "they resume from the newest checkpoint"
    )


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    informative = [line for line in lines if line and line != "Graph execution error:"]
    return (informative or [type(error).__name__])[0][:200]


def _count(strategy: tf.distribute.Strategy) -> int:
    resolver = getattr(strategy, "cluster_resolver", None)
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or resolver is None:
        return 1
    cluster = resolver.cluster_spec().as_dict()
    return max(1, sum(len(cluster.get(job, [])) for job in ("chief", "worker")))


class Watchdog:
    """Ends the process if a compiled loop of a multi-worker job does not return.

    TensorFlow's heartbeat detects a worker that died, but not one that is alive and stuck. The
    other workers would wait for it forever inside a collective, where no exception reaches them.

    Args:
        workers: the watchdog is inactive if there is only one.
        shortest: minimum time limit of a loop in seconds; the limit is this, or ten times the
            longest loop so far if that is longer.
        first: time limit in seconds of the first loop, which compiles.
    """

    def __init__(self, workers: Workers, *, shortest: float = 300.0, first: float = 3600.0):
        self._active = workers.count > 1
        self._shortest = shortest
        self._limit = first
        self._longest = 0.0

    @contextlib.contextmanager
    def watching(self, step: int) -> Iterator[None]:
        """Enforce the time limit inside the context."""
        if not self._active:
            yield
            return
        timer = threading.Timer(self._limit, _leave, (self._limit, step))
        timer.daemon = True
        timer.start()
        started = time.monotonic()
        try:
            yield
        finally:
            timer.cancel()
        self._longest = max(self._longest, time.monotonic() - started)
        self._limit = max(self._shortest, 10 * self._longest)


def _leave(limit: float, step: int) -> None:
    print(
        f"trivd: error: no answer for {limit:.0f} seconds; {lost_message(step)}",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)
