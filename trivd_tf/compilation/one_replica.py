"""A strategy that traces one replica of a synchronous job of N, without having N devices.

What a replica does is the same on every one of them, so its program can be written down anywhere.
Where TPUStrategy would reduce over replicas, this emits the same XLA collective; the program that
comes out is what each core of a TPU would be given.
"""

from typing import Any

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops
from tensorflow.python.distribute import one_device_strategy


class _OneOfManyExtended(one_device_strategy.OneDeviceExtended):
    """One device that says it is one of `num_replicas`."""

    def __init__(self, strategy: tf.distribute.Strategy, num_replicas: int):
        super().__init__(strategy, "/device:CPU:0")
        self._replicas = num_replicas

    @property
    def _num_replicas_in_sync(self) -> int:
        return self._replicas

    def _use_merge_call(self) -> bool:
        return False  # as TPUStrategy: variables are updated inside the replica

    def _replica_ctx_all_reduce(
        self, reduce_op: tf.distribute.ReduceOp, value: Any, options: Any = None
    ) -> Any:
        groups = tf.constant([list(range(self._replicas))], tf.int32)
        is_mean = tf.distribute.ReduceOp(reduce_op) == tf.distribute.ReduceOp.MEAN

        def reduced(part: Any) -> tf.Tensor:
            part = tf.convert_to_tensor(part)
            total = gen_xla_ops.xla_all_reduce(
                input=part, group_assignment=groups, reduce_op="Add", mode="CrossReplica"
            )
            total = tf.ensure_shape(total, part.shape)
            return total / tf.cast(self._replicas, total.dtype) if is_mean else total

        return tf.nest.map_structure(reduced, value)

    def _replica_ctx_update(
        self, var: tf.Variable, fn: Any, args: Any, kwargs: Any, group: bool
    ) -> Any:
        result = fn(var, *args, **(kwargs or {}))
        return tf.group(result) if group and result is not None else result


class OneReplicaStrategy(tf.distribute.Strategy):
    """Traces what one of `num_replicas` replicas runs.

    Only good for lowering a program: run, it would wait for replicas that do not exist. Reductions
    are what it knows; gathering, which only `mix_over_replicas` needs, has not been tried.
    """

    def __init__(self, num_replicas: int):
        super().__init__(_OneOfManyExtended(self, num_replicas))
