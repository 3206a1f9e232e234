"""Clips from datasets that were prepared by `trivd_tf.data.prepare`."""

import concurrent.futures
import dataclasses
import functools
import io
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import checked_size, height_width
from trivd_tf.data import clips, pipeline
from trivd_tf.data.clips import ClipSpec, require_integer
from trivd_tf.data.prepare import layout
from trivd_tf.data.source import SPLITS, ClipSource, check_split, digest
from trivd_tf.data.stored import jpeg_strips
from trivd_tf.data.stored.records import RecordFiles
from trivd_tf.data.windows import WindowTable, random_positions

_SLICE = re.compile(r"(\w+)(?:\[(\d*)%?:(\d*)%?\])?")

# Crop position of one clip; None is the center.
_Position = tuple[float, float] | None


@dataclasses.dataclass(frozen=True)
class _Opened:
    """The stored videos of "train" or "test", and the locations of their frames."""

    records: np.ndarray  # layout.RECORD; the shard is an index into `files`
    frames: np.ndarray  # layout.FRAME of all JPEGs
    files: RecordFiles


class Prepared(ClipSource):
    """A prepared dataset, with random access to clips in all shards by byte offset.

    Any order of clips is possible: each epoch has every window of the training videos once,
    shuffled, and a run resumes at the exact clip immediately.

    The folder is opened when it is first read, and need not exist before: a trained model can be
    exported without its data.

    Args:
      data_dir: folder of the prepared dataset, or an address such as gs://bucket/folder.
      train_splits: stored splits that form "train", joined by "+", each optionally with a slice in
        percent, such as "train+validation" or "test[:80%]".
      test_splits: stored splits that form "test", likewise.
      num_readers: number of threads that read a batch.
    """

    name = "prepared"
    _kind: str | None = None

    def __init__(
        self,
        *,
        data_dir: str,
        train_splits: str = "train",
        test_splits: str = "test",
        num_readers: int = 4,
    ):
        if not data_dir or not isinstance(data_dir, str):
            raise InputError(
                f"{type(self).__name__}.data_dir must name a prepared data set; "
                f"received {data_dir!r}"
            )
        require_integer(type(self).__name__, "num_readers", num_readers, 1)
        self._data_dir = os.path.expanduser(data_dir)
        self._num_readers = num_readers
        self._readers = concurrent.futures.ThreadPoolExecutor(num_readers, "read_clips")
        self._splits = {"train": train_splits, "test": test_splits}
        self._opened: dict[str, _Opened] = {}
        self._tables: dict[tuple[ClipSpec, str], WindowTable] = {}

    @property
    def data_dir(self) -> str:
        """Folder of the prepared dataset."""
        return self._data_dir

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self._report["class_names"] or ())

    def _stored_splits(self, split: str) -> str:
        """Returns the stored splits of "train" or "test", joined by "+"."""
        return self._splits[split]

    def prepare(self, clip: ClipSpec) -> None:
        stored = checked_size("size", self._report["size"], minimum=1)
        if clip.size != stored:
            wanted = "x".join(map(str, dict.fromkeys(height_width(clip.size))))
            raise InputError(
                f"{self._data_dir} was prepared at size {stored}, clips of {clip.size} were asked "
                f"for; set data.ClipSpec.size = {stored} or prepare it with --size {wanted}"
            )
        rate = self._report.get("fps")
        if clip.fps != rate:
            raise InputError(
                f"{self._data_dir} was prepared at {_rate(rate)}, clips at {_rate(clip.fps)} were "
                f"asked for; set data.ClipSpec.fps = {rate} or prepare it "
                + ("without --fps" if clip.fps is None else f"with --fps {clip.fps:g}")
            )
        for split in SPLITS:
            if (clip, split) not in self._tables:
                if split not in self._opened:
                    self._opened[split] = self._open(split)
                lengths = self._opened[split].records["frames"]
                self._tables[clip, split] = WindowTable(lengths, clip)
        if not len(self._tables[clip, "train"]) and not len(self._tables[clip, "test"]):
            raise InputError(
                f"{self._data_dir}: no video has the {clip.span} frames that a clip covers"
            )

    def num_evaluation_clips(self, clip: ClipSpec, split: str) -> int:
        check_split(split)
        self.prepare(clip)
        return len(self._tables[clip, split])

    def fingerprint(self, clip: ClipSpec, split: str) -> str:
        check_split(split)
        identity = (self._report["content"], self._stored_splits(split), clips.identity(clip))
        return f"{self._report['kind']}-{split}-{digest(identity)}"

    @functools.cached_property
    def _report(self) -> dict[str, Any]:
        path = layout.join(self._data_dir, layout.REPORT)
        try:
            report = layout.read_json(path)
            kind = report["kind"]
        except (tf.errors.OpError, ValueError, KeyError, TypeError) as error:
            unfinished = tf.io.gfile.exists(layout.join(self._data_dir, layout.WORK))
            raise InputError(
                f"{self._data_dir}: "
                + (
                    "its preparation is not finished; run the same `trivd prepare` again"
                    if unfinished
                    else "no prepared data set; make one with `trivd prepare`"
                )
            ) from error
        if self._kind not in (None, kind):
            raise InputError(f"{self._data_dir} holds {kind}, not {self._kind}")
        return report

    def _open(self, split: str) -> _Opened:
        """Loads the index of all stored splits of `split`."""
        tables, frames = [], []
        files: list[str] = []
        num_frames = 0
        for stored, first, end in self._parse(self._stored_splits(split)):
            table = _load_table(layout.index_path(self._data_dir, stored, "records"))
            places = _load_table(layout.index_path(self._data_dir, stored, "frames"))
            table = table[len(table) * first // 100 : len(table) * end // 100].copy()
            table["shard"] += len(files)
            table["first"] += num_frames
            tables.append(table)
            frames.append(places)
            num_frames += len(places)
            count = self._report["splits"][stored]["shards"]
            files += [
                layout.shard_path(
                    self._data_dir, self._report["kind"], f"{stored}-{n:05d}-of-{count:05d}"
                )
                for n in range(count)
            ]
        places = frames[0] if len(frames) == 1 else np.concatenate(frames)
        return _Opened(np.concatenate(tables), places, RecordFiles(files))

    def _parse(self, splits: str) -> list[tuple[str, int, int]]:
        """Parses "a+b[:80%]" to [("a", 0, 100), ("b", 0, 80)]."""
        parts = []
        for part in splits.split("+"):
            match = _SLICE.fullmatch(part.strip())
            stored = self._report["splits"]
            if not match or match[1] not in stored:
                raise InputError(
                    f"{self._data_dir} holds the splits {', '.join(stored)}; received {splits!r}"
                )
            parts.append((match[1], int(match[2] or 0), min(int(match[3] or 100), 100)))
        return parts

    def _encoded(self) -> bool:
        return self._report["encoding"] == "jpeg"

    def _training_batch(
        self, clip: ClipSpec, seed: int, indices: np.ndarray
    ) -> pipeline.Batch | pipeline.EncodedBatch:
        windows = self._tables[clip, "train"].training(indices, seed)
        return self._read(clip, "train", windows, random_positions(seed, indices))

    def _evaluation_batch(
        self, clip: ClipSpec, split: str, indices: np.ndarray
    ) -> pipeline.Batch | pipeline.EncodedBatch:
        windows = self._tables[clip, split].evaluation(indices)
        return self._read(clip, split, windows, [None] * len(indices))

    def _read(
        self,
        clip: ClipSpec,
        split: str,
        windows: tuple[np.ndarray, np.ndarray],
        positions: Sequence[_Position],
    ) -> pipeline.Batch | pipeline.EncodedBatch:
        opened = self._opened[split]
        videos, starts = windows
        rows = opened.records[videos]
        count = len(rows)
        labels = np.maximum(rows["label"], 0).astype(np.int32)
        encoded = self._encoded()
        if encoded:
            lengths = pipeline.strip_lengths(clip.num_frames)
            strips = np.empty((count, len(lengths)), object)
            crops = np.empty((count, 3), np.int32)
        else:
            video = np.empty((count, clip.num_frames, clip.height, clip.width, 3), np.uint8)

        def read(part: range) -> None:
            for n in part:
                if encoded:
                    images = _read_images(opened, rows[n], int(starts[n]), clip)
                    for number, length in enumerate(lengths):
                        strips[n, number] = jpeg_strips.join(images[:length])
                        del images[:length]
                    crops[n] = _crop(rows[n], clip, positions[n])
                else:
                    frames = _read_pixels(opened, rows[n], int(starts[n]), clip)
                    clips.cut_clip(frames, 0, clip, positions[n], out=video[n])

        parts = [range(first, count, self._num_readers) for first in range(self._num_readers)]
        list(self._readers.map(read, parts))
        return (strips, crops, labels) if encoded else (video, labels)


def _rate(fps: float | None) -> str:
    return "the videos' own frame rates" if fps is None else f"{fps:g} frames a second"


def _load_table(path: str) -> np.ndarray:
    """Loads a table of the index; memory-mapped if it is a local file."""
    if "://" not in path:
        return np.load(path, mmap_mode="r")
    with tf.io.gfile.GFile(path, "rb") as file:
        return np.load(io.BytesIO(file.read()))


def _read_pixels(opened: _Opened, row: np.void, start: int, clip: ClipSpec) -> np.ndarray:
    """Reads the frames that a clip covers, uint8 `[span, H, W, 3]`."""
    height, width = int(row["height"]), int(row["width"])
    frame = height * width * 3
    data = opened.files.read(
        int(row["shard"]), int(row["offset"]) + start * frame, clip.span * frame
    )
    return np.frombuffer(data, np.uint8).reshape(clip.span, height, width, 3)


def _read_images(opened: _Opened, row: np.void, start: int, clip: ClipSpec) -> list[bytes]:
    """Reads the JPEG files of a clip's frames, which are contiguous in the record."""
    first = int(row["first"]) + start
    places = opened.frames[first : first + clip.span]
    begin = int(places["offset"][0])
    end = int(places["offset"][-1]) + int(places["length"][-1])
    data = opened.files.read(int(row["shard"]), int(row["offset"]) + begin, end - begin)
    taken = places[:: clip.stride].tolist()
    return [data[offset - begin : offset - begin + length] for offset, length in taken]


def _crop(row: np.void, clip: ClipSpec, position: _Position) -> tuple[int, int, int]:
    """Returns the rows of a frame in a strip, and top and left of the crop of `cut_clip`."""
    vertical, horizontal = (None, None) if position is None else position
    height = int(row["height"])
    top = clips.crop_offset(height - clip.height, vertical)
    left = clips.crop_offset(int(row["width"]) - clip.width, horizontal)
    return jpeg_strips.padded_height(height), top, left
