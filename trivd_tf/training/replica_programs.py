"""The programs of a replica, one per update, which `trivd train` passes to its strategy.

`trivd compile` compiles the same functions, so its figures are those of the training.
"""

import tensorflow as tf

from trivd_tf.training.step import Batch, GanStep


class ReplicaPrograms:
    """The two updates of a train step, each returning its metrics as one vector.

    Args:
        step: networks, optimizers and the two updates.
    """

    def __init__(self, step: GanStep):
        self._step = step
        self._dtype = tf.float64 if step.options.precision == "float64" else tf.float32

    def discriminators(self, batch: Batch, step: tf.Tensor, update: tf.Tensor) -> tf.Tensor:
        """Update all discriminators once; runs `discriminator_steps` times per step.

        Args:
            batch, step, update: as in `GanStep.update_discriminators`.

        Returns:
            A vector of length `len(GanStep.discriminator_metrics)`.
        """
        metrics = self._step.update_discriminators(batch, step, update)
        return self._stacked(metrics, self._step.discriminator_metrics)

    def generator(self, batch: Batch, step: tf.Tensor) -> tf.Tensor:
        """Update the generator and its weight average; runs once per step.

        Args:
            batch, step: as in `GanStep.update_generator`.

        Returns:
            A vector of length `len(GanStep.generator_metrics)`.
        """
        return self._stacked(self._step.update_generator(batch, step), self._step.generator_metrics)

    def _stacked(self, metrics: dict[str, tf.Tensor], names: list[str]) -> tf.Tensor:
        """Stack the metrics in one vector, so that a single reduction serves all of them."""
        return tf.stack([tf.cast(metrics[name], self._dtype) for name in names])
