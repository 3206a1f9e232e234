"""Videos in picture formats: folders of numbered pictures, animated WebP and AVIF."""

import os
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from PIL import Image

from trivd_tf.base.errors import InputError
from trivd_tf.data.files.container import Decoded, UnreadableVideo, VideoFile, check_dimensions
from trivd_tf.data.files.formats import jpeg
from trivd_tf.data.files.orientation import UPRIGHT, Orientation, from_exif

PICTURE_ENDINGS = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pnm"}
)
_EXIF_ORIENTATION = 0x0112
_MILLISECOND = Fraction(1, 1000)
_HEADER = 30  # bytes that identify the file type


def is_picture(name: str) -> bool:
    """Returns whether a file has the extension of a picture; GIFs count as videos."""
    return os.path.splitext(name)[1].lower() in PICTURE_ENDINGS and not name.startswith(".")


def in_order(names: Sequence[str]) -> list[str]:
    """Sorts names of numbered pictures by number: 2 before 10, gaps allowed.

    Raises:
      InputError: a name has no number, two names have the same number, or they belong to several
        series. The message is meant to follow the folder's name.
    """
    numbered: dict[tuple[int, ...], str] = {}
    series: dict[str, str] = {}
    for name in sorted(names):
        stem = os.path.splitext(name)[0]
        numbers = tuple(int(digits) for digits in re.findall(r"\d+", stem))
        if not numbers:
            raise InputError(
                f"{len(names)} pictures that are no video, for {name} has no number; number them "
                "in their order, such as 0001.png"
            )
        series.setdefault(re.sub(r"\d+", "*", stem), name)
        other = numbered.setdefault(numbers, name)
        if other != name and len(series) == 1:
            raise InputError(f"{other} and {name} have the same number; keep one of them")
    if len(series) == 1:
        series = _counted_series(numbered)
    if len(series) > 1:
        shown = ", ".join(list(series.values())[:2])
        raise InputError(
            f"{len(names)} pictures of {len(series)} series ({shown}, ...); a folder of numbered "
            "pictures is one video: put each series into a folder of its own"
        )
    return [numbered[key] for key in sorted(numbered)]


def _counted_series(numbered: dict[tuple[int, ...], str]) -> dict[str, str]:
    """Finds the series in names with several numbers: v1_001, v1_002, v2_001, v2_002 are two.

    Time stamps (12-30-59, 12-31-00) also have several varying numbers, but are one series.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for numbers in sorted(numbered):
        groups.setdefault(numbers[:-1], []).append(numbers[-1])
    several = len(groups) > 1 and all(
        len(last) > 1 and last == list(range(last[0], last[0] + len(last))) and last[0] <= 1
        for last in groups.values()
    )
    if not several:
        return {"": ""}
    return {str(start): numbered[(*start, last[0])] for start, last in groups.items()}


class PictureFolder:
    """A folder of numbered pictures, as one video without time stamps.

    Each picture is decoded as a video of one frame, so that all formats, bit depths and palettes
    are read in the same way; Exif orientations are applied.

    Args:
      path: the folder.

    Attributes:
      names: names of the pictures, in order.
      pixel_aspect: 1; pictures are assumed to have square pixels.
      frame_rate: 0.0, unknown.

    Raises:
      UnreadableVideo: the folder holds no pictures, or they are not a series.
    """

    pixel_aspect = Fraction(1)
    frame_rate = 0.0

    def __init__(self, path: str | os.PathLike[str]):
        self._path = path
        try:
            names = [name for name in os.listdir(path) if is_picture(name)]
            if not names:
                raise InputError("a folder without numbered pictures; choose a video file")
            self.names = in_order(names)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        except InputError as error:
            raise UnreadableVideo(f"{path}: {error}") from error

    def __enter__(self) -> "PictureFolder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def frames(self) -> Iterator[Decoded]:
        """Yields every picture; `UnreadableVideo` if one is damaged or of another size."""
        first: tuple[int, int] | None = None
        for name in self.names:
            path = Path(self._path, name)
            frame, orientation = _picture(path)
            shape = (frame.width, frame.height)
            if orientation.transposed:
                shape = shape[::-1]
            first = first or shape
            if shape != first:
                raise UnreadableVideo(
                    f"{self._path}: {name} is {shape[0]} x {shape[1]}, the pictures before it "
                    f"{first[0]} x {first[1]}; a video's frames have one size"
                )
            yield frame, orientation


def _picture(path: Path) -> Decoded:
    with VideoFile(path) as file:
        frame, _ = next(file.frames())
        if file.stream.codec_context.name == "mjpeg" and jpeg.is_cut(path):
            raise UnreadableVideo(f"{path}: truncated")
    return frame, _exif_orientation(path)


def _exif_orientation(path: Path) -> Orientation:
    """Reads the Exif orientation with Pillow, for all formats; upright if it cannot be read."""
    try:
        with Image.open(path) as image:
            return from_exif(image.getexif().get(_EXIF_ORIENTATION))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return UPRIGHT


def is_animated(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file that is named like a picture is an animation: WebP or APNG."""
    return is_animated_webp(path) or _is_animated_png(path)


def _is_animated_png(path: str | os.PathLike[str]) -> bool:
    """Returns whether the chunk acTL precedes the picture's data, as in every APNG."""
    try:
        with open(path, "rb") as file:
            if file.read(8) != b"\x89PNG\r\n\x1a\n":
                return False
            while len(header := file.read(8)) == 8:
                if header[4:] in (b"acTL", b"IDAT"):
                    return header[4:] == b"acTL"
                file.seek(int.from_bytes(header[:4], "big") + 4, os.SEEK_CUR)
    except OSError:
        pass
    return False


def is_animated_webp(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file is a WebP of several frames, which libav does not decode."""
    header = _header(path)
    return (
        len(header) == _HEADER
        and header.startswith(b"RIFF")
        and header[8:16] == b"WEBPVP8X"
        and bool(header[20] & 2)
    )


def is_transparent_avif(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file is a transparent animated AVIF, which libav reads as two videos."""
    if _header(path)[4:12] != b"ftypavis":
        return False
    try:
        with Image.open(path) as image:
            return image.mode == "RGBA"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False  # libav reports the problem


def _header(path: str | os.PathLike[str]) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_HEADER)
    except OSError:
        return b""


class AnimatedPicture:
    """An animated WebP or AVIF, read with Pillow.

    Args:
      path: the file.

    Attributes:
      codec: "webp" or "avif".
      height, width: in pixels.
      pixel_aspect: 1; the formats have square pixels.
      frame_rate: rate of the first frame; 0.0 if it has no duration.

    Raises:
      UnreadableVideo: the file is damaged, or its frames are larger than `MAX_PIXELS`.
    """

    pixel_aspect = Fraction(1)

    def __init__(self, path: str | os.PathLike[str]):
        self._path = path
        header = _header(path)
        self.codec = "webp" if header.startswith(b"RIFF") else "avif"
        if self.codec == "webp":
            # Check before memory is allocated: 24-bit sides minus one follow the flags.
            width, height = (1 + int.from_bytes(header[at : at + 3], "little") for at in (24, 27))
            check_dimensions(path, width, height)
        try:
            self._image = Image.open(path)
        except (OSError, ValueError, SyntaxError) as error:
            raise UnreadableVideo(f"{path}: not a video, or its header is damaged") from error
        self.width, self.height = self._image.size
        check_dimensions(path, self.width, self.height)

    @property
    def frame_rate(self) -> float:
        """Rate of the first frame; the durations of the others require decoding the file."""
        try:
            self._image.seek(0)
            self._image.load()
        except (OSError, EOFError, ValueError):
            return 0.0
        duration = self._image.info.get("duration") or 0
        return 1000 / duration if duration else 0.0

    def __enter__(self) -> "AnimatedPicture":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._image.close()

    def frames(self) -> Iterator[Decoded]:
        """Yields every frame; raises `UnreadableVideo` at the first damage."""
        time = 0
        for number in range(getattr(self._image, "n_frames", 1)):
            try:
                self._image.seek(number)
                pixels = np.asarray(self._image.convert("RGBA"))
            except (OSError, EOFError, ValueError, SyntaxError, RuntimeError) as error:
                where = f"after frame {number}" if number else "before the first frame"
                raise UnreadableVideo(f"{self._path}: corrupt or truncated {where}") from error
            frame = av.VideoFrame.from_ndarray(pixels, format="rgba")
            duration = int(self._image.info.get("duration") or 0)
            frame.time_base, frame.pts, frame.duration = _MILLISECOND, time, duration
            time += duration
            yield frame, UPRIGHT
