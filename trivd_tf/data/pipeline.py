"""tf.data around functions that build a whole batch in NumPy.

One Python call makes a batch, not a clip, so the interpreter's lock is taken a few times a second;
several batches are built ahead of the training step, in order.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

Batch = tuple[np.ndarray, np.ndarray]  # (video uint8 [b, T, S, S, 3], label int32 [b])

_PARALLEL_BATCHES = 2
_PREFETCHED_BATCHES = 2
_ENDLESS = np.iinfo(np.int64).max


def endless_batches(
    build: Callable[[int], Batch], *, video_shape: tuple[int | None, ...]
) -> tf.data.Dataset:
    """Data set of build(0), build(1), ... without end.

    Args:
      build: makes batch n; called from several threads.
      video_shape: static shape `[b, T, size, size, 3]`.
    """
    return _batches(build, _ENDLESS, video_shape)


def finite_batches(
    build: Callable[[int], Batch], *, num_batches: int, video_shape: tuple[int | None, ...]
) -> tf.data.Dataset:
    """Data set of build(0) ... build(num_batches - 1); see `endless_batches`."""
    return _batches(build, num_batches, video_shape)


def _batches(
    build: Callable[[int], Batch], count: int, video_shape: tuple[int | None, ...]
) -> tf.data.Dataset:
    def load(n: tf.Tensor) -> dict[str, tf.Tensor]:
        video, label = tf.numpy_function(
            lambda number: build(int(number)), [n], [tf.uint8, tf.int32], stateful=False
        )
        video.set_shape(video_shape)
        label.set_shape(video_shape[:1])
        return {"video": video, "label": label}

    batches = tf.data.Dataset.range(count).map(
        load, num_parallel_calls=_PARALLEL_BATCHES, deterministic=True
    )
    options = tf.data.Options()
    # Batches are whole already: never split or reorder them behind a distribution strategy.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    options.deterministic = True
    return batches.prefetch(_PREFETCHED_BATCHES).with_options(options)
