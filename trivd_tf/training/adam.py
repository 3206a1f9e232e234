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

    def step_values(self, learning_rate: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return (rate, b1^t, b2^t, b1, b2, eps), which are the same for every weight."""
        dtype = learning_rate.dtype
        step = tf.cast(tf.convert_to_tensor(self.iterations) + 1, dtype)
        powers = tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)
        return (learning_rate, *powers, *self._constants(dtype))

    def _constants(self, dtype: tf.DType) -> list[tf.Tensor]:
        return [tf.constant(value, dtype) for value in (self.beta_1, self.beta_2, self.epsilon)]

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: Any) -> None:
        """Update one weight.

        Args:
            gradient: already summed over all replicas.
            variable: the replica's copy of the weight.
            learning_rate: what `step_values` returned.
        """
        first, second = self.moments(variable)
        dtype = variable.dtype
        rate, beta_1_power, beta_2_power = (tf.cast(part, dtype) for part in learning_rate[:3])
        # Not cast: 0.999 in float32 is another number in float64.
        same = learning_rate[0].dtype == dtype
        beta_1, beta_2, epsilon = learning_rate[3:] if same else self._constants(dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.handle,
            v=second.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=rate,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            grad=tf.cast(gradient, dtype),
        )
