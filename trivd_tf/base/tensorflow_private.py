"""The private TensorFlow APIs that this package uses, each with the reason.

`tests/base/test_tensorflow_private.py` fails if an upgrade changes one of them, and reports what to
check. All other code uses only public TensorFlow APIs.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.compiler.tf2xla.ops import gen_xla_ops
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.distribute import one_device_strategy
from tensorflow.python.framework import config as framework_config


def called_graph(call: tf.Operation) -> tf.Graph:
    """Returns the graph of the function that a call operation runs.

    The public `Graph.as_graph_def().library` lacks the shapes of the tensors inside.
    """
    return call.graph._get_function(call.get_attr("f").name).graph


def disable_op_determinism() -> None:
    """Undoes `tf.config.experimental.enable_op_determinism`, which has no public counterpart."""
    framework_config.disable_op_determinism()


def is_op_determinism_enabled() -> bool:
    """Returns whether `tf.config.experimental.enable_op_determinism` is in effect."""
    return framework_config.is_op_determinism_enabled()


def saved_model_tags(saved_model: bytes) -> list[list[str]]:
    """Returns the tags of each graph in the bytes of a `saved_model.pb`.

    The public loaders require the tags as an argument, and the message type is not exported.
    """
    message = saved_model_pb2.SavedModel()
    message.ParseFromString(saved_model)
    return [list(graph.meta_info_def.tags) for graph in message.meta_graphs]


class OneOfManyExtended(one_device_strategy.OneDeviceExtended):
    """Implementation of a one-device strategy that reports `num_replicas` replicas.

    `tf.distribute` has no public API for writing a strategy. Reductions become the XLA collective
    that TPUStrategy would emit, which has no public wrapper either.
    """

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
        self, var: tf.Variable, fn: Callable, args: Any, kwargs: Any, group: bool
    ) -> Any:
        result = fn(var, *args, **(kwargs or {}))
        return tf.group(result) if group and result is not None else result
