"""Inputs of a batch job: video files that match patterns, or clips of a prepared dataset."""

import contextlib
import dataclasses
import functools
import glob
import itertools
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import FrameSize
from trivd_tf.data.clips import ClipSpec
from trivd_tf.data.files import arrays
from trivd_tf.data.source import SPLITS
from trivd_tf.data.stored.prepared import Prepared
from trivd_tf.pictures.video_io import read_clip

_RATE_OF_PREPARED = 10.0  # a prepared dataset does not store frame rates


@dataclasses.dataclass(frozen=True)
class ClipShape:
    """Shape and sampling of the model's conditioning frames."""

    num_conditioning_frames: int
    size: FrameSize
    stride: int
    fps: float | None = None


@dataclasses.dataclass(frozen=True)
class Given:
    """One input: its name, frames uint8 `[Tc, S, S, 3]`, frame rate and class."""

    name: str
    conditioning: np.ndarray
    frame_rate: float
    label: int | None = None


@runtime_checkable
class Inputs(Protocol):
    """A list of inputs, each with a unique and stable name."""

    def find(self, shape: ClipShape) -> dict[str, str]:
        """Returns the location of each input, by name, in a fixed order."""

    def read(
        self, items: Sequence[tuple[str, str]], shape: ClipShape
    ) -> Iterator[Given | tuple[str, str]]:
        """Reads items (name, location); yields (name, reason) for an unusable input."""


@dataclasses.dataclass(frozen=True)
class VideoFiles:
    """Video files that match patterns.

    A file's name is its path relative to the folder before the pattern's first wildcard, so that it
    does not change when files are added.

    Attributes:
        patterns: paths with `*`, `?`, `[...]` and, on local disks, `**` for any depth; paths with
            "://" are read with `tf.io.gfile`.
        window: use the `first` or `last` frames of each file.
    """

    patterns: tuple[str, ...]
    window: str = "first"

    def find(self, shape: ClipShape) -> dict[str, str]:
        paths: dict[str, str] = {}
        for pattern in self.patterns:
            base = _fixed_folder(pattern)
            found = _expand(pattern)
            if not found:
                raise InputError(f"{pattern}: matches no file")
            for path in itertools.chain.from_iterable(map(arrays.each_video, found)):
                name = path[len(base) :].lstrip("/")
                other = paths.setdefault(name, path)
                if other != path:
                    raise InputError(
                        f"{other} and {path} would both be called {name!r}; give one pattern that "
                        "begins above both, or run them into two outputs"
                    )
        return dict(sorted(paths.items()))

    def read(
        self, items: Sequence[tuple[str, str]], shape: ClipShape
    ) -> Iterator[Given | tuple[str, str]]:
        for name, place in items:
            try:
                with _local(place) as path:
                    clip = read_clip(
                        path,
                        num_conditioning_frames=shape.num_conditioning_frames,
                        size=shape.size,
                        stride=shape.stride,
                        fps=shape.fps,
                        window=self.window,
                    )
            except Exception as error:  # an error of one file must not stop the others
                yield name, _reason(error)
                continue
            yield Given(name, clip.conditioning, clip.frame_rate)


@dataclasses.dataclass(frozen=True)
class PreparedClips:
    """The evaluation clips of a prepared dataset (`trivd prepare`), named by their number.

    Attributes:
        data_dir: folder of the dataset.
        split: `train` or `test`.
        num_predicted_frames: predicted frames of the model, which clips cover too, as in
            evaluation.
        use_labels: pass the dataset's labels to the model.
    """

    data_dir: str
    split: str
    num_predicted_frames: int
    use_labels: bool = False

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise InputError(
                f"the split must be one of {', '.join(SPLITS)}; received {self.split!r}"
            )

    def find(self, shape: ClipShape) -> dict[str, str]:
        count = self._source.num_evaluation_clips(self._clip(shape), self.split)
        if not count:
            raise InputError(f"{self.data_dir}: its {self.split} split holds no clip")
        return {f"{self.split}-{index:09d}": str(index) for index in range(count)}

    @property
    def _source(self) -> Prepared:
        return _prepared(self.data_dir)

    def _clip(self, shape: ClipShape) -> ClipSpec:
        return ClipSpec(
            num_conditioning_frames=shape.num_conditioning_frames,
            num_predicted_frames=self.num_predicted_frames,
            size=shape.size,
            stride=shape.stride,
            fps=shape.fps,
        )

    def read(
        self, items: Sequence[tuple[str, str]], shape: ClipShape
    ) -> Iterator[Given | tuple[str, str]]:
        for name, place in items:
            try:
                batch = next(
                    iter(
                        self._source.evaluation_clips(
                            self._clip(shape),
                            split=self.split,
                            first_clip=int(place),
                            num_clips=1,
                            batch_size=1,
                        )
                    )
                )
            except Exception as error:  # for example, a damaged record
                yield name, _reason(error)
                continue
            frames = batch["video"].numpy()[0, : shape.num_conditioning_frames]
            label = int(batch["label"].numpy()[0]) if self.use_labels else None
            yield Given(name, frames, _RATE_OF_PREPARED, label)


@functools.lru_cache(maxsize=4)
def _prepared(data_dir: str) -> Prepared:
    """Opens a prepared dataset once per process."""
    return Prepared(data_dir=data_dir)


def _fixed_folder(pattern: str) -> str:
    """Returns the folder of a pattern before its first wildcard (or before its file name)."""
    folder, _, _ = pattern.rpartition("/")
    while glob.has_magic(folder):
        folder, _, _ = folder.rpartition("/")
    return folder


def _expand(pattern: str) -> list[str]:
    if "://" in pattern:
        try:
            found = tf.io.gfile.glob(pattern)
        except tf.errors.OpError as error:
            raise InputError(f"{pattern}: {_reason(error)}") from error
        return [path for path in found if not tf.io.gfile.isdir(path)]
    return [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]


@contextlib.contextmanager
def _local(path: str) -> Iterator[Path]:
    """Yields a local file with the content of `path`."""
    if "://" not in path:
        yield Path(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.rsplit("/", 1)[1]
        tf.io.gfile.copy(path, str(copy))
        yield copy


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"
