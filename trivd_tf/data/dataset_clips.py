"""Clips from any tf.data.Dataset, without a custom data source class."""

import dataclasses
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trivd_tf.base import pixels
from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import is_address
from trivd_tf.data import pipeline
from trivd_tf.data.clips import ClipSpec
from trivd_tf.data.files.folder import VideoFolder
from trivd_tf.data.prepare.layout import REPORT
from trivd_tf.data.source import ClipSource, check_split, digest
from trivd_tf.data.stored.prepared import Prepared

# Number of clips of an infinite dataset.
_ENDLESS = 2**31 - 1
_FINGERPRINTED_CLIPS = {"train": 256, "test": 4096}
_FLOAT_SLACK = 1e-3

_EXAMPLE = "for example ds.map(lambda clip: tf.image.resize(clip, [64, 64]))"


class DatasetClips(ClipSource):
    """Clips of a `tf.data.Dataset`, for `Experiment.data` or `trivd_tf.train(dataset=...)`.

    Elements are clips `[T, H, W, 3]` or batches of clips `[b, T, H, W, 3]`. T (conditioning and
    predicted frames) and the size H x W must match the experiment's `ClipSpec`. An element has one
    of three forms: the video alone, `(video, label)`, or a dict with `"video"` and, with labels,
    `"label"`. Videos are uint8, or floats in [-1, 1], which are rounded to bytes. Labels are
    integers in [0, number of classes).

    Clips are used in the order of the dataset: shuffle it (`ds.shuffle(1000, seed=0)`). It is
    repeated endlessly. A resumed run reads and skips the clips already used, so that it continues
    exactly if the dataset yields the same clips again.

    A saved configuration cannot hold the dataset. A command that opens the run later therefore
    reads clips from `data_dir` (`--data_dir`), a folder of videos or a prepared dataset; without it
    the command reports this in one line. Prediction and export need no clips.

    Args:
      train: the training clips.
      test: the clips to score on, finite and in a fixed order; without it the run has no test
        clips.
      name: name of the data, in logs and reports.
      class_names: names of the labels, in order; empty if clips have no labels.
      data_dir: replaces `train` if that is None.

    Raises:
      InputError: elements have another form, size or range; raised when clips are first read.

    Example:
      >>> clips = np.zeros([8, 4, 16, 16, 3], np.uint8)
      >>> source = DatasetClips(tf.data.Dataset.from_tensor_slices(clips), name="black")
      >>> spec = ClipSpec(num_conditioning_frames=2, num_predicted_frames=2, size=16)
      >>> next(iter(source.training_clips(spec, seed=0, batch_size=3)))["video"].shape
      TensorShape([3, 4, 16, 16, 3])
    """

    not_in_gin = ("train", "test")

    def __init__(
        self,
        train: tf.data.Dataset | None = None,
        test: tf.data.Dataset | None = None,
        *,
        name: str = "dataset",
        class_names: Sequence[str] = (),
        data_dir: str | None = None,
    ):
        for which, dataset in (("train", train), ("test", test)):
            if dataset is not None and not isinstance(dataset, tf.data.Dataset):
                raise InputError(
                    f"DatasetClips.{which} must be a tf.data.Dataset; received "
                    f"{type(dataset).__name__}: use tf.data.Dataset.from_tensor_slices(clips) for "
                    "an array, from_generator for a Python generator"
                )
        self.name = name
        self._datasets = {"train": train, "test": test}
        self._class_names = tuple(class_names)
        self._stand_in: ClipSource | None = None
        if train is None and data_dir is not None:
            is_prepared = is_address(data_dir) or (Path(data_dir).expanduser() / REPORT).is_file()
            kind: Callable[..., ClipSource] = Prepared if is_prepared else VideoFolder
            self._stand_in = kind(data_dir=os.fspath(data_dir))
        self._prepared: set[ClipSpec] = set()
        self._fingerprints: dict[tuple[ClipSpec, str], str] = {}

    @property
    def class_names(self) -> tuple[str, ...]:
        if self._stand_in is not None and not self._class_names:
            return self._stand_in.class_names
        return self._class_names

    @property
    def has_test_clips(self) -> bool:
        return self._stand_in is not None or self._datasets["test"] is not None

    def prepare(self, clip: ClipSpec) -> None:
        if self._stand_in is not None:
            self._stand_in.prepare(clip)
        elif clip not in self._prepared:
            for split, dataset in self._datasets.items():
                if dataset is not None or split == "train":
                    self._check_first(clip, split)
            self._prepared.add(clip)

    def num_evaluation_clips(self, clip: ClipSpec, split: str) -> int:
        check_split(split)
        if self._stand_in is not None:
            return self._stand_in.num_evaluation_clips(clip, split)
        count = int(self._clips(clip, split).cardinality())
        if count == tf.data.INFINITE_CARDINALITY:
            return _ENDLESS
        if count == tf.data.UNKNOWN_CARDINALITY:
            raise InputError(
                f"{self.name}: the number of {split} clips is unknown; use "
                "dataset.apply(tf.data.experimental.assert_cardinality(N))"
            )
        return count

    def fingerprint(self, clip: ClipSpec, split: str) -> str:
        check_split(split)
        if self._stand_in is not None:
            return self._stand_in.fingerprint(clip, split)
        if split == "test" and not self.has_test_clips:
            return f"{self.name}-test-none"
        if (clip, split) not in self._fingerprints:
            clips = self._clips(clip, split)
            # A sum does not depend on the order, which may change from one pass to the next.
            content = 0
            for element in clips.take(_FINGERPRINTED_CLIPS[split]):
                key = hashlib.sha256(element["video"].numpy().tobytes()).digest()
                content += int.from_bytes(key[:16], "big")
            shape, count = dataclasses.astuple(clip), int(clips.cardinality())
            self._fingerprints[clip, split] = (
                f"{self.name}-{split}-{digest(content % 2**128, shape, count)}"
            )
        return self._fingerprints[clip, split]

    def inventory(self, clip: ClipSpec) -> dict[str, str]:
        return {} if self._stand_in is None else self._stand_in.inventory(clip)

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
        self._check_share(batch_size, shard_index, shard_count, start)
        self.prepare(clip)
        if self._stand_in is not None:
            return self._stand_in.training_clips(
                clip,
                seed=seed,
                start=start,
                shard_index=shard_index,
                shard_count=shard_count,
                batch_size=batch_size,
            )
        batches = self._clips(clip, "train").repeat().skip(start)
        batches = batches.batch(batch_size, drop_remainder=True)
        share = batch_size // shard_count
        own = slice(shard_index * share, (shard_index + 1) * share)
        if shard_count > 1:
            batches = batches.map(lambda batch: {key: batch[key][own] for key in batch})
        return pipeline.finish(batches, autotune=True)

    def evaluation_clips(
        self,
        clip: ClipSpec,
        *,
        split: str,
        num_clips: int,
        batch_size: int,
        first_clip: int = 0,
    ) -> tf.data.Dataset:
        self._check_range(clip, split, num_clips, batch_size, first_clip)
        if self._stand_in is not None:
            return self._stand_in.evaluation_clips(
                clip,
                split=split,
                num_clips=num_clips,
                batch_size=batch_size,
                first_clip=first_clip,
            )
        clips = self._clips(clip, split).skip(first_clip).take(num_clips)
        return pipeline.finish(clips.batch(batch_size), autotune=True)

    def _dataset(self, split: str) -> tf.data.Dataset:
        dataset = self._datasets[split]
        if dataset is not None:
            return dataset
        if self._datasets["train"] is not None:
            raise InputError(
                f"{self.name} has no test clips: give test_dataset (DatasetClips.test), or use the "
                'split "train"'
            )
        raise InputError(
            f"the clips of {self.name!r} came from a tf.data.Dataset in a Python program and are "
            "not stored: give --data_dir with a folder of videos or a prepared set, or call "
            "trivd_tf.train or trivd_tf.evaluation.evaluate with the data set"
        )

    def _clips(self, clip: ClipSpec, split: str) -> tf.data.Dataset:
        """Returns single clips: {"video": uint8 `[T, H, W, 3]`, "label": int32 `[]`}."""
        dataset = self._dataset(split).map(self._named, num_parallel_calls=tf.data.AUTOTUNE)
        if dataset.element_spec["video"].shape.rank == 5:
            dataset = dataset.unbatch()
        shape = [clip.num_frames, clip.height, clip.width, 3]

        def finish(element: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            video = element["video"]
            if video.dtype != tf.uint8:
                video = pixels.byte_tensor(tf.cast(video, tf.float32))
            label = tf.cast(element.get("label", 0), tf.int32)
            return {"video": tf.ensure_shape(video, shape), "label": tf.ensure_shape(label, [])}

        return dataset.map(finish, num_parallel_calls=tf.data.AUTOTUNE)

    def _named(self, *element: Any) -> dict[str, tf.Tensor]:
        if len(element) == 1 and isinstance(element[0], dict):
            found = {name: element[0][name] for name in ("video", "label") if name in element[0]}
        else:
            found = dict(zip(("video", "label"), element, strict=False))
        if self._class_names or "label" not in found:
            return found
        return {"video": found["video"]}  # labels without names: the dummy class

    def _check_first(self, clip: ClipSpec, split: str) -> None:
        """Checks the first element, to report a wrong form in one line, without a traceback."""
        dataset = self._dataset(split)
        wanted = [clip.num_frames, clip.height, clip.width, 3]
        spec = dataset.element_spec
        parts = spec if isinstance(spec, tuple) else (spec,)
        is_dict = isinstance(spec, dict) and "video" in spec
        if not is_dict and not (len(parts) <= 2 and isinstance(parts[0], tf.TensorSpec)):
            raise InputError(
                f"{self.name}: elements must be a video, (video, label) or a dict with 'video'; "
                f"received {spec}"
            )
        if self._class_names and not (len(parts) == 2 or (is_dict and "label" in spec)):
            raise InputError(f"{self.name}: received class_names, but elements hold no label")
        try:
            first = next(iter(dataset.map(self._named).take(1)), None)
        except tf.errors.OpError as error:  # raised in a user's function
            reason = re.sub(
                r".*transformation with iterator: \S+ |\{\{.*?\}\} *", "", error.message
            )
            line = (reason.strip().splitlines() or [type(error).__name__])[0][:200]
            raise InputError(f"{self.name}: its first {split} clip fails: {line}") from error
        if first is None:
            raise InputError(f"{self.name}: the data set of {split} clips is empty")
        video = first["video"]
        shape = video.shape.as_list()
        if shape[-4:] != wanted or len(shape) not in (4, 5):
            raise InputError(
                f"{self.name}: clips must be {wanted} (frames, height, width, colours), or batches "
                f"of such clips, as ClipSpec says; received {shape}: cut and resize them, "
                f"{_EXAMPLE}, or change ClipSpec"
            )
        self._check_values(video.dtype, video.numpy(), first.get("label"))

    def _check_values(self, dtype: tf.DType, video: np.ndarray, label: tf.Tensor | None) -> None:
        if dtype != tf.uint8:
            low, high = (float(video.min()), float(video.max())) if video.size else (0.0, 0.0)
            if not dtype.is_floating or not -1 - _FLOAT_SLACK <= low <= high <= 1 + _FLOAT_SLACK:
                raise InputError(
                    f"{self.name}: videos must be uint8, or floats in [-1, 1]; received "
                    f"{dtype.name} from {low:g} to {high:g}: use video / 127.5 - 1 for values from "
                    "0 to 255, 2 * video - 1 for values from 0 to 1"
                )
        if label is not None and np.any((label < 0) | (label >= max(1, len(self._class_names)))):
            raise InputError(
                f"{self.name}: labels must lie in [0, {len(self._class_names)}), one a class name; "
                f"received {np.asarray(label).tolist()}"
            )
