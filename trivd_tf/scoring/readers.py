"""Finds and reads the videos of one side: a folder of videos or frame folders, or array files."""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.data.files import arrays, decode, listing, stills
from trivd_tf.data.files.array_formats import UnreadableArray
from trivd_tf.metrics.videos import Range, as_uint8_videos

# Codecs that libav calls lossless although they reduce colors: a GIF has 256.
_LOSSY_BESIDES = frozenset({"gif"})
ARRAY = "array"


@dataclasses.dataclass(frozen=True)
class Video:
    """One video, which is read on demand.

    Attributes:
        name: key for pairing: the path in the folder without the extension, or the index in an
            array.
        path: the file, or the folder of frames.
        index: index in an array; None for a video file or frame folder.
        encoding: codec of a file; `array` for an array.
        lossy: whether the codec is lossy.
        frame_rate: frames per second; 0.0 if unknown.
        value_range: values of black and white in an array of floats.
    """

    name: str
    path: Path
    index: int | None
    encoding: str
    lossy: bool
    frame_rate: float
    value_range: Range | None = None

    def content(self) -> str:
        """Returns a digest of all bytes of the video."""
        if self.index is None:
            return _content(self.path)
        file = arrays.parse(self.path)
        assert file is not None
        return f"{_content(Path(file.file))}:{file.axes}[{self.index}] {self.value_range}"

    def frames(self, *, size: int | None, frame_rate: float | None) -> Iterator[np.ndarray]:
        """Yields frames in display orientation, uint8 `[H, W, 3]`.

        Args:
            size: smallest side of the resized frames; None keeps the original size.
            frame_rate: frame rate to which the video is resampled; None uses every frame.

        Raises:
            InputError: the video cannot be read, or `frame_rate` is set and the video has none.
        """
        if frame_rate is not None and self.frame_rate <= 0:
            raise InputError(
                f"{self.path}: states no frame rate, so that --frame_rate {frame_rate:g} cannot "
                "be met; choose --stride instead"
            )
        if self.value_range is None:
            yield from decode.decode_frames(self.path, size=size, fps=frame_rate)
            return
        name = arrays.parse(self.path)
        assert name is not None
        assert self.index is not None
        floats = _open_floats(name.file)[self.index : self.index + 1]
        video = as_uint8_videos(floats, self.value_range, name.file)[0]
        yield from video if size is None else arrays.resize_to_cover(video, size)


def find_videos(
    path: str | os.PathLike[str], value_range: Range | None = None
) -> tuple[list[Video], list[str]]:
    """Finds the videos of one side, sorted by name, and the problems of unreadable files.

    Args:
        path: a folder of videos, of folders of frames, or of arrays; or an array file, named as
            `trivd_tf.data.files.arrays` describes it (`clips.npy`, `mnist.npy:TNHW`).
        value_range: values of black and white in arrays of floats `[N, T, H, W, C]`; None reads
            arrays of uint8 in any order of axes.

    Raises:
        InputError: `path` does not exist, or holds no video.
    """
    root = Path(path).expanduser()
    if arrays.parse(root) is not None and not root.is_dir():
        return _array_videos(str(root), "", value_range), []
    if not root.is_dir():
        raise InputError(
            f"{path}: no such folder or array; give a folder of videos, a folder of folders of "
            "frames, or a .npy, .npz or .h5 file"
        )
    listed = listing.find_videos(root)
    videos: list[Video] = []
    problems = [f"{folder}: {problem}" for folder, problem in listed.problems.items()]
    for place in listed.videos:
        relative = place.relative_to(root)
        name = os.fspath(relative if place.is_dir() else relative.with_suffix(""))
        try:
            if arrays.parse(place) is not None:
                videos += _array_videos(str(place), name, value_range)
            else:
                videos.append(_video(place, name))
        except (decode.UnreadableVideo, UnreadableArray) as error:
            problems.append(str(error))
    if not videos:
        reason = f" ({problems[0]})" if problems else ""
        raise InputError(f"{path}: holds no video, no folder of frames and no array{reason}")
    names = [video.name for video in videos]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path}: two videos are called {twice}; keep one of them")
    return sorted(videos, key=lambda video: video.name), problems


def _video(path: Path, name: str) -> Video:
    info = decode.probe(path)
    return Video(name, path, None, info.codec, _is_lossy(info.codec), info.frame_rate)


def _is_lossy(codec: str) -> bool:
    try:
        return codec in _LOSSY_BESIDES or bool(av.codec.Codec(codec, "r").lossy)
    except (ValueError, av.FFmpegError):
        return True


def _array_videos(path: str, prefix: str, value_range: Range | None) -> list[Video]:
    """Returns the videos of an array file, named by `prefix` and their indices."""
    if value_range is None:
        places = [video.path for video in arrays.find_videos(path)]
    else:
        places = [f"{path}[{index}]" for index in range(len(_open_floats(path)))]
    numbers = range(len(places))
    if prefix and len(places) == 1:
        names = [prefix]
    else:
        names = [f"{prefix}/{number}" if prefix else str(number) for number in numbers]
    return [
        Video(name, Path(place), number, ARRAY, False, 0.0, value_range)
        for name, place, number in zip(names, places, numbers, strict=True)
    ]


@functools.lru_cache(maxsize=8)
def _open_floats(path: str) -> np.ndarray:
    """Opens the array of a `.npy` file, memory-mapped, or the only array of an `.npz` file.

    Raises:
        InputError: the file cannot be read, or does not hold floats `[N, T, H, W, C]`.
    """
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(loaded, np.ndarray):
            with loaded:
                (name,) = loaded.files
                loaded = loaded[name]
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: cannot be read as one array ({error})") from error
    if loaded.ndim != 5 or loaded.dtype.kind != "f":
        raise InputError(
            f"{path}: --value_range is for floats [N, T, H, W, C], this is {loaded.dtype} of shape "
            f"{list(loaded.shape)}"
        )
    return loaded


def _content(path: Path) -> str:
    if path.is_dir():
        whole = hashlib.sha256()
        for name in stills.PictureFolder(path).names:
            whole.update(f"{name} {_content(path / name)}\n".encode())
        return whole.hexdigest()
    status = path.stat()
    return _file_content(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=65536)
def _file_content(path: Path, *state: int) -> str:
    del state  # a changed file is read again
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
