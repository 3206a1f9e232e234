"""Clip windows: which frames of a video make a clip, and which square of each frame."""

import dataclasses

import numpy as np

from trivd_tf.base.errors import InputError


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """The clips that a model sees (architecture, section 1).

    Attributes:
      num_conditioning_frames: frames given to the model (Kinetics-600 and UCF-101: 5, BAIR: 1).
      num_predicted_frames: frames that it predicts (11, BAIR: 15).
      size: side of the square frames, in pixels. The smallest side of a video is resized to it,
        then the frame is cropped: at random in training, in the centre in evaluation.
      stride: every stride-th frame of the video is taken; 1 is "without frame skipping".
    """

    num_conditioning_frames: int = 5
    num_predicted_frames: int = 11
    size: int = 64
    stride: int = 1

    def __post_init__(self) -> None:
        require_integer("ClipSpec", "num_conditioning_frames", self.num_conditioning_frames, 1)
        require_integer("ClipSpec", "num_predicted_frames", self.num_predicted_frames, 1)
        require_integer("ClipSpec", "stride", self.stride, 1)
        require_integer("ClipSpec", "size", self.size, 8)
        if self.size % 8:
            raise InputError(
                f"ClipSpec.size must be a multiple of 8, such as 32, 64 or 128; "
                f"received {self.size}"
            )

    @property
    def num_frames(self) -> int:
        """Frames in a clip: conditioning frames, then predicted ones."""
        return self.num_conditioning_frames + self.num_predicted_frames

    @property
    def span(self) -> int:
        """Consecutive frames of the video that one clip covers."""
        return (self.num_frames - 1) * self.stride + 1

    def num_windows(self, num_video_frames: int) -> int:
        """Distinct clips in a video of that many frames, one for every frame it can start at."""
        return max(0, num_video_frames - self.span + 1)


def resized_shape(height: int, width: int, size: int) -> tuple[int, int]:
    """(height, width) once the smallest side is `size`, the aspect kept to the nearest pixel."""
    smallest = min(height, width)
    return (
        max(size, (height * size + smallest // 2) // smallest),
        max(size, (width * size + smallest // 2) // smallest),
    )


def crop_offset(free: int, position: float | None) -> int:
    """First row (or column) of a crop that leaves `free` rows over.

    Args:
      free: height (or width) less the crop's side.
      position: number in [0, 1) that picks one of the free + 1 offsets evenly; None is the centre.
    """
    return free // 2 if position is None else int(position * (free + 1))


def cut_clip(
    frames: np.ndarray,
    start: int,
    clip: ClipSpec,
    position: tuple[float, float] | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """One clip of a decoded video.

    Args:
      frames: `[N, H, W, C]`, smallest side = clip.size.
      start: frame that the clip starts at.
      clip: the window.
      position: (vertical, horizontal) numbers in [0, 1) that place the crop; None is the centre.
      out: where to put the clip; a new array when None.

    Returns:
      `[T, size, size, C]` of the type of `frames`.
    """
    vertical, horizontal = (None, None) if position is None else position
    top = crop_offset(frames.shape[1] - clip.size, vertical)
    left = crop_offset(frames.shape[2] - clip.size, horizontal)
    window = frames[
        start : start + clip.span : clip.stride,
        top : top + clip.size,
        left : left + clip.size,
    ]
    if out is None:
        return np.array(window)
    out[...] = window
    return out
