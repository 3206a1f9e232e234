"""Estimation of batch norm's standing statistics at every evaluation (section 6)."""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from trivd_tf.base.pixels import float_tensor
from trivd_tf.base.replicas import OverReplicas
from trivd_tf.layers.batch_norm import collecting_standing_statistics, reset_standing_statistics
from trivd_tf.models import Generator
from trivd_tf.training.distribution.strategy import replica_batch_size

_OPTION = "EvaluationOptions.standing_batch_size"


def estimate_standing_statistics(
    generator: Generator,
    batches: Iterator[dict[str, tf.Tensor]],
    *,
    num_batches: int,
    seed: int = 0,
    class_conditional: bool = False,
    on_batch: Callable[[], None] = lambda: None,
    strategy: tf.distribute.Strategy | None = None,
) -> None:
    """Set each batch norm's standing statistics to its mean moments over `num_batches` batches.

    Previously collected statistics are discarded.

    Args:
        generator: its weights are not changed.
        batches: dicts with `video`, uint8 `[B, at least Tc, H, W, 3]`, and `label` `[B]`.
        num_batches: number of batches to use.
        seed: seed of the latents.
        class_conditional: use the labels instead of the dummy class 0.
        on_batch: called after each batch.
        strategy: strategy under which the generator was built. Each replica takes an equal share of
            every batch, and the moments are those of the whole batch.

    Raises:
        InputError: a batch cannot be divided evenly among the replicas.
    """
    strategy = strategy or tf.distribute.get_strategy()
    reset_standing_statistics(generator)
    with collecting_standing_statistics(generator):

        def forward(conditioning: tf.Tensor, z: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            generator(float_tensor(conditioning), z, labels=labels, training=True)
            return labels

        run = OverReplicas(strategy, forward)
        for index in range(num_batches):
            batch = next(batches)
            labels = np.asarray(batch["label"], np.int32)
            replica_batch_size(strategy, len(labels), option=_OPTION)
            shape = [len(labels), generator.latent_size]
            z = tf.random.stateless_normal(shape, tf.constant([seed, index], tf.int64))
            run(
                np.asarray(batch["video"][:, : generator.num_conditioning_frames]),
                z.numpy(),
                labels if class_conditional else np.zeros_like(labels),
            )
            on_batch()
