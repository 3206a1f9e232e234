"""Decodes a video to RGB frames: any container, codec and pixel format of libav, and pictures.

All readers of videos (training, preparation, prediction, evaluation, the demo) use
`decode_frames`.
"""

import dataclasses
import itertools
import os
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import PIL

from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import FrameSize, checked_size
from trivd_tf.data.clips import require_integer, require_rate, resized_shape
from trivd_tf.data.files import arrays, timing
from trivd_tf.data.files.colour import BACKGROUND, RgbConverter
from trivd_tf.data.files.container import Decoded, UnreadableVideo, VideoFile
from trivd_tf.data.files.stills import (
    AnimatedPicture,
    PictureFolder,
    is_animated_webp,
    is_transparent_avif,
)

__all__ = [
    "DECODING_RULES",
    "UnreadableVideo",
    "VideoInfo",
    "decode_frames",
    "is_video",
    "open_video",
    "probe",
]

# Everything that affects pixels besides the file and the arguments; part of the key of cached
# frames. Increment the number when a change here changes pixels.
DECODING_RULES = (
    f"swscale bicubic 2, background {BACKGROUND}, av {av.__version__}, pillow {PIL.__version__}"
)


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """Information in a file's header.

    Attributes:
      height: height of a coded frame, before the display rotation.
      width: width of a coded frame.
      frame_rate: frames per second, 0.0 if not stated.
      codec: libav's name of the codec.
    """

    height: int
    width: int
    frame_rate: float
    codec: str


def open_video(path: str | os.PathLike[str]) -> VideoFile | PictureFolder | AnimatedPicture:
    """Opens a video file or a folder of numbered pictures; a context manager.

    Raises:
      InputError: the path is missing or not readable.
      UnreadableVideo: the path is not a video.
    """
    if os.path.isdir(path):
        return PictureFolder(path)
    if is_animated_webp(path) or is_transparent_avif(path):
        return AnimatedPicture(path)
    return VideoFile(path)


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Reads the header of a video; raises `InputError` as `decode_frames` does."""
    if arrays.parse(path) is not None:
        stored = arrays.find_videos(path)[0]
        return VideoInfo(stored.height, stored.width, 0.0, "array")
    with open_video(path) as video:
        if isinstance(video, VideoFile):
            context = video.stream.codec_context
            return VideoInfo(context.height, context.width, video.frame_rate, context.name)
        if isinstance(video, AnimatedPicture):
            return VideoInfo(video.height, video.width, video.frame_rate, video.codec)
        first = probe(os.path.join(path, video.names[0]))
        return dataclasses.replace(first, frame_rate=0.0)


def is_video(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file has the header of a video; its frames may still be damaged."""
    try:
        probe(path)
    except InputError:
        return False
    return True


def decode_frames(
    path: str | os.PathLike[str],
    *,
    max_frames: int | None = None,
    size: FrameSize | None = None,
    fps: float | None = None,
) -> Iterator[np.ndarray]:
    """Yields the frames of a video as a player shows them, in display order.

    The display matrix in the file's metadata is applied (rotation, mirroring), non-square pixels
    are scaled to square ones, interlaced frames are deinterlaced, transparent ones are composited
    over black, and high dynamic range is tone-mapped. Any pixel format and bit depth becomes 8-bit
    RGB. See docs/data.md.

    Args:
      path: a file, a folder of numbered pictures, or a video of an array file (`arrays`).
      max_frames: maximum number of frames; later frames are not read, so damage there is not
        detected.
      size: smallest side of the resized frames, or the (height, width) that they just cover; the
        aspect ratio is preserved, with antialiasing. None keeps the size.
      fps: frames per second of playing time, selected by time stamps (`timing.at_rate`); pictures
        in a folder and arrays have no time stamps and are all used. None yields every coded frame
        once, regardless of its time stamp.

    Yields:
      uint8 `[H, W, 3]`, all of the first frame's shape.

    Raises:
      InputError: at the first `next`, the file is missing or not readable.
      UnreadableVideo: the file is not a video, is damaged or truncated, holds no frame, or has
        frames of more than `container.MAX_PIXELS` pixels. Frames before the damage are yielded
        first.
    """
    if max_frames is not None:
        require_integer("decode_frames", "max_frames", max_frames, 1)
    if size is not None:
        size = checked_size("decode_frames.size", size, minimum=1)
    require_rate("decode_frames", "fps", fps)
    if arrays.parse(path) is not None:
        yield from itertools.islice(arrays.frames_of(path, size), max_frames)
        return
    with open_video(path) as video:
        convert = _Converter(size, video.pixel_aspect, repeats=fps is not None)
        frames = video.frames()
        if fps is not None and not isinstance(video, PictureFolder):
            frames = timing.at_rate(frames, fps, nominal_rate=video.frame_rate)
        count = 0
        for decoded in frames:  # keep no reference to it, see VideoFile.frames
            stays_opaque = isinstance(video, VideoFile) and video.stays_opaque
            image = convert(decoded, stays_opaque=stays_opaque)
            del decoded
            yield image
            count += 1  # noqa: SIM113, enumerate would keep the frame
            if count == max_frames:
                return


class _Converter:
    """Converts decoded frames to RGB arrays of one shape."""

    def __init__(self, size: FrameSize | None, pixel_aspect: Fraction, *, repeats: bool):
        self._size = size
        self._pixel_aspect = pixel_aspect
        self._shape: tuple[int, int] | None = None
        self._to_rgb = RgbConverter()
        self._repeats = repeats
        self._last: Decoded | None = None
        self._image: np.ndarray | None = None

    def __call__(self, decoded: Decoded, *, stays_opaque: bool) -> np.ndarray:
        # At a target rate, a frame that is shown for a long time is repeated.
        if decoded is self._last and self._image is not None:
            return self._image
        frame, orientation = decoded
        if self._shape is None:
            shape = shown_shape(frame.height, frame.width, self._pixel_aspect)
            if orientation.transposed:
                shape = shape[::-1]
            self._shape = shape if self._size is None else resized_shape(*shape, self._size)
        height, width = self._shape[::-1] if orientation.transposed else self._shape
        image = orientation.apply(self._to_rgb(frame, height, width, stays_opaque=stays_opaque))
        # Kept only in this case: libav decodes faster into memory that was just released.
        if self._repeats:
            self._last, self._image = decoded, image
        return image


def shown_shape(height: int, width: int, pixel_aspect: Fraction) -> tuple[int, int]:
    """Returns (height, width) of a frame in square pixels, before its orientation is applied."""
    return height, max(1, round(width * pixel_aspect))
