"""Predictions that need no model."""

from typing import Any

import numpy as np

from trivd_tf.base.errors import InputError


def copy_last_frame(conditioning: Any, num_predicted: int) -> np.ndarray:
    """Predicts that nothing moves any more.

    Args:
        conditioning: ``[B, Tc, H, W, C]`` of any type, Tc at least 1.
        num_predicted: frames to predict.

    Returns:
        ``[B, num_predicted, H, W, C]`` of the same type: the last conditioning frame each time.

    Raises:
        InputError: another shape, or a negative number.
    """
    conditioning = np.asarray(conditioning)
    if conditioning.ndim != 5 or conditioning.shape[1] < 1:
        raise InputError(
            f"expected conditioning frames [B, Tc >= 1, H, W, C], received {conditioning.shape}"
        )
    if num_predicted < 0:
        raise InputError(f"num_predicted must be at least 0; received {num_predicted}")
    return np.repeat(conditioning[:, -1:], num_predicted, axis=1)
