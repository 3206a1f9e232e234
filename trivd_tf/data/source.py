"""Interface of data sources: endless training clips and a fixed list of evaluation clips."""

import abc
import hashlib
import json
from typing import Any

import numpy as np
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.data import pipeline
from trivd_tf.data.clips import ClipSpec

SPLITS = ("train", "test")


def check_split(split: str) -> None:
    """Raises `InputError` unless `split` is "train" or "test"."""
    if split not in SPLITS:
        raise InputError(f"the split must be one of {', '.join(SPLITS)}; received {split!r}")


def digest(*parts: object) -> str:
    """Returns a short stable digest of values that JSON can represent."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


class ClipSource(abc.ABC):
    """A dataset of clips.

    A batch is a dict: "video" uint8 `[b, T, H, W, 3]` in [0, 255] (RGB) and "label" int32 `[b]`
    in [0, num_classes). Subclasses define the clip at each index; this class implements order,
    batching, sharding over devices and prefetching.

    Attributes:
      name: short name for logs and reports.
      class_names: names of the labels; empty without labels.
      num_classes: number of labels; 1 without labels.
      has_test_clips: whether there are clips that are not used in training.
      not_in_gin: arguments of the class that a saved configuration omits.
      made_with: the arguments with which this object was created, positional and by name.
    """

    name: str = "clips"
    not_in_gin: tuple[str, ...] = ()
    made_with: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> "ClipSource":
        source = super().__new__(cls)
        source.made_with = (args, kwargs)
        return source

    @property
    def has_test_clips(self) -> bool:
        return True

    @property
    def class_names(self) -> tuple[str, ...]:
        return ()

    @property
    def num_classes(self) -> int:
        return len(self.class_names) or 1

    @abc.abstractmethod
    def prepare(self, clip: ClipSpec) -> None:
        """Prepares clips for reading: decodes, checks and caches them, with a progress bar.

        The other methods call it; only the first call does any work.

        Raises:
          InputError: there are no readable clips.
        """

    @abc.abstractmethod
    def num_evaluation_clips(self, clip: ClipSpec, split: str) -> int:
        """Returns the number of distinct evaluation clips of a split."""

    @abc.abstractmethod
    def fingerprint(self, clip: ClipSpec, split: str) -> str:
        """Returns a key for cached results that depend on the evaluation clips of this split."""

    def inventory(self, clip: ClipSpec) -> dict[str, str]:
        """Returns an identifier of each file's content, by file name, to report changes.

        Empty if the source does not consist of files that may change individually.
        """
        return {}

    def _training_batch(
        self, clip: ClipSpec, seed: int, indices: np.ndarray
    ) -> pipeline.Batch | pipeline.EncodedBatch:
        """Returns the clips at `indices` (int64 `[b]`) of the endless training stream of `seed`.

        Sources without random access to clips override `training_clips` instead.
        """
        raise NotImplementedError

    def _evaluation_batch(
        self, clip: ClipSpec, split: str, indices: np.ndarray
    ) -> pipeline.Batch | pipeline.EncodedBatch:
        """Returns the clips at `indices` (int64 `[b]`) of the fixed list of evaluation clips.

        Sources without random access to clips override `evaluation_clips` instead.
        """
        raise NotImplementedError

    def _encoded(self) -> bool:
        """Whether the batches above are still JPEG-encoded; call after `prepare`."""
        return False

    def training_clips(
        self,
        clip: ClipSpec,
        *,
        seed: int,
        start: int = 0,
        shard_index: int = 0,
        shard_count: int = 1,
        batch_size: int,
    ) -> tf.data.Dataset:
        """Returns endless batches of randomly cropped training clips.

        Clip i of the stream depends only on (seed, i). Global batch n holds the clips from
        start + n * batch_size on, and its shard k is the k-th slice. A run therefore resumes by
        passing the number of used clips as `start`, and does not depend on the number of devices.

        Args:
          clip: definition of the clips.
          seed: seed of the order and the crops.
          start: first clip of the stream.
          shard_index: index of the slice of each global batch, in [0, shard_count).
          shard_count: number of slices; divides `batch_size`.
          batch_size: number of clips in a global batch.

        Returns:
          Dataset of batches of batch_size // shard_count clips.
        """
        self._check_share(batch_size, shard_index, shard_count, start)
        self.prepare(clip)
        share = batch_size // shard_count
        offset = start + shard_index * share
        return pipeline.endless_batches(
            lambda n: self._training_batch(clip, seed, offset + n * batch_size + np.arange(share)),
            video_shape=(share, clip.num_frames, clip.height, clip.width, 3),
            encoded=self._encoded(),
        )

    def evaluation_clips(
        self,
        clip: ClipSpec,
        *,
        split: str,
        num_clips: int,
        batch_size: int,
        first_clip: int = 0,
    ) -> tf.data.Dataset:
        """Returns `num_clips` evaluation clips of a split, in a fixed order and center-cropped.

        Args:
          clip: definition of the clips.
          split: "train" or "test".
          num_clips: number of clips; `first_clip + num_clips` is at most `num_evaluation_clips`.
          batch_size: number of clips in a batch; the last batch may be smaller.
          first_clip: index of the first clip; clips before it are not read.

        Returns:
          Finite dataset of batches.

        Raises:
          InputError: the split has fewer distinct clips.
        """
        self._check_range(clip, split, num_clips, batch_size, first_clip)

        def build(n: int) -> pipeline.Batch | pipeline.EncodedBatch:
            first = n * batch_size
            indices = first_clip + np.arange(first, min(first + batch_size, num_clips))
            return self._evaluation_batch(clip, split, indices)

        return pipeline.finite_batches(
            build,
            num_batches=-(-num_clips // batch_size),
            batch_size=batch_size,
            video_shape=(None, clip.num_frames, clip.height, clip.width, 3),
            encoded=self._encoded(),
        )

    def _check_share(self, batch_size: int, shard_index: int, shard_count: int, start: int) -> None:
        """Raises `InputError` for invalid arguments of `training_clips`."""
        if batch_size < 1 or shard_count < 1 or batch_size % shard_count:
            raise InputError(
                f"the batch size must be a positive multiple of the number of shards; received "
                f"batch size {batch_size} and {shard_count} shards"
            )
        if not 0 <= shard_index < shard_count:
            raise InputError(
                f"the shard index must lie in [0, {shard_count}); received {shard_index}"
            )
        if start < 0:
            raise InputError(f"the first clip must be 0 or later; received {start}")

    def _check_range(
        self, clip: ClipSpec, split: str, num_clips: int, batch_size: int, first_clip: int
    ) -> None:
        """Raises `InputError` for invalid arguments of `evaluation_clips`."""
        available = self.num_evaluation_clips(clip, split)
        if first_clip < 0:
            raise InputError(f"the first clip must be 0 or later; received {first_clip}")
        if not 1 <= num_clips <= available - first_clip:
            raise InputError(
                f"{self.name}: {num_clips} evaluation clips were asked for, the {split} split "
                f"holds {available} of {clip.num_frames} frames at stride {clip.stride}"
            )
        if batch_size < 1:
            raise InputError(f"the batch size must be at least 1; received {batch_size}")
