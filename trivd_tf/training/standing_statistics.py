"""Standing statistics of batch norm, estimated afresh at every evaluation (section 6)."""

from collections.abc import Callable, Iterator

import tensorflow as tf

from trivd_tf.layers.batch_norm import collecting_standing_statistics, reset_standing_statistics
from trivd_tf.models import Generator
from trivd_tf.training.step import to_float


def estimate_standing_statistics(
    generator: Generator,
    batches: Iterator[dict[str, tf.Tensor]],
    *,
    num_batches: int,
    seed: int = 0,
    class_conditional: bool = False,
    on_batch: Callable[[], None] = lambda: None,
) -> None:
    """Sets each batch norm's standing statistics to the mean of the moments of `num_batches`.

    What was collected before is forgotten.

    Args:
        generator: its weights are not changed.
        batches: dicts with `video`, uint8 `[B, at least Tc, H, W, 3]`, and `label` `[B]`.
        num_batches: how many to take.
        seed: of the latents.
        class_conditional: use the labels, else the dummy class 0.
        on_batch: called after each.
    """
    reset_standing_statistics(generator)
    with collecting_standing_statistics(generator):

        @tf.function(reduce_retracing=True)
        def forward(videos: tf.Tensor, labels: tf.Tensor, index: tf.Tensor) -> None:
            conditioning = to_float(videos[:, : generator.num_conditioning_frames])
            shape = [tf.shape(videos)[0], generator.latent_size]
            z = tf.random.stateless_normal(shape, tf.stack([tf.cast(seed, tf.int64), index]))
            generator(conditioning, z, labels=labels, training=True)

        for index in range(num_batches):
            batch = next(batches)
            labels = tf.cast(batch["label"], tf.int32)
            if not class_conditional:
                labels = tf.zeros_like(labels)
            forward(batch["video"], labels, tf.constant(index, tf.int64))
            on_batch()
