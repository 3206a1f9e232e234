"""Exponential moving average (EMA) of the generator's weights (docs/architecture.md, section 6)."""

import keras
import tensorflow as tf


class WeightAverage(tf.Module):
    """The average `a <- d a + (1 - d) w`; before `start_step`, a copy of the weights.

    Every replica keeps and updates its own copy of the average. The weights are the same on all
    replicas, so nothing is communicated.

    Args:
        weights: the variables to average.
        decay: d.
        start_step: first step at which the average includes earlier weights.
    """

    def __init__(self, weights: list[keras.Variable], *, decay: float, start_step: int):
        super().__init__(name="weight_average")
        self._weights = list(weights)
        self.decay = decay
        self.start_step = start_step
        self.averages = [
            tf.Variable(
                tf.convert_to_tensor(weight),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                name="average",
            )
            for weight in self._weights
        ]

    def update(self, step: tf.Tensor) -> None:
        """Update the average with the weights after generator update number `step` (from 1)."""
        decay = tf.where(step > self.start_step, self.decay, 0.0)
        for average, weight in zip(self.averages, self._weights, strict=True):
            value = tf.convert_to_tensor(weight)
            # Not d a + (1 - d) w: with d = 0 this equals the weights to the last bit.
            change = tf.convert_to_tensor(average) - value
            average.assign(value + tf.cast(decay, value.dtype) * change)

    def copy_to(self, model: keras.Model) -> None:
        """Copy the averages to the trainable weights of another model of the same architecture."""
        for average, weight in zip(self.averages, model.trainable_variables, strict=True):
            weight.assign(tf.convert_to_tensor(average))
