"""Adam with one fused operation per weight."""

from typing import Any

import tensorflow as tf

from trivd_tf.base.keras_private import OpenAdam


class FusedAdam(OpenAdam):
    """Keras Adam that updates each weight with TensorFlow's fused Adam kernel.

        m <- b1 m + (1 - b1) g,    v <- b2 v + (1 - b2) g^2
        w <- w - rate sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)

    The equations are those of the parent class, in one pass over a weight instead of a dozen. The
    parent's small operations are most of the graph of a train step.
    """

    def step_values(self, learning_rate: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return (rate, b1^t, b2^t); the powers are the same for every weight."""
        step = tf.cast(tf.convert_to_tensor(self.iterations) + 1, learning_rate.dtype)
        return learning_rate, tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: Any) -> None:
        """Update one weight.

        Args:
            gradient: already summed over all replicas.
            variable: the replica's copy of the weight.
            learning_rate: (rate, b1^t, b2^t), scalars.
        """
        first, second = self.moments(variable)
        dtype = variable.dtype
        rate, beta_1_power, beta_2_power = (tf.cast(part, dtype) for part in learning_rate)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.handle,
            v=second.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=rate,
            beta1=tf.constant(self.beta_1, dtype),
            beta2=tf.constant(self.beta_2, dtype),
            epsilon=tf.constant(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )
