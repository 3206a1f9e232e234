"""Keras's private parts are as `trivd_tf/base/keras_private.py` expects them.

Where a test fails after an upgrade of Keras: look in keras/src/optimizers/base_optimizer.py,
keras/src/optimizers/adam.py and keras/src/backend/tensorflow/optimizer_distribute.py for what took
the place of the name in the message, and change `keras_private.py` alone.
"""

import keras
import numpy as np
import tensorflow as tf

from trivd_tf.base.keras_private import OpenAdam, leave_gradients_as_they_are
from trivd_tf.compilation.one_replica import OneReplicaStrategy


def test_gradients_are_summed_unless_they_are_left_as_they_are():
    where = "Optimizer._all_reduce_sum_gradients, called by _backend_apply_gradients"
    strategy = OneReplicaStrategy(4)
    for leave, expected in ((False, 1), (True, 0)):
        with strategy.scope():
            weight = keras.Variable(np.zeros([1], np.float32))
            optimizer = keras.optimizers.SGD(1.0)
            optimizer.build([weight])
        if leave:
            leave_gradients_as_they_are(optimizer)

        def replica(gradient, optimizer=optimizer, weight=weight):
            optimizer.apply([gradient], [weight])

        step = tf.function(lambda g, replica=replica: strategy.run(replica, [g]), autograph=False)
        graph = step.get_concrete_function(tf.TensorSpec([1])).graph
        types = [operation.type for operation in graph.get_operations()]
        assert types.count("XlaAllReduce") == expected, where


def test_step_values_reach_every_weight_once_a_step():
    where = "Optimizer._backend_update_step(grads, trainable_variables, learning_rate)"
    asked, received = [], []

    class Recorder(OpenAdam):
        def step_values(self, learning_rate):
            asked.append(float(learning_rate))
            return "values of this step"

        def update_step(self, gradient, variable, learning_rate):
            received.append(learning_rate)

    weights = [keras.Variable(np.zeros([2], np.float32)) for _ in range(3)]
    optimizer = Recorder(0.25)
    optimizer.build(weights)
    optimizer.apply([tf.ones([2])] * 3, weights)
    assert asked == [0.25], where
    assert received == ["values of this step"] * 3, where


def test_moments_are_those_of_the_weight():
    where = "Adam._momentums, Adam._velocities, Optimizer._get_variable_index"
    weights = [keras.Variable(np.zeros([n], np.float32)) for n in (2, 3)]
    optimizer = OpenAdam(0.1, beta_1=0.9, beta_2=0.8)
    optimizer.build(weights)
    optimizer.apply([tf.fill([2], 2.0), tf.fill([3], 5.0)], weights)
    for weight, gradient in zip(weights, (2.0, 5.0), strict=True):
        first, second = optimizer.moments(weight.value)
        np.testing.assert_allclose(
            first, np.full(weight.shape, 0.1 * gradient), 1e-6, err_msg=where
        )
        np.testing.assert_allclose(second, np.full(weight.shape, 0.2 * gradient**2), 1e-5)
