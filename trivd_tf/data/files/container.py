"""Reads one video file with libav: the stream that a player shows, and its completeness."""

import os
from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType

import av
from av.codec.codec import UnknownCodecError
from av.stream import Disposition

from trivd_tf.base.errors import InputError
from trivd_tf.data.files.formats import gif
from trivd_tf.data.files.interlacing import Deinterlacer
from trivd_tf.data.files.orientation import Orientation, OrientationReader

MAX_PIXELS = 2**26  # a frame of 8192 x 8192, 200 MB as RGB

# libav reads text files as terminal recordings.
_NOT_VIDEO_FORMATS = frozenset({"tty"})
# Pictures that belong to an audio file or to a list of chapters.
_NO_VIDEO = int(Disposition.attached_pic | Disposition.timed_thumbnails)
# libav's own decoders of these codecs drop the alpha channel.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
# Counts from here on are placeholders for an unknown number of frames (AVI, IVF).
_NO_COUNT = 2**30
# A pixel aspect ratio beyond this indicates a damaged header.
_WIDEST_PIXEL = 8

# A frame as decoded by libav, and the orientation to apply to it.
Decoded = tuple[av.VideoFrame, Orientation]


class UnreadableVideo(InputError):
    """The file's content is invalid: not a video, corrupt, truncated, or without a frame."""


def check_dimensions(path: str | os.PathLike[str], width: int, height: int) -> None:
    """Raises `UnreadableVideo` if a frame has more than `MAX_PIXELS` pixels."""
    if width * height > MAX_PIXELS:
        raise UnreadableVideo(
            f"{path}: frames of {width} x {height} pixels; at most {MAX_PIXELS} pixels a frame "
            "are decoded"
        )


class VideoFile:
    """An open local video file; other files that it refers to are never opened.

    Args:
      path: the file.

    Attributes:
      container: libav's container.
      stream: the video stream that a player shows, never a cover picture.
      pixel_aspect: width of a pixel divided by its height, a `Fraction`.
      frame_rate: frames per second according to the header, 0.0 if not stated.
      interlaced: whether any frame has been deinterlaced so far.
      corrupt_start: number of skipped frames because the file begins between key frames.
      stays_opaque: whether all frames after an opaque one are opaque too, among those read so
        far; False if the format does not state it.

    Raises:
      InputError: the file is missing or not readable.
      UnreadableVideo: the file is not a video, or its frames are larger than `MAX_PIXELS`.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self._path = path
        self.container = _open(path)
        try:
            self.stream = _shown_stream(self.container, path)
            context = self.stream.codec_context
            check_dimensions(path, context.width, context.height)
        except BaseException:
            self.container.close()
            raise
        self.pixel_aspect = _pixel_aspect(self.stream)
        self.frame_rate = float(self.stream.average_rate or self.stream.guessed_rate or 0)
        self.corrupt_start = 0
        self.interlaced = False
        self.stays_opaque = self.container.format.name == "gif"

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.container.close()

    def frames(self) -> Iterator[Decoded]:
        """Yields every frame in display order; raises `UnreadableVideo` at the first damage.

        This method keeps no reference to a frame, and callers should not either: libav then decodes
        into memory that is still in the processor's cache, a few percent faster.
        """
        # Decoding files in parallel uses the cores better than threads within one codec.
        self.stream.thread_type = "NONE"
        end = _End(self.stream)
        weave = Deinterlacer()
        orientation = OrientationReader()
        count = 0
        try:
            for frame in self._decoded(end):
                self.interlaced = self.interlaced or frame.interlaced_frame
                for whole in weave(frame):
                    check_dimensions(self._path, whole.width, whole.height)
                    yield whole, orientation(whole)
                    count += 1
                    del whole
                del frame
            for whole in weave.flush():
                yield whole, orientation(whole)
                count += 1
        except (av.FFmpegError, ValueError) as error:
            where = f"after frame {count}" if count else "before the first frame"
            raise UnreadableVideo(
                f"{self._path}: corrupt or truncated {where} ({_reason(error)})"
            ) from error
        except _Corrupt:
            raise UnreadableVideo(
                f"{self._path}: corrupt or truncated after frame {count}"
            ) from None
        if not count:
            raise UnreadableVideo(f"{self._path}: holds no frame that can be decoded")
        end.check(self._path, self.container, count)

    def _decoded(self, end: "_End") -> Iterator[av.VideoFrame]:
        decoder = _alpha_decoder(self.stream)
        begun = False  # whether a key frame has been seen
        for packet in self.container.demux(self.stream):
            end.saw_packet(packet)
            if self.stays_opaque and packet.size:
                self.stays_opaque = gif.keeps_opaque(memoryview(packet), first=not begun)
            begun = begun or packet.is_keyframe
            try:
                frames = packet.decode() if decoder is None else decoder.decode(packet)
            except av.InvalidDataError:
                # A stream that was recorded from the middle (broadcast) begins with frames that
                # cannot be decoded, because their reference frames are missing.
                if begun:
                    raise
                self.corrupt_start += 1
                continue
            frames.reverse()
            while frames:
                if frames[-1].is_corrupt or packet.is_corrupt:
                    if begun:
                        raise _Corrupt
                    self.corrupt_start += 1
                    frames.pop()
                else:
                    yield frames.pop()


class _Corrupt(Exception):
    """libav returned a frame that it marked as damaged."""


class _End:
    """Distinguishes a complete file from one that was truncated between two frames."""

    def __init__(self, stream: av.VideoStream) -> None:
        self._stream = stream
        self._last_time = 0.0
        # Edit lists hide packets: the header counts them, the index of shown frames does not.
        indexed = len(stream.index_entries) if "mp4" in stream.container.format.name else 0
        promised = stream.frames if stream.frames < _NO_COUNT else 0
        self._expected = min(promised, indexed) if indexed else promised
        self._hidden = 0

    def saw_packet(self, packet: av.Packet) -> None:
        self._hidden += packet.is_discard
        if packet.pts is not None and packet.time_base is not None:
            time = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            self._last_time = max(self._last_time, time)

    def check(
        self,
        path: str | os.PathLike[str],
        container: av.container.InputContainer,
        count: int,
    ) -> None:
        """Raises `UnreadableVideo` if the header states clearly more frames than were found."""
        expected = self._expected - self._hidden
        # Some intact files count frames that are never shown (packed bit streams).
        if expected * 0.95 - 2 > count:
            raise UnreadableVideo(
                f"{path}: truncated, {count} of the {expected} frames it should hold"
            )
        duration = _matroska_duration(self._stream.metadata)
        if duration - self._last_time > max(0.1, 0.02 * duration):
            raise UnreadableVideo(
                f"{path}: truncated, {self._last_time:.2f} of the {duration:.2f} seconds it "
                "should last"
            )
        if container.format.name == "gif" and not gif.is_whole(path):
            raise UnreadableVideo(f"{path}: truncated after frame {count}")


def _matroska_duration(metadata: dict[str, str]) -> float:
    """Returns the seconds of Matroska's DURATION tag, such as 00:00:02.600000000; 0 if missing."""
    try:
        hours, minutes, seconds = metadata.get("DURATION", "").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return 0.0


def _open(path: str | os.PathLike[str]) -> av.container.InputContainer:
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file")
    if not os.path.isfile(path):
        raise InputError(f"{path}: not a file; choose a video file or a folder of pictures")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: may not be read; check its permissions")
    try:
        # "file:" prevents a colon in the name from being read as a protocol.
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


def _shown_stream(
    container: av.container.InputContainer, path: str | os.PathLike[str]
) -> av.VideoStream:
    """Returns the stream that libav's own player shows, except cover pictures and thumbnails."""
    videos = [s for s in container.streams.video if not int(s.disposition) & _NO_VIDEO]
    if not videos:
        raise UnreadableVideo(f"{path}: not a video (its only picture is a cover)")
    stream = videos[0]
    if len(videos) > 1:
        best = container.streams.best("video")
        stream = next((s for s in videos if best is not None and s.index == best.index), stream)
    if stream.codec_context is None:
        raise UnreadableVideo(f"{path}: no decoder for its codec")
    return stream


def _pixel_aspect(stream: av.VideoStream) -> Fraction:
    aspect = stream.sample_aspect_ratio
    if not aspect or not Fraction(1, _WIDEST_PIXEL) <= aspect <= _WIDEST_PIXEL:
        return Fraction(1)
    return aspect


def _alpha_decoder(stream: av.VideoStream) -> av.VideoCodecContext | None:
    """Returns a decoder that also reads a WebM's alpha; None if the default one suffices."""
    name = _ALPHA_DECODERS.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return None
    try:
        decoder = av.VideoCodecContext.create(name, "r")
    except UnknownCodecError:
        return None  # this build of libav has no such decoder: colors only
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    return decoder


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
