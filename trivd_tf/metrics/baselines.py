"""Predictions that need no model."""

from typing import Any

import numpy as np

from trivd_tf.base.errors import InputError


def copy_last_frame(conditioning: Any, num_predicted: int) -> np.ndarray:
    """Predict a static scene.

    Args:
        conditioning: ``[B, Tc, H, W, C]`` of any dtype, Tc at least 1.
        num_predicted: frames to predict.

    Returns:
        ``[B, num_predicted, H, W, C]`` of the same dtype: copies of the last conditioning frame.

    Raises:
        InputError: wrong shape, or a negative number of frames.
    """
    conditioning = np.asarray(conditioning)
    if conditioning.ndim != 5 or conditioning.shape[1] < 1:
        raise InputError(
            f"expected conditioning frames [B, Tc >= 1, H, W, C], received {conditioning.shape}"
        )
    if num_predicted < 0:
        raise InputError(f"num_predicted must be at least 0; received {num_predicted}")
    return np.repeat(conditioning[:, -1:], num_predicted, axis=1)
