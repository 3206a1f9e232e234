"""Caches decoded videos on disk, memory-mapped, so that no video is decoded twice.

Each video has one file, named by a hash of everything it depends on (path, size, modification time,
frame size, frame rate, decoding rules, the decoder's version), so that a changed video gets a new
name. Files are written atomically.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.base.frame_size import FrameSize
from trivd_tf.base.storage import remove_leftovers, whole_file, write_whole
from trivd_tf.data.files import decode
from trivd_tf.data.files.listing import signature

_ADVICE = "free space there, or name another folder with cache_dir"


def default_cache_dir() -> Path:
    """Returns the user's cache directory; data folders are often read-only, shared or synced."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "trivd_tf" / "decoded"


class FrameCache:
    """Decoded frames of videos at one size and frame rate.

    Each entry is a .npy file of uint8 `[N, H, W, 3]` with a .rate.json file that holds the video's
    own frame rate, or a .bad.json file with the reason why the video cannot be read, so that a
    damaged video is not decoded again either.

    Args:
      directory: folder of the entries; created if missing.
      size: size that the frames just cover (`resized_shape`): for a square, their smallest side.
      fps: frame rate, as in `ClipSpec`; None uses every coded frame.

    Raises:
      InputError: the directory cannot be written to.
    """

    def __init__(
        self, directory: str | os.PathLike[str], *, size: FrameSize, fps: float | None = None
    ):
        self._directory = Path(directory)
        self._size = size
        self._fps = fps
        self._stopped = threading.Event()
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._directory):
                pass
        except OSError as error:
            raise InputError(
                f"cannot write decoded clips to {self._directory} ({error.strerror}); name a "
                "writable folder with cache_dir"
            ) from error
        remove_leftovers(self._directory)

    def __contains__(self, path: object) -> bool:
        entry = self._entry(Path(str(path)))
        return entry.exists() or _bad(entry).exists()

    def read(self, path: Path) -> tuple[Path, np.ndarray]:
        """Returns a video's entry and its memory-mapped frames; decodes them if not cached.

        Raises:
          InputError: the video cannot be read.
          RunError: its frames cannot be written.
        """
        entry = self._entry(path)
        if not entry.exists():
            self._raise_if_bad(entry, path)
            self._decode(path, entry)
        return entry, np.load(entry, mmap_mode="r")

    def frame_rate(self, path: Path) -> float:
        """Returns the frame rate of a video that was read; 0.0 if it states none."""
        try:
            return float(json.loads(_rate(self._entry(path)).read_text())["frame_rate"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0

    def stop(self) -> None:
        """Makes running reads in other threads stop, after an interrupt by the user."""
        self._stopped.set()

    def _entry(self, path: Path) -> Path:
        identity = (
            os.path.realpath(path),
            signature(path),
            self._size,
            self._fps,
            decode.DECODING_RULES,
        )
        name = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]
        return self._directory / f"{name}.npy"

    def _raise_if_bad(self, entry: Path, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
            reason = json.loads(_bad(entry).read_text())["reason"]
            raise decode.UnreadableVideo(f"{path}: {reason}")

    def _decode(self, path: Path, entry: Path) -> None:
        try:
            with whole_file(entry, advice=_ADVICE) as temporary:
                _write_frames(temporary, self._until_stopped(path))
            rate = decode.probe(path).frame_rate
            with contextlib.suppress(RunError):
                write_whole(_rate(entry), json.dumps({"frame_rate": rate}))
        except decode.UnreadableVideo as error:
            reason = str(error).removeprefix(f"{path}: ")
            with contextlib.suppress(RunError):
                write_whole(_bad(entry), json.dumps({"video": str(path), "reason": reason}))
            raise

    def _until_stopped(self, path: Path) -> Iterator[np.ndarray]:
        for frame in decode.decode_frames(path, size=self._size, fps=self._fps):
            if self._stopped.is_set():
                raise RunError(f"{path}: decoding was stopped")
            yield frame


def _bad(entry: Path) -> Path:
    return entry.with_suffix(".bad.json")


def _rate(entry: Path) -> Path:
    return entry.with_suffix(".rate.json")


def _write_frames(path: Path, frames: Iterator[np.ndarray]) -> None:
    """Writes frames to one .npy array, one frame at a time, with constant memory."""
    with open(path, "wb") as file:
        shape: tuple[int, ...] = ()
        for count, frame in enumerate(frames, start=1):
            if not shape:
                _write_header(file, (1, *frame.shape))
            shape = (count, *frame.shape)
            file.write(frame.data)
        file.seek(0)
        # NumPy pads the header so that a longer first axis still fits.
        _write_header(file, shape)


def _write_header(file, shape: tuple[int, ...]) -> None:  # type: ignore[no-untyped-def]
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
