"""TensorFlow's private parts are as `trivd_tf/base/tensorflow_private.py` expects them.

Where a test fails after an upgrade of TensorFlow: look for what took the place of the name in the
message, and change `tensorflow_private.py` alone.
"""

import numpy as np
import tensorflow as tf

from trivd_tf.base import tensorflow_private


def test_the_graph_of_a_call_holds_its_operations():
    where = "tensorflow/python/framework/ops.py, Graph._get_function"
    inner = tf.function(lambda x: tf.math.cumsum(x), autograph=False)
    outer = tf.function(lambda x: inner(x), autograph=False)
    graph = outer.get_concrete_function(tf.TensorSpec([3])).graph
    (call,) = [op for op in graph.get_operations() if op.type.endswith("PartitionedCall")]
    types = [op.type for op in tensorflow_private.called_graph(call).get_operations()]
    assert "Cumsum" in types, where


def test_determinism_is_switched():
    where = "tensorflow/python/framework/config.py, (is|disable)_op_determinism"
    was_on = tensorflow_private.is_op_determinism_enabled()
    try:
        tf.config.experimental.enable_op_determinism()
        assert tensorflow_private.is_op_determinism_enabled(), where
        tensorflow_private.disable_op_determinism()
        assert not tensorflow_private.is_op_determinism_enabled(), where
    finally:
        if was_on:
            tf.config.experimental.enable_op_determinism()


def test_tags_of_a_saved_model(tmp_path):
    where = "tensorflow/core/protobuf/saved_model.proto, meta_graphs.meta_info_def.tags"
    tf.saved_model.save(tf.Module(), str(tmp_path))
    data = (tmp_path / "saved_model.pb").read_bytes()
    assert tensorflow_private.saved_model_tags(data) == [["serve"]], where


def test_one_of_many_says_so_and_reduces_by_an_xla_collective():
    where = "tensorflow/python/distribute/one_device_strategy.py; tf2xla/ops/gen_xla_ops"

    class Strategy(tf.distribute.Strategy):
        def __init__(self):
            super().__init__(tensorflow_private.OneOfManyExtended(self, 4))

    strategy = Strategy()
    assert strategy.num_replicas_in_sync == 4, where
    variable = tf.Variable(np.zeros([2], np.float32))

    def replica(x):
        context = tf.distribute.get_replica_context()
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, x)
        mean = context.all_reduce(tf.distribute.ReduceOp.MEAN, x)
        strategy.extended.update(variable, lambda v, t: v.assign(t), args=(total + mean,))

    traced = tf.function(lambda x: strategy.run(replica, [x]), autograph=False)
    graph = traced.get_concrete_function(tf.TensorSpec([2])).graph
    types = [op.type for op in graph.get_operations()]
    assert types.count("XlaAllReduce") == 2, where
    assert "AssignVariableOp" in types, where
    (divisor,) = [op.inputs[1] for op in graph.get_operations() if op.type == "RealDiv"]
    assert float(tf.get_static_value(divisor)) == 4.0, where
