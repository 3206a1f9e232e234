"""Pixel conversion: bytes in [0, 255] outside the networks, floats in [-1, 1] inside them.

    float = byte / 127.5 - 1        byte = nearest integer to (float + 1) * 127.5

A float halfway between two bytes is rounded to the even one (IEEE 754's default, as in `np.rint`
and `tf.round`); floats outside [-1, 1] become 0 or 255. A round trip leaves bytes unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

_HALF_RANGE = 127.5


def to_float(pixels: np.ndarray) -> np.ndarray:
    """Converts uint8 of any shape to float32 in [-1, 1]."""
    return np.asarray(pixels, np.float32) / np.float32(_HALF_RANGE) - np.float32(1.0)


def to_bytes(pixels: Any) -> np.ndarray:
    """Converts floats in [-1, 1] of any shape and precision to the nearest uint8."""
    scaled = (np.asarray(pixels, np.float32) + np.float32(1.0)) * np.float32(_HALF_RANGE)
    return np.rint(np.clip(scaled, 0.0, 255.0)).astype(np.uint8)


def float_tensor(pixels: tf.Tensor, dtype: Any = "float32") -> tf.Tensor:
    """As `to_float`, for tensors in eager and compiled code; computes in `dtype`."""
    import tensorflow as tf

    return tf.cast(pixels, dtype) / _HALF_RANGE - 1.0


def byte_tensor(pixels: tf.Tensor) -> tf.Tensor:
    """As `to_bytes`, for float32 tensors in eager and compiled code."""
    import tensorflow as tf

    return tf.cast(tf.round(tf.clip_by_value((pixels + 1.0) * _HALF_RANGE, 0.0, 255.0)), tf.uint8)
