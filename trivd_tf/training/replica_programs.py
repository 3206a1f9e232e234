"""The programs that a replica runs: what `trivd train` hands to its strategy, one an update.

`trivd compile` writes down these same functions, so that its figures are those of the training.
"""

import tensorflow as tf

from trivd_tf.training.step import Batch, GanStep


class ReplicaPrograms:
    """The two updates of a train step, each with its metrics as one vector.

    Args:
        step: networks, optimisers and the two updates.
    """

    def __init__(self, step: GanStep):
        self._step = step
        self._dtype = tf.float64 if step.options.precision == "float64" else tf.float32

    def discriminators(self, batch: Batch, step: tf.Tensor, update: tf.Tensor) -> tf.Tensor:
        """One update of all discriminators; runs `discriminator_steps` times a step.

        Args:
            batch, step, update: of `GanStep.update_discriminators`.

        Returns:
            `[number of GanStep.discriminator_metrics]`.
        """
        metrics = self._step.update_discriminators(batch, step, update)
        return self._stacked(metrics, self._step.discriminator_metrics)

    def generator(self, batch: Batch, step: tf.Tensor) -> tf.Tensor:
        """One update of the generator and the average of its weights; runs once a step.

        Args:
            batch, step: of `GanStep.update_generator`.

        Returns:
            `[number of GanStep.generator_metrics]`.
        """
        return self._stacked(self._step.update_generator(batch, step), self._step.generator_metrics)

    def _stacked(self, metrics: dict[str, tf.Tensor], names: list[str]) -> tf.Tensor:
        """One vector, so that one reduction serves all metrics."""
        return tf.stack([tf.cast(metrics[name], self._dtype) for name in names])
