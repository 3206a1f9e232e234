"""Adam with one operation a weight."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam, each weight updated by TensorFlow's own Adam kernel.

        m <- b1 m + (1 - b1) g,    v <- b2 v + (1 - b2) g^2
        w <- w - rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)

    The same equations as its parent's, in one pass over a weight instead of a dozen: the parent's
    small operations are most of the graph of a train step.
    """

    def _backend_update_step(
        self, grads: Sequence[tf.Tensor], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        step = tf.cast(tf.convert_to_tensor(self.iterations) + 1, learning_rate.dtype)
        powers = tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)
        # All of them reach `update_step` of every weight as its learning rate.
        super()._backend_update_step(grads, trainable_variables, (learning_rate, *powers))

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: Any) -> None:
        """Updates one weight.

        Args:
            gradient: summed over all replicas.
            variable: the replica's copy of the weight.
            learning_rate: (rate, b1^t, b2^t), scalars.
        """
        index = self._get_variable_index(variable)
        dtype = variable.dtype
        rate, beta_1_power, beta_2_power = (tf.cast(part, dtype) for part in learning_rate)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=rate,
            beta1=tf.constant(self.beta_1, dtype),
            beta2=tf.constant(self.beta_2, dtype),
            epsilon=tf.constant(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )
