"""Runs a function on a batch that is split over the replicas of a strategy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf


class OverReplicas:
    """Splits the rows of a batch over the replicas and concatenates the results.

    All shares have the largest size seen so far. A smaller batch is padded with copies of its last
    row, whose results are dropped, so that the last batch of a pass needs no new graph.

    Args:
        strategy: a strategy with any number of replicas, all driven by this process.
        function: maps tensors `[b, ...]` to a nest of tensors `[b, ...]`, row by row; traced once
            per replica. Its variables must have been created under `strategy.scope()`.
    """

    def __init__(self, strategy: tf.distribute.Strategy, function: Callable[..., Any]):
        self._strategy = strategy
        self._share = 0
        self._run = tf.function(lambda *rows: strategy.run(function, args=rows), autograph=False)

    def __call__(self, *arrays: np.ndarray) -> Any:
        """Runs the function on arrays `[B, ...]`; returns a nest of NumPy arrays `[B, ...]`."""
        count, replicas = len(arrays[0]), self._strategy.num_replicas_in_sync
        self._share = max(self._share, -(-count // replicas))
        missing = self._share * replicas - count
        shares = [self._shares_of(np.asarray(array), missing) for array in arrays]
        results = self._run(*shares)

        def whole(result: Any) -> np.ndarray:
            parts = self._strategy.experimental_local_results(result)
            return np.concatenate([part.numpy() for part in parts])[:count]

        return tf.nest.map_structure(whole, results)

    def _shares_of(self, array: np.ndarray, missing: int) -> Any:
        filled = np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])

        def share(context: tf.distribute.ReplicaContext) -> tf.Tensor:
            first = context.replica_id_in_sync_group * self._share
            return tf.constant(filled[first : first + self._share])

        return self._strategy.experimental_distribute_values_from_function(share)
