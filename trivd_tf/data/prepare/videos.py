"""Result of reading an item of a plan."""

import dataclasses

import numpy as np

from trivd_tf.base.errors import InputError


@dataclasses.dataclass(frozen=True)
class Video:
    """Frames of one item, uint8 `[N, H, W, 3]`, which just cover the job's size."""

    frames: np.ndarray
    frame_rate: float


Result = Video | InputError
