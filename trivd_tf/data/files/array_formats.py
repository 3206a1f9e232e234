"""Opens array files as blocks of videos: NumPy and HDF5 formats, and the order of axes."""

import dataclasses
import functools
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from trivd_tf.base.errors import InputError

_WORDS = {"N": "videos", "T": "frames", "C": "colours", "H": "rows", "W": "columns"}
_MOVING_MNIST = (20, 10_000, 64, 64)  # mnist_test_seq.npy as published: frames before videos


class UnreadableArray(InputError):
    """The file is damaged, or does not hold frames."""


@dataclasses.dataclass(frozen=True)
class Block:
    """One uint8 array or HDF5 dataset of a file, and the order of its axes.

    With `starts`, the array is one long video `THWC` that is split at these frames.
    """

    array: Any
    axes: str
    split: str = ""
    starts: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @functools.cached_property
    def lengths(self) -> list[int]:
        """Returns the number of frames of each video."""
        if self.starts is not None:
            return np.diff([*self.starts, self._side("T")]).tolist()
        return [self._side("T")] * self._side("N")

    @property
    def height(self) -> int:
        return self._side("H")

    @property
    def width(self) -> int:
        return self._side("W")

    def _side(self, axis: str) -> int:
        return int(self.array.shape[self.axes.index(axis)]) if axis in self.axes else 1

    def read(self, number: int, frames: slice) -> np.ndarray:
        start, stop, step = frames.indices(self.lengths[number])
        if self.starts is not None:
            start, stop = start + int(self.starts[number]), stop + int(self.starts[number])
        chosen = {"N": number, "T": slice(start, stop, step)}
        pixels = np.asarray(self.array[tuple(chosen.get(axis, slice(None)) for axis in self.axes)])
        left = self.axes.replace("N", "")
        if "C" not in left:
            pixels, left = pixels[..., None], left + "C"
        pixels = pixels.transpose([left.index(axis) for axis in "THWC"])
        return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:3], 3)))


@functools.lru_cache(maxsize=32)
def open_blocks(file: str, axes: str, *state: int) -> tuple[Block, ...]:
    """Opens the blocks of a file and keeps them open.

    Args:
      file: `.npy`, `.npz`, `.h5` or `.hdf5`.
      axes: order of the axes, such as `TNHW`; "" infers it from the shape.
      *state: cache key: values that change when the file or the process changes.

    Raises:
      InputError: the axes do not fit, or must be stated.
      UnreadableArray: the file is damaged, or holds no frames.
    """
    del state
    try:
        found = _READERS[Path(file).suffix](file)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:150]
        raise UnreadableArray(f"{file}: not an array file, or damaged ({reason})") from error
    blocks = [_checked(file, axes, block) for block in found]
    if not sum(len(block) for block in blocks):
        raise UnreadableArray(f"{file}: holds no array of frames (uint8, three to five axes)")
    return tuple(blocks)


def _checked(file: str, axes: str, block: Block) -> Block:
    """Returns the block with its axes resolved; raises if it would give wrong frames."""
    shape = tuple(block.array.shape)
    if block.array.dtype != np.uint8:
        raise UnreadableArray(
            f"{file}: holds {block.array.dtype}, but frames are uint8 from 0 to 255; convert it "
            "first: (255 * x).round().astype('uint8') for numbers from 0 to 1"
        )
    if block.axes:
        axes = block.axes
    elif axes:
        _check_axes(file, axes, shape)
    else:
        axes = decide_axes(file, shape)
    starts = block.starts
    if starts is not None and (
        starts.ndim != 1 or (np.diff([0, *starts, shape[0]]) < 0).any() or len(shape) != 4
    ):
        raise UnreadableArray(f"{file}: the starts of its videos do not fit its frames {shape}")
    return dataclasses.replace(block, axes=axes)


def _check_axes(file: str, axes: str, shape: tuple[int, ...]) -> None:
    colours = shape[axes.index("C")] if "C" in axes and len(axes) == len(shape) else 3
    wrong = len(set(axes)) < len(axes) or not {*"THW"} <= {*axes} <= {*_WORDS}
    if wrong or len(axes) != len(shape) or colours not in (1, 3):
        raise InputError(
            f"{file}:{axes}: does not fit the shape {shape}; write each of T (frames), H (rows) "
            "and W (columns) once, N (videos) and C (1 or 3 colours) where there are such axes"
        )


def decide_axes(file: str, shape: tuple[int, ...]) -> str:
    """Infers the order of the axes of an array of frames if its shape is unambiguous.

    An axis of length 1 or 3 holds colors. Without such an axis, three axes are frames, rows and
    columns; of four axes, the first two are videos and frames in either order, which is known only
    for Moving MNIST's shape.

    Raises:
      InputError: several orders are possible; the message shows how to state one.
      UnreadableArray: no order is possible.
    """
    with_colours = {5: ("NTHWC", "NTCHW", "NCTHW"), 4: ("THWC", "TCHW")}.get(len(shape), ())
    possible = [axes for axes in with_colours if shape[axes.index("C")] in (1, 3)]
    if len(shape) == 3:
        possible = ["THW"]
    elif len(shape) == 4 and not possible:
        possible = ["TNHW"] if shape == _MOVING_MNIST else ["NTHW", "TNHW"]
    if not possible:
        raise UnreadableArray(
            f"{file}: the shape {shape} is not one of videos: three to five axes, with at most one "
            "of 1 or 3 colours"
        )
    if len(possible) > 1:
        choices = " or ".join(
            f"{file}:{axes} ({', '.join(_WORDS[axis] for axis in axes)})" for axes in possible
        )
        raise InputError(f"{file}: state the order of its axes {shape}: {choices}")
    return possible[0]


def _read_npy(file: str) -> list[Block]:
    return [Block(np.load(file, mmap_mode="r", allow_pickle=False), "")]


def _read_npz(file: str) -> list[Block]:
    blocks = []
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".npy"):
                array = _mapped(file, member)
                if array is None:
                    with archive.open(member) as packed:
                        array = np.lib.format.read_array(packed, allow_pickle=False)
                blocks.append(Block(array, ""))
    # Files also hold labels, lengths and the like.
    likely = [block for block in blocks if _looks_like_frames(block.array)]
    return likely or blocks[:1]


def _mapped(file: str, member: zipfile.ZipInfo) -> np.ndarray | None:
    """Memory-maps an uncompressed member inside the archive; None if that is not possible."""
    if member.compress_type != zipfile.ZIP_STORED:
        return None
    with open(file, "rb") as raw:
        raw.seek(member.header_offset + 26)
        name, extra = struct.unpack("<HH", raw.read(4))
        raw.seek(member.header_offset + 30 + name + extra)
        version = np.lib.format.read_magic(raw)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            return None
        shape, is_fortran, dtype = read_header(raw)
        if dtype.hasobject or not np.prod(shape):
            return None
        order = "F" if is_fortran else "C"
        return np.memmap(file, dtype, "r", raw.tell(), shape, order)  # type: ignore[call-overload]


def _read_hdf5(file: str) -> list[Block]:
    import h5py  # a dependency of Keras

    content = h5py.File(file, "r")
    if "train_data" in content or "test_data" in content:
        splits = [split for split in ("train", "test") if f"{split}_data" in content]
        return [
            Block(
                content[f"{split}_data"],
                "THWC",
                split if len(splits) == 2 else "",
                np.asarray(content[f"{split}_idx"]),
            )
            for split in splits
        ]
    arrays: list[Any] = []
    content.visititems(lambda _, item: arrays.append(item) if hasattr(item, "dtype") else None)
    likely = [array for array in arrays if _looks_like_frames(array)]
    return [Block(array, "") for array in likely or arrays[:1]]


def _looks_like_frames(array: Any) -> bool:
    return array.dtype == np.uint8 and 3 <= len(array.shape) <= 5


_READERS = {".npy": _read_npy, ".npz": _read_npz, ".h5": _read_hdf5, ".hdf5": _read_hdf5}
