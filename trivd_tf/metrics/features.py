"""Extraction of I3D logits from uint8 videos, with bounded memory."""

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.base.replicas import OverReplicas
from trivd_tf.metrics.i3d.network import I3D, NUM_CLASSES
from trivd_tf.metrics.i3d.shapes import FRAME_SIZE, MIN_FRAMES
from trivd_tf.metrics.resize import check_rule, resize_frames


@functools.cache
def default_i3d() -> keras.Model:
    """Return `I3D.from_pretrained()`, loaded once per process."""
    return I3D.from_pretrained()


class FeatureExtractor:
    """Resizes videos, scales them to [-1, 1] and runs I3D.

    Args:
        model: ``[B, T, 224, 224, 3]`` in [-1, 1] -> ``[B, 400]``; None: `I3D.from_pretrained()`.
        resize: one of `trivd_tf.metrics.resize.RESIZE_RULES`.
        batch_size: clips per replica and call, which bounds the memory: about 0.2 GB per clip of
            16 frames.
        strategy: divides the clips among its replicas; `model` must be built under its scope.

    Example:
        >>> extractor = FeatureExtractor()
        >>> moments = StreamedMoments()
        >>> for logits in extractor.stream(dataset, progress=lambda done: print(done, "clips")):
        ...     moments.update(logits)
    """

    def __init__(
        self,
        model: keras.Model | None = None,
        *,
        resize: str = "tf1_bilinear",
        batch_size: int = 4,
        strategy: tf.distribute.Strategy | None = None,
    ):
        check_rule(resize)
        if batch_size < 1:
            raise InputError(f"batch_size = {batch_size}: at least 1 is needed")
        self.model = model if model is not None else default_i3d()
        self.resize = resize
        self.batch_size = batch_size
        # Two functions, so that frames of a new size retrace the resizing only. The batch dimension
        # stays unknown, so that a smaller last batch needs no new graph.
        self._resized = tf.function(self._resize, reduce_retracing=True, autograph=False)
        self._compiled = tf.function(self._classify, reduce_retracing=True, autograph=False)
        self._replicas: OverReplicas | None = None
        if strategy is not None and strategy.num_replicas_in_sync > 1:
            self._replicas = OverReplicas(strategy, self._logits)
            self.batch_size *= strategy.num_replicas_in_sync

    def _logits(self, videos: tf.Tensor) -> tf.Tensor:
        return self._classify(self._resize(videos))

    def _resize(self, videos: tf.Tensor) -> tf.Tensor:
        frames = resize_frames(videos, self.resize, FRAME_SIZE)
        # The reference's order of operations; these are resized floats, not bytes.
        return frames * (2.0 / 255.0) - 1.0

    def _classify(self, frames: tf.Tensor) -> tf.Tensor:
        return self.model(frames)

    def __call__(self, videos: Any) -> np.ndarray:
        """Return the logits of videos in memory.

        Args:
            videos: uint8 ``[N, T, H, W, 3]``, T at least 9.

        Returns:
            float32 ``[N, 400]``.

        Raises:
            InputError: wrong shape or dtype.
        """
        check_videos(videos)
        chunks = [
            self._run(videos[start : start + self.batch_size])
            for start in range(0, len(videos), self.batch_size)
        ]
        return np.concatenate(chunks) if chunks else np.zeros((0, NUM_CLASSES), np.float32)

    def _run(self, videos: Any) -> np.ndarray:
        if self._replicas is not None:
            return self._replicas(np.asarray(videos))
        frames = _run_any_batch(self._resized, tf.convert_to_tensor(videos))
        return _run_any_batch(self._compiled, frames).numpy()

    def stream(
        self,
        batches: Iterable[Any],
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[np.ndarray]:
        """Yield the logits of batches in order, holding no more than one batch in memory.

        Args:
            batches: uint8 arrays or tensors ``[b, T, H, W, 3]`` with any b, or dicts with them as
                ``"video"``, such as a `tf.data.Dataset`.
            progress: called after each batch with the number of clips done so far.

        Yields:
            float32 ``[b, 400]``.
        """
        done = 0
        for batch in batches:
            logits = self(batch["video"] if isinstance(batch, dict) else batch)
            done += len(logits)
            yield logits
            if progress is not None:
                progress(done)


def _run_any_batch(function: Any, videos: tf.Tensor) -> tf.Tensor:
    """Call a tf.function of videos that is traced once for all batch sizes."""
    concrete = function.get_concrete_function(
        tf.TensorSpec([None, *videos.shape[1:]], videos.dtype)
    )
    return concrete(videos)


def weights_digest(model: Any) -> str | None:
    """Return a digest of a Keras model's weights; None if it has no readable weights."""
    weights = getattr(model, "weights", None)
    if not weights:
        return None
    digest = hashlib.sha256()
    for weight in weights:
        value = np.ascontiguousarray(weight.numpy())
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def check_videos(videos: Any) -> None:
    """Raise InputError unless `videos` is uint8 ``[N, T >= 9, H, W, 3]``."""
    shape = tuple(getattr(videos, "shape", ()))
    dtype = tf.as_dtype(videos.dtype).name if hasattr(videos, "dtype") else type(videos).__name__
    if len(shape) != 5 or shape[-1] != 3 or shape[1] < MIN_FRAMES or dtype != "uint8":
        raise InputError(
            f"expected uint8 videos [N, T >= {MIN_FRAMES}, H, W, 3], received {dtype} of shape "
            f"{list(shape)}"
        )
