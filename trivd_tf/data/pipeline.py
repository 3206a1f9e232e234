"""tf.data pipelines around functions that build whole batches in NumPy.

One Python call builds a batch, not a clip, so the interpreter lock is taken only a few times per
second. Several batches are prefetched in order.
"""

import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from trivd_tf.data.stored.jpeg_strips import FRAMES_IN_STRIP

Batch = tuple[np.ndarray, np.ndarray]  # (video uint8 [b, T, H, W, 3], label int32 [b])
# (strips of JPEG frames, bytes objects [b, ceil(T / FRAMES_IN_STRIP)]; (rows of a frame in a strip,
# top and left of the crop) int32 [b, 3]; label int32 [b])
EncodedBatch = tuple[np.ndarray, np.ndarray, np.ndarray]

_PARALLEL_BATCHES = 2
_PREFETCHED_BATCHES = 2
_ENDLESS = np.iinfo(np.int64).max


def endless_batches(
    build: Callable[[int], Batch | EncodedBatch],
    *,
    video_shape: tuple[int | None, ...],
    encoded: bool = False,
) -> tf.data.Dataset:
    """Returns the endless dataset of build(0), build(1), ...

    Args:
      build: builds batch n; called from several threads.
      video_shape: static shape `[b, T, H, W, 3]`.
      encoded: `build` returns strips of JPEG frames, which are decoded and cropped in TensorFlow,
        not in Python.
    """
    batches = _decoded if encoded else _plain
    return finish(batches(build, _ENDLESS, video_shape, video_shape[0]))


def finite_batches(
    build: Callable[[int], Batch | EncodedBatch],
    *,
    num_batches: int,
    batch_size: int,
    video_shape: tuple[int | None, ...],
    encoded: bool = False,
) -> tf.data.Dataset:
    """Returns the dataset of build(0) ... build(num_batches - 1); the last may be smaller."""
    batches = _decoded if encoded else _plain
    return finish(batches(build, num_batches, video_shape, batch_size))


def _plain(
    build: Callable[[int], Batch | EncodedBatch],
    count: int,
    video_shape: tuple[int | None, ...],
    batch_size: int | None,
) -> tf.data.Dataset:
    del batch_size  # `build` determines the batch size

    def load(n: tf.Tensor) -> dict[str, tf.Tensor]:
        video, label = tf.numpy_function(
            lambda number: build(int(number)), [n], [tf.uint8, tf.int32], stateful=False
        )
        video.set_shape(video_shape)
        label.set_shape(video_shape[:1])
        return {"video": video, "label": label}

    return tf.data.Dataset.range(count).map(
        load, num_parallel_calls=_PARALLEL_BATCHES, deterministic=True
    )


def _decoded(
    build: Callable[[int], Batch | EncodedBatch],
    count: int,
    video_shape: tuple[int | None, ...],
    batch_size: int | None,
) -> tf.data.Dataset:
    num_frames, (height, width) = video_shape[1] or 0, video_shape[2:4]
    lengths = strip_lengths(num_frames)

    def load(n: tf.Tensor) -> tuple[tf.Tensor, ...]:
        strips, crops, labels = tf.numpy_function(
            lambda number: build(int(number)),
            [n],
            [tf.string, tf.int32, tf.int32],
            stateful=False,
        )
        strips.set_shape([None, len(lengths)])
        crops.set_shape([None, 3])
        labels.set_shape([None])
        return strips, crops, labels

    def decode(strips: tf.Tensor, crop: tf.Tensor, label: tf.Tensor) -> dict[str, tf.Tensor]:
        rows, top, left = tf.unstack(crop)
        parts = []
        for number, length in enumerate(lengths):
            columns = tf.stack([0, left, rows * length, width])
            pixels = tf.io.decode_and_crop_jpeg(
                strips[number], columns, channels=3, dct_method="INTEGER_ACCURATE"
            )
            frames = tf.reshape(pixels, [length, rows, width, 3])
            parts.append(frames[:, top : top + height])
        video = parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)
        video.set_shape(video_shape[1:])
        return {"video": video, "label": label}

    batches = tf.data.Dataset.range(count).map(
        load, num_parallel_calls=_PARALLEL_BATCHES, deterministic=True
    )
    cores = len(os.sched_getaffinity(0))
    clips = batches.unbatch().map(decode, num_parallel_calls=cores, deterministic=True)
    # Keep the static batch size if there is one: endless batches are all full.
    return clips.batch(batch_size, drop_remainder=video_shape[0] is not None)


def strip_lengths(num_frames: int) -> list[int]:
    """Returns the number of frames in each strip of a clip."""
    return [
        min(FRAMES_IN_STRIP, num_frames - first) for first in range(0, num_frames, FRAMES_IN_STRIP)
    ]


def finish(batches: tf.data.Dataset, *, autotune: bool = False) -> tf.data.Dataset:
    """Prefetches batches in order, without autosharding.

    Args:
        batches: batches of clips.
        autotune: let tf.data tune parallelism and buffers. Where all of them are set, tuning only
            costs time: an iterator that is tuned can take up to a minute to end, since it waits
            for the next round.
    """
    options = tf.data.Options()
    options.autotune.enabled = autotune
    # Batches must not be split or reordered by a distribution strategy.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    options.deterministic = True
    return batches.prefetch(_PREFETCHED_BATCHES).with_options(options)
