"""What reading an item of a plan gives."""

import dataclasses

import numpy as np
from PIL import Image

from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import FrameSize
from trivd_tf.data.clips import resized_shape


@dataclasses.dataclass(frozen=True)
class Video:
    """Frames of one item: uint8 `[N, H, W, 3]` that just cover the job's size."""

    frames: np.ndarray
    frame_rate: float


Result = Video | InputError


def resized(frames: np.ndarray, size: FrameSize) -> np.ndarray:
    """To just cover `size`, antialiased bicubic; frames that do so already stay as they are."""
    height, width = resized_shape(frames.shape[1], frames.shape[2], size)
    if (height, width) == frames.shape[1:3]:
        return np.ascontiguousarray(frames)
    shape = (width, height)
    return np.stack(
        [
            np.asarray(Image.fromarray(frame).resize(shape, Image.Resampling.BICUBIC))
            for frame in frames
        ]
    )
