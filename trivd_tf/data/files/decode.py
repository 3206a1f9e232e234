"""One video file to RGB frames: any container, codec and pixel format that libav reads."""

import dataclasses
import os
from collections.abc import Iterator

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import FrameSize, checked_size
from trivd_tf.data.clips import require_integer, resized_shape

MAX_PIXELS = 2**26  # a frame of 8192 x 8192, 200 MB as RGB

# Bump when a change here changes pixels: caches of decoded frames are keyed by it.
DECODING_RULES = "swscale bicubic 1"

# Bicubic widens its support when it shrinks, so it is antialiased. Full chroma and accurate
# rounding cost nothing measurable at these sizes and bring it within 1.3 grey levels of Pillow's
# antialiased bicubic filter; "bit exact" makes the pixels the same on every processor.
_FILTER = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)

# libav "plays" text files as terminal recordings.
_NOT_VIDEO_FORMATS = frozenset({"tty"})


class UnreadableVideo(InputError):
    """The file's content is at fault: not a video, corrupt, truncated, or without a frame."""


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What a file's header says.

    Attributes:
      height: rows of a coded frame, before the display rotation.
      width: columns of a coded frame.
      frame_rate: frames a second, 0.0 where the file does not say.
      codec: libav's name of the codec.
    """

    height: int
    width: int
    frame_rate: float
    codec: str


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Reads the header of a video file; raises `InputError` as `decode_frames` does."""
    with _open(path) as container:
        stream = _video_stream(container, path)
        context = stream.codec_context
        rate = stream.average_rate or stream.guessed_rate
        return VideoInfo(context.height, context.width, float(rate or 0), context.name)


def decode_frames(
    path: str | os.PathLike[str], *, max_frames: int | None = None, size: FrameSize | None = None
) -> Iterator[np.ndarray]:
    """Yields the frames of a video file in the order of display.

    Every coded frame is given once, whatever its time stamp: a variable frame rate is not evened
    out, and pixels are taken as square. The display rotation in the file's metadata is applied.
    Transparency is dropped, any pixel format and bit depth becomes 8-bit RGB.

    Args:
      path: the file.
      max_frames: stop after so many; what follows is not read, so damage there goes unnoticed.
      size: smallest side of the frames given, or the (height, width) that they just cover; the
        aspect is kept, antialiased. None keeps the size.

    Yields:
      uint8 `[H, W, 3]`, all of the first frame's shape.

    Raises:
      InputError: at the first `next`, the file is missing or may not be read.
      UnreadableVideo: the file is no video, is damaged or cut off, holds no frame, or frames of
        more than `MAX_PIXELS` pixels. Frames before the damage have been given by then.
    """
    if max_frames is not None:
        require_integer("decode_frames", "max_frames", max_frames, 1)
    if size is not None:
        size = checked_size("decode_frames.size", size, minimum=1)
    count = 0
    with _open(path) as container:
        stream = _video_stream(container, path)
        # Files side by side use the cores better than threads within one codec.
        stream.thread_type = "NONE"
        end = _End()
        converter = _Converter(path, size)
        try:
            for packet in container.demux(stream):
                end.saw_packet(packet)
                for frame in packet.decode():
                    if frame.is_corrupt or packet.is_corrupt:
                        raise UnreadableVideo(f"{path}: corrupt or truncated after frame {count}")
                    yield converter(frame)
                    count += 1
                    if count == max_frames:
                        return
        except (av.FFmpegError, ValueError) as error:
            where = f"after frame {count}" if count else "before the first frame"
            raise UnreadableVideo(
                f"{path}: corrupt or truncated {where} ({_reason(error)})"
            ) from error
        if not count:
            raise UnreadableVideo(f"{path}: holds no frame that can be decoded")
        end.check(path, stream, container, count)


class _Converter:
    """Turns libav's frames into RGB arrays of one shape."""

    def __init__(self, path: str | os.PathLike[str], size: FrameSize | None):
        self._path = path
        self._size = size
        self._shape: tuple[int, int] | None = None
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        _check_dimensions(self._path, frame.width, frame.height)
        turns = round(frame.rotation / 90) % 4
        if self._shape is None:
            self._shape = (frame.height, frame.width)
            if turns % 2:
                self._shape = self._shape[::-1]
            if self._size is not None:
                self._shape = resized_shape(*self._shape, self._size)
        height, width = self._shape[::-1] if turns % 2 else self._shape
        image = self._reformatter.reformat(
            frame, width=width, height=height, format="rgb24", interpolation=_FILTER, threads=1
        ).to_ndarray()
        return np.ascontiguousarray(np.rot90(image, turns))


class _End:
    """Tells a file that ends from one that was cut off between two frames."""

    def __init__(self) -> None:
        self._last_time = 0.0

    def saw_packet(self, packet: av.Packet) -> None:
        if packet.pts is not None and packet.time_base is not None:
            time = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            self._last_time = max(self._last_time, time)

    def check(
        self,
        path: str | os.PathLike[str],
        stream: av.VideoStream,
        container: av.container.InputContainer,
        count: int,
    ) -> None:
        """Raises `UnreadableVideo` where the header promises clearly more than was there."""
        # Some sound files count frames that are never shown (edit lists, packed bit streams).
        if stream.frames * 0.95 - 2 > count:
            raise UnreadableVideo(
                f"{path}: truncated, {count} of the {stream.frames} frames it should hold"
            )
        duration = _matroska_duration(stream.metadata)
        if duration - self._last_time > max(0.1, 0.02 * duration):
            raise UnreadableVideo(
                f"{path}: truncated, {self._last_time:.2f} of the {duration:.2f} seconds it "
                "should last"
            )
        if container.format.name == "gif" and not _has_gif_trailer(path):
            raise UnreadableVideo(f"{path}: truncated after frame {count}")


def _matroska_duration(metadata: dict[str, str]) -> float:
    """Seconds in Matroska's DURATION tag, such as 00:00:02.600000000; 0 where there is none."""
    try:
        hours, minutes, seconds = metadata.get("DURATION", "").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return 0.0


def _has_gif_trailer(path: str | os.PathLike[str]) -> bool:
    """A GIF ends in a semicolon; some writers add zeros. libav does not miss either."""
    with open(path, "rb") as file:
        file.seek(-min(64, os.path.getsize(path)), os.SEEK_END)
        return file.read().rstrip(b"\0").endswith(b";")


def _open(path: str | os.PathLike[str]) -> av.container.InputContainer:
    """Opens a regular local file, and nothing that the file may refer to."""
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file")
    if not os.path.isfile(path):
        raise InputError(f"{path}: not a file; give a video file")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: may not be read; check its permissions")
    try:
        # "file:" keeps a colon in the name from being read as a protocol.
        container = av.open(
            "file:" + os.fspath(path),
            options={"protocol_whitelist": "file"},
            metadata_errors="ignore",
        )
    except av.FFmpegError as error:
        raise UnreadableVideo(
            f"{path}: not a video, or its header is damaged ({_reason(error)})"
        ) from error
    if container.format.name in _NOT_VIDEO_FORMATS or not container.streams.video:
        container.close()
        raise UnreadableVideo(f"{path}: not a video (no video stream in it)")
    return container


def _video_stream(
    container: av.container.InputContainer, path: str | os.PathLike[str]
) -> av.VideoStream:
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise UnreadableVideo(f"{path}: no decoder for its codec")
    _check_dimensions(path, stream.codec_context.width, stream.codec_context.height)
    return stream


def _check_dimensions(path: str | os.PathLike[str], width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise UnreadableVideo(
            f"{path}: frames of {width} x {height} pixels; at most {MAX_PIXELS} pixels a frame "
            "are decoded"
        )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
