"""Clip windows: the frames of a video that form a clip, and the crop of each frame."""

import dataclasses

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import FrameSize, checked_model_size, height_width


def require_integer(owner: str, field: str, value: object, minimum: int) -> None:
    """Raises `InputError` unless `value` is an integer of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < minimum:
        raise InputError(
            f"{owner}.{field} must be an integer of at least {minimum}; received {value!r}"
        )


def require_fraction(owner: str, field: str, value: object) -> None:
    """Raises `InputError` unless `value` is a number strictly between 0 and 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise InputError(f"{owner}.{field} must lie between 0 and 1; received {value!r}")


def require_rate(owner: str, field: str, value: object) -> None:
    """Raises `InputError` unless `value` is None or a frame rate above 0 and up to 1000."""
    if value is None:
        return
    number = isinstance(value, int | float | np.integer | np.floating)
    if isinstance(value, bool) or not number or not 0 < float(str(value)) <= 1000:
        raise InputError(
            f"{owner}.{field} must be None or a number of frames a second above 0, at most 1000; "
            f"received {value!r}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """Definition of a model's clips (docs/architecture.md, section 1).

    Attributes:
      num_conditioning_frames: conditioning frames (Kinetics-600 and UCF-101: 5, BAIR: 1).
      num_predicted_frames: predicted frames (11, BAIR: 15).
      size: side of the square frames, in pixels, or (height, width); multiples of 8. A video is
        resized, with its aspect ratio preserved, to just cover the frame (for a square, so that its
        smallest side is `size`), then cropped: at random in training, in the center in evaluation.
        (64, 64) is stored as 64.
      stride: use every stride-th frame of the video; 1 is "without frame skipping".
      fps: frame rate to which a video is resampled, by its time stamps, before `stride` is applied,
        so that all videos play at the same speed; None uses every coded frame.
    """

    num_conditioning_frames: int = 5
    num_predicted_frames: int = 11
    size: FrameSize = 64
    stride: int = 1
    fps: float | None = None

    def __post_init__(self) -> None:
        require_integer("ClipSpec", "num_conditioning_frames", self.num_conditioning_frames, 1)
        require_integer("ClipSpec", "num_predicted_frames", self.num_predicted_frames, 1)
        require_integer("ClipSpec", "stride", self.stride, 1)
        size = checked_model_size("ClipSpec.size", self.size)
        require_rate("ClipSpec", "fps", self.fps)
        object.__setattr__(self, "size", size)  # the canonical form; the class is frozen

    @property
    def height(self) -> int:
        """Height of a frame."""
        return height_width(self.size)[0]

    @property
    def width(self) -> int:
        """Width of a frame."""
        return height_width(self.size)[1]

    @property
    def num_frames(self) -> int:
        """Number of frames in a clip: conditioning and predicted frames."""
        return self.num_conditioning_frames + self.num_predicted_frames

    @property
    def span(self) -> int:
        """Number of consecutive video frames that one clip covers."""
        return (self.num_frames - 1) * self.stride + 1

    def num_windows(self, num_video_frames: int) -> int:
        """Returns the number of distinct clips in a video, one for each possible first frame."""
        return max(0, num_video_frames - self.span + 1)


def identity(clip: ClipSpec) -> dict[str, object]:
    """Returns the fields that affect a clip's pixels, for keys; disabled fields are omitted."""
    fields = dataclasses.asdict(clip)
    return {name: value for name, value in fields.items() if value is not None}


def resized_shape(height: int, width: int, size: FrameSize) -> tuple[int, int]:
    """Returns the shape of a frame resized to just cover `size`, with its aspect ratio preserved.

    Args:
      height, width: shape of the frame.
      size: size to cover; for a square of side S, the smallest side becomes S.

    Returns:
      (height, width), rounded to pixels: one equals that of `size`, the other is at least as large.
    """
    rows, columns = height_width(size)
    if rows * width >= columns * height:  # the frame is wider: its height determines the scale
        return rows, max(columns, (width * rows + height // 2) // height)
    return max(rows, (height * columns + width // 2) // width), columns


def crop_offset(free: int, position: float | None) -> int:
    """Returns the first row (or column) of a crop.

    Args:
      free: height (or width) minus that of the crop.
      position: number in [0, 1) that selects one of the free + 1 offsets uniformly; None is the
        center.
    """
    return free // 2 if position is None else int(position * (free + 1))


def cut_clip(
    frames: np.ndarray,
    start: int,
    clip: ClipSpec,
    position: tuple[float, float] | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Cuts one clip out of a decoded video.

    Args:
      frames: `[N, H, W, C]`, at least as high and wide as the clip (`resized_shape`).
      start: first frame of the clip.
      clip: the window.
      position: (vertical, horizontal) numbers in [0, 1) that place the crop; None is the center.
      out: output array; None for a new array.

    Returns:
      `[T, clip.height, clip.width, C]` of the type of `frames`.
    """
    return crop_clip(frames[start : start + clip.span : clip.stride], clip, position, out)


def crop_clip(
    frames: np.ndarray,
    clip: ClipSpec,
    position: tuple[float, float] | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """As `cut_clip`, for frames `[T, H, W, C]` that already are those of the clip."""
    vertical, horizontal = (None, None) if position is None else position
    top = crop_offset(frames.shape[1] - clip.height, vertical)
    left = crop_offset(frames.shape[2] - clip.width, horizontal)
    window = frames[:, top : top + clip.height, left : left + clip.width]
    if out is None:
        return np.array(window)
    out[...] = window
    return out
