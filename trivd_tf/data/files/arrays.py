"""Videos in arrays: NumPy's `.npy` and `.npz` files, and HDF5.

A file is named by its path, with the order of its axes if it must be stated; a video in it is named
by its index:

    clips.npy            all videos of the file
    clips.npy:TNHW       axes: frames, videos, rows, columns, without a color axis
    clips.npy:TNHW[3]    the fourth video
    clips.npy[0:8]       the first eight videos

Frames are uint8, gray or RGB. Arrays are memory-mapped (HDF5: read by slices), so that a file may
be larger than memory; only a compressed `.npz` is held in memory. An HDF5 file or an uncompressed
`.npz` may hold several arrays: all arrays that can be frames are used. `train_data`, `train_idx`,
`test_data` and `test_idx` are VideoGPT's layout (github.com/wilson1yan/VideoGPT,
videogpt/data.py): concatenated frames of all videos, and the start of each video.
"""

import contextlib
import dataclasses
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import FrameSize
from trivd_tf.data.clips import resized_shape
from trivd_tf.data.files.array_formats import Block, open_blocks

ENDINGS = (".npy", ".npz", ".h5", ".hdf5")

_NAME = re.compile(
    r"(?P<file>.+\.(?:npy|npz|h5|hdf5))(?::(?P<axes>[A-Z]+))?(?:\[(?P<first>\d+)(?P<more>:\d*)?\])?"
)
_FRAMES_READ_AT_ONCE = 16


@dataclasses.dataclass(frozen=True)
class ArrayName:
    """A path that names videos of an array file.

    Attributes:
      file: the file.
      axes: order of its axes, such as `TNHW`; "" to infer it from the shape.
      first: index of the first video.
      end: index after the last video; None for all videos from `first`.
    """

    file: str
    axes: str = ""
    first: int = 0
    end: int | None = None

    @property
    def is_one_video(self) -> bool:
        return self.end == self.first + 1


def parse(path: str | os.PathLike[str]) -> ArrayName | None:
    """Parses a name as described in the module docstring; None if it is not an array file."""
    text = os.fspath(path)
    match = _NAME.fullmatch(text)
    if match is None or (os.path.exists(text) and match["file"] != text):
        return None
    first, more = int(match["first"] or 0), match["more"]
    end = None if match["first"] is None or more == ":" else first + 1
    if more and more != ":":
        end = int(more[1:])
    return ArrayName(match["file"], match["axes"] or "", first, end)


def file_of(path: str | os.PathLike[str]) -> Path:
    """Returns the file of a name: `clips.npy` for `clips.npy[3]`; other paths are unchanged."""
    name = parse(path)
    return Path(path) if name is None else Path(name.file)


@dataclasses.dataclass(frozen=True)
class ArrayVideo:
    """One video of an array file.

    Attributes:
      path: its name, such as `clips.npy[3]`.
      num_frames, height, width: shape of the stored video.
      split: "train" or "test" if the file holds both, else "".
    """

    path: str
    num_frames: int
    height: int
    width: int
    split: str = ""

    def read(self, frames: slice = slice(None), size: FrameSize | None = None) -> np.ndarray:
        """Reads frames as uint8 RGB `[n, H, W, 3]`, resized to just cover `size` if it is set."""
        block, number = _find(self.path)
        pixels = block.read(number, frames)
        return pixels if size is None else resize_to_cover(pixels, size)


def find_videos(path: str | os.PathLike[str]) -> list[ArrayVideo]:
    """Returns the videos that a name refers to.

    Raises:
      InputError: there is no such file, it has fewer videos, or the axes are wrong or must be
        stated; the message shows how.
      UnreadableArray: the file is damaged, or holds no frames.
    """
    name = parse(path)
    if name is None:
        raise InputError(f"{path}: not the name of an array file ({', '.join(ENDINGS)})")
    blocks = _blocks(name)
    total = sum(len(block) for block in blocks)
    end = total if name.end is None else name.end
    if not name.first < end <= total:
        raise InputError(f"{path}: the file holds {total} videos, numbered from 0")
    whole = f"{name.file}:{name.axes}" if name.axes else name.file
    everything = (
        ArrayVideo(f"{whole}[{first + number}]", length, block.height, block.width, block.split)
        for first, block in zip(_firsts(blocks), blocks, strict=True)
        for number, length in enumerate(block.lengths)
    )
    return list(itertools.islice(everything, name.first, end))


def shapes(path: str | os.PathLike[str]) -> list[tuple[str, tuple[int, ...]]]:
    """Returns the order of the axes, such as `NTHWC`, and the shape of each array of a file.

    Raises:
      InputError: as `find_videos`.
    """
    name = parse(path)
    if name is None:
        raise InputError(f"{path}: not the name of an array file ({', '.join(ENDINGS)})")
    return [(block.axes, tuple(map(int, block.array.shape))) for block in _blocks(name)]


def expand(
    paths: Sequence[Path],
) -> tuple[list[Path], dict[Path, ArrayVideo], dict[Path, str]]:
    """Splits paths into other files, videos of array files by name, and problems by path."""
    others: list[Path] = []
    videos: dict[Path, ArrayVideo] = {}
    problems: dict[Path, str] = {}
    for path in paths:
        if parse(path) is None:
            others.append(path)
            continue
        try:
            videos |= {Path(video.path): video for video in find_videos(path)}
        except InputError as error:
            problems[path] = str(error)
    return others, videos, problems


def each_video(path: str | os.PathLike[str]) -> list[str]:
    """Returns the names of the videos of an array file; other paths are returned unchanged."""
    if parse(path) is not None:
        with contextlib.suppress(InputError):  # reported when the path is read
            return [video.path for video in find_videos(path)]
    return [os.fspath(path)]


def frames_of(path: str | os.PathLike[str], size: FrameSize | None = None) -> Iterator[np.ndarray]:
    """Yields the frames of the single video that a name refers to, uint8 RGB `[H, W, 3]`.

    Raises:
      InputError: as `find_videos`, or the name refers to several videos.
    """
    videos = find_videos(path)
    if len(videos) > 1:
        raise InputError(f"{path}: holds {len(videos)} videos; name one, such as {videos[0].path}")
    for first in range(0, videos[0].num_frames, _FRAMES_READ_AT_ONCE):
        yield from videos[0].read(slice(first, first + _FRAMES_READ_AT_ONCE), size)


def resize_to_cover(frames: np.ndarray, size: FrameSize) -> np.ndarray:
    """Resizes `[N, H, W, 3]` to just cover `size` (antialiased bicubic), unless it already does."""
    height, width = resized_shape(frames.shape[1], frames.shape[2], size)
    if (height, width) == frames.shape[1:3]:
        return np.ascontiguousarray(frames)
    shape, rule = (width, height), Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(frame).resize(shape, rule)) for frame in frames])


def _find(path: str) -> tuple[Block, int]:
    name = parse(path)
    assert name is not None
    number = name.first
    for block in _blocks(name):
        if number < len(block):
            return block, number
        number -= len(block)
    raise InputError(f"{path}: the file holds fewer videos than before")


def _firsts(blocks: tuple[Block, ...]) -> Iterator[int]:
    return itertools.accumulate((len(block) for block in blocks[:-1]), initial=0)


def _blocks(name: ArrayName) -> tuple[Block, ...]:
    try:
        status = os.stat(name.file)
    except OSError as error:
        raise InputError(f"{name.file}: cannot be read ({error.strerror})") from error
    # An open HDF5 file must not be shared with a forked process.
    return open_blocks(name.file, name.axes, status.st_size, status.st_mtime_ns, os.getpid())
