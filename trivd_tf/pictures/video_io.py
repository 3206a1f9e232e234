"""Reads conditioning frames from video files; writes predicted frames as GIF, MP4 and PNG."""

import collections
import dataclasses
import fractions
import os
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import FrameSize, height_width
from trivd_tf.base.storage import whole_file
from trivd_tf.data.clips import crop_offset, require_integer
from trivd_tf.data.files.decode import decode_frames, probe
from trivd_tf.data.files.timing import plausible_rate

_WIDEST_ASPECT = 32  # the center square of a longer strip is not worth predicting
_PALETTE_PIXELS = 200_000  # enough to select 256 colors
_GIF_TICK = 0.01  # seconds; GIF delays are whole hundredths
_GIF_SHORTEST_DELAY = 2  # players slow down shorter delays to 10 frames per second


@dataclasses.dataclass(frozen=True)
class Clip:
    """Conditioning frames of a prediction, and the real frames that follow.

    Attributes:
        path: the file.
        conditioning: uint8 `[Tc, S, S, 3]`.
        continuation: uint8 `[n, S, S, 3]`, the real frames that follow, n >= 0.
        frame_rate: display rate of both in frames per second.
    """

    path: Path
    conditioning: np.ndarray
    continuation: np.ndarray
    frame_rate: float


def read_clip(
    path: str | os.PathLike[str],
    *,
    num_conditioning_frames: int,
    size: FrameSize,
    num_continuation_frames: int = 0,
    window: str = "first",
    stride: int = 1,
    fps: float | None = None,
    max_decoded_frames: int | None = None,
) -> Clip:
    """Reads the conditioning frames of a video file, processed as in evaluation.

    Frames are resized to just cover `size` (for a square, so that the smallest side is `size`) and
    center-cropped.

    Args:
        path: any container that libav reads, of any size, aspect ratio and frame rate, or a folder
            of numbered pictures.
        num_conditioning_frames: Tc.
        size: side S of the square frames, or (height, width).
        num_continuation_frames: number of real frames to read after them, if the file has them.
        window: `first` reads the first Tc frames, so that the real continuation is known; `last`
            reads the last Tc frames, so that the prediction continues the end of the file.
        stride: frame stride used in training.
        fps: frame rate to which the clip is resampled first, by its time stamps; None uses every
            coded frame once.
        max_decoded_frames: with `last`, refuse files with more frames than this.

    Raises:
        InputError: the file is missing, not a video, damaged in the frames needed, too short, too
            long, or a strip with an aspect ratio of more than 32 to 1.
    """
    path = Path(path)
    if window not in ("first", "last"):
        raise InputError(f"window must be 'first' or 'last'; received {window!r}")
    require_integer("read_clip", "num_conditioning_frames", num_conditioning_frames, 1)
    require_integer("read_clip", "num_continuation_frames", num_continuation_frames, 0)
    require_integer("read_clip", "stride", stride, 1)
    rate = _frame_rate(path, fps)
    span = (num_conditioning_frames - 1) * stride + 1
    if window == "first":
        longest = span + num_continuation_frames * stride
        frames = [
            _centre(frame, size)
            for frame in decode_frames(path, max_frames=longest, size=size, fps=fps)
        ]
        found = len(frames)
    else:
        frames, found = _last_frames(path, size, fps, span, max_decoded_frames)
    if len(frames) < span:
        needed = f"{span}" if stride == 1 else f"{span} (every {stride}th of them)"
        raise InputError(
            f"{path}: holds {found} frames, but the model conditions on {num_conditioning_frames} "
            f"and needs {needed}; give a longer clip"
        )
    taken = np.stack(frames[::stride])
    return Clip(
        path=path,
        conditioning=taken[:num_conditioning_frames],
        continuation=taken[num_conditioning_frames:],
        frame_rate=rate / stride,
    )


def _frame_rate(path: Path, fps: float | None) -> float:
    """Returns the display rate, a default if the header's is absurd. Refuses long strips."""
    info = probe(path)
    sides = sorted((info.height, info.width))
    if sides[0] * _WIDEST_ASPECT < sides[1]:
        raise InputError(
            f"{path}: frames of {info.width} x {info.height}; sides of at most "
            f"{_WIDEST_ASPECT} to 1 are read"
        )
    return plausible_rate(info.frame_rate if fps is None else fps)


def _centre(frame: np.ndarray, size: FrameSize) -> np.ndarray:
    height, width = height_width(size)
    top = crop_offset(frame.shape[0] - height, None)
    left = crop_offset(frame.shape[1] - width, None)
    return np.ascontiguousarray(frame[top : top + height, left : left + width])


def _last_frames(
    path: Path, size: FrameSize, fps: float | None, span: int, max_decoded_frames: int | None
) -> tuple[list[np.ndarray], int]:
    """Returns the last `span` frames (or fewer) and the number of frames in the file."""
    kept: collections.deque[np.ndarray] = collections.deque(maxlen=span)
    found = 0
    for frame in decode_frames(path, size=size, fps=fps):
        found += 1
        if max_decoded_frames is not None and found > max_decoded_frames:
            raise InputError(
                f"{path}: more than {max_decoded_frames} frames; give a shorter clip, or predict "
                "from its first frames"
            )
        kept.append(_centre(frame, size))
    return list(kept), found


def check_frames(frames: np.ndarray) -> np.ndarray:
    """Returns `frames`; raises `InputError` unless they are uint8 `[T >= 1, H, W, 3]`."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or not frames.size:
        raise InputError(
            f"frames must be uint8 [T, H, W, 3]; received {frames.dtype} {frames.shape}"
        )
    return frames


def upscale(frames: np.ndarray, *, smallest_side: int, method: str = "nearest") -> np.ndarray:
    """Enlarges frames by the smallest whole factor that makes all sides at least `smallest_side`.

    Args:
        frames: uint8 `[T, H, W, 3]`.
        smallest_side: in pixels; larger frames are returned unchanged.
        method: `nearest` keeps pixels visible, `bicubic` is smooth.

    Returns:
        uint8 `[T, f H, f W, 3]`.
    """
    check_frames(frames)
    filters = {"nearest": Image.Resampling.NEAREST, "bicubic": Image.Resampling.BICUBIC}
    if method not in filters:
        raise InputError(f"method must be 'nearest' or 'bicubic'; received {method!r}")
    height, width = frames.shape[1:3]
    factor = -(-smallest_side // min(height, width))
    if factor <= 1:
        return frames
    shape = (width * factor, height * factor)
    return np.stack(
        [np.asarray(Image.fromarray(frame).resize(shape, filters[method])) for frame in frames]
    )


def gif_delays(num_frames: int, frame_rate: float) -> list[int]:
    """Returns delays in 1/100 s that add up to the true duration: 3, 4, 3 for 30 per second."""
    ticks = np.round(np.arange(num_frames + 1) / frame_rate / _GIF_TICK).astype(int)
    return [max(_GIF_SHORTEST_DELAY, int(delay)) for delay in np.diff(ticks)]


def write_gif(path: str | os.PathLike[str], frames: np.ndarray, *, frame_rate: float) -> Path:
    """Writes a looping GIF with one palette for all frames.

    Args:
        path: output file, replaced atomically.
        frames: uint8 `[T, H, W, 3]`.
        frame_rate: frames per second; above 50 the GIF plays at 50.

    Raises:
        RunError: the file cannot be written.
    """
    check_frames(frames)
    palette = _palette(frames)
    images = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
        for frame in frames
    ]
    delays = [10 * delay for delay in gif_delays(len(frames), frame_rate)]
    with whole_file(path) as partial:
        images[0].save(
            partial,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=delays,
            loop=0,
            disposal=1,
        )
    return Path(path)


def _palette(frames: np.ndarray) -> Image.Image:
    """Selects 256 colors for all frames together: a single palette does not flicker."""
    pixels = frames.reshape(-1, 3)
    step = -(-len(pixels) // _PALETTE_PIXELS)
    # An odd step does not select the same columns of every row.
    pixels = pixels[:: step + 1 - step % 2]
    return Image.fromarray(pixels[None]).quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=2)


def write_mp4(
    path: str | os.PathLike[str], frames: np.ndarray, *, frame_rate: float, quality: int = 16
) -> Path:
    """Writes H.264 that browsers and phones play (yuv420p, BT.709, index at the front).

    Args:
        path: output file, replaced atomically.
        frames: uint8 `[T, H, W, 3]`; an odd last row or column is repeated once.
        frame_rate: frames per second.
        quality: x264's constant rate factor; smaller values give better quality and larger files.

    Raises:
        RunError: the file cannot be written.
    """
    check_frames(frames)
    odd = [(0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)]
    frames = np.pad(frames, odd, mode="edge")
    rate = fractions.Fraction(frame_rate).limit_denominator(1001)
    with whole_file(path) as partial:
        options = {"movflags": "+faststart"}
        with av.open(str(partial), "w", format="mp4", options=options) as container:
            stream = container.add_stream("libx264", rate=rate)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            stream.options = {"crf": str(quality), "preset": "medium"}
            context = stream.codec_context
            context.color_range = ColorRange.MPEG
            context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
            for image in frames:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
                frame = frame.reformat(
                    format="yuv420p",
                    dst_colorspace=Colorspace.ITU709,
                    dst_color_range=ColorRange.MPEG,
                )
                for packet in stream.encode(frame):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
    return Path(path)


def write_png(path: str | os.PathLike[str], image: np.ndarray) -> Path:
    """Writes one picture, uint8 `[H, W, 3]`; raises `RunError` if it cannot be written."""
    check_frames(np.asarray(image)[None])
    with whole_file(path) as partial:
        Image.fromarray(image).save(partial, format="PNG", optimize=True)
    return Path(path)
