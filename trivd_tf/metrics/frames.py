"""Per-frame metrics (PSNR, SSIM, summed errors), and the choice of the best prediction."""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from trivd_tf.base.errors import InputError

SSIM_WINDOW = 11
# Pixels per chunk, which bounds the memory of SSIM's intermediate images.
_CHUNK_PIXELS = 2**22


def psnr(real: Any, predicted: Any, *, ceiling: float = math.inf) -> np.ndarray:
    """Compute the peak signal-to-noise ratio of each frame, ``10 log10(255^2 / MSE)``.

    Args:
        real, predicted: uint8 ``[B, T, H, W, 3]``.
        ceiling: upper bound of each frame's value. Equal frames have an infinite PSNR, which makes
            any mean over them infinite; a finite ceiling keeps such means usable.

    Returns:
        float64 ``[B, T]`` in dB; the mean squared error is over a frame's pixels and channels.

    Raises:
        InputError: wrong shapes or dtypes.

    Example:
        >>> black = np.zeros([1, 2, 16, 16, 3], np.uint8)
        >>> psnr(black, black + 51).round(3)  # a fifth of the range: 20 log10(5)
        array([[13.979, 13.979]])
    """
    real, predicted = _checked(real, predicted)
    error = np.empty(real.shape[:2])
    for index, (a, b) in enumerate(zip(real, predicted, strict=True)):
        difference = a.astype(np.int32) - b.astype(np.int32)
        error[index] = np.mean(np.square(difference), axis=(1, 2, 3), dtype=np.float64)
    with np.errstate(divide="ignore"):
        decibels = 10.0 * np.log10(255.0**2 / error)
    return np.minimum(decibels, ceiling)


def ssim(real: Any, predicted: Any) -> np.ndarray:
    """Compute the structural similarity of each frame (Wang et al., 2004).

    Settings: Gaussian window of 11 x 11 pixels with sigma 1.5, K1 = 0.01, K2 = 0.03, data range
    255, population covariances, only windows wholly inside the frame, each color channel
    separately, then the mean over positions and channels. These are the settings of
    `tf.image.ssim`, and of scikit-image's ``structural_similarity(gaussian_weights=True,
    sigma=1.5, data_range=255, use_sample_covariance=False, channel_axis=-1)``.

    Args:
        real, predicted: uint8 ``[B, T, H, W, 3]``, H and W at least 11.

    Returns:
        float64 ``[B, T]``, at most 1.

    Raises:
        InputError: wrong shapes or dtypes.

    Example:
        >>> black = np.zeros([1, 2, 16, 16, 3], np.uint8)
        >>> ssim(black, black).round(3)
        array([[1., 1.]])
    """
    real, predicted = _checked(real, predicted)
    batch, steps, height, width, channels = real.shape
    if min(height, width) < SSIM_WINDOW:
        raise InputError(
            f"SSIM takes frames of at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels, received "
            f"{height} x {width}"
        )
    frames_a = real.reshape(-1, height, width, channels)
    frames_b = predicted.reshape(-1, height, width, channels)
    chunk = max(1, _CHUNK_PIXELS // (height * width))
    scores = [
        tf.image.ssim(
            tf.constant(frames_a[start : start + chunk]),
            tf.constant(frames_b[start : start + chunk]),
            max_val=255,
            filter_size=SSIM_WINDOW,
        ).numpy()
        for start in range(0, len(frames_a), chunk)
    ]
    flat = np.concatenate(scores) if scores else np.zeros(0)
    return flat.reshape(batch, steps).astype(np.float64)


def mse_sum(real: Any, predicted: Any) -> np.ndarray:
    """Compute the squared error of each frame in [0, 1], summed over pixels and channels.

    The mean over frames and videos is the MSE of OpenSTL's tables. It grows with the frame size, so
    compare values of one frame size only.

    Args:
        real, predicted: uint8 ``[B, T, H, W, 3]``.

    Returns:
        float64 ``[B, T]``.

    Raises:
        InputError: wrong shapes or dtypes.
    """
    return _error_sums(real, predicted, np.square)


def mae_sum(real: Any, predicted: Any) -> np.ndarray:
    """Compute the absolute error of each frame, summed over pixels and channels; see `mse_sum`."""
    return _error_sums(real, predicted, np.abs)


def _error_sums(real: Any, predicted: Any, of_difference: Any) -> np.ndarray:
    real, predicted = _checked(real, predicted)
    sums = np.empty(real.shape[:2])
    for index, (a, b) in enumerate(zip(real, predicted, strict=True)):
        difference = (a.astype(np.float64) - b) / 255.0
        sums[index] = of_difference(difference).sum(axis=(1, 2, 3))
    return sums


def best_of(scores: Any) -> np.ndarray:
    """Return, per sample, the scores of the draw with the best mean over time.

    See docs/architecture.md, section 7.

    The mean of the result never decreases with more draws.

    Args:
        scores: ``[l, B, T]``, l draws for each of B samples; higher is better.

    Returns:
        ``[B, T]``.

    Raises:
        InputError: wrong shape, or NaN.
    """
    scores = np.asarray(scores)
    if scores.ndim != 3 or 0 in scores.shape:
        raise InputError(f"expected scores [l >= 1, B, T], received shape {scores.shape}")
    if np.isnan(scores).any():
        raise InputError("scores hold NaN, of which none is best")
    best = scores.mean(axis=2).argmax(axis=0)
    return np.take_along_axis(scores, best[None, :, None], axis=0)[0]


def _checked(real: Any, predicted: Any) -> tuple[np.ndarray, np.ndarray]:
    real, predicted = np.asarray(real), np.asarray(predicted)
    for videos in (real, predicted):
        if videos.ndim != 5 or videos.shape[-1] != 3 or videos.dtype != np.uint8:
            raise InputError(
                f"expected uint8 videos [B, T, H, W, 3], received {videos.dtype} of shape "
                f"{videos.shape}"
            )
    if real.shape != predicted.shape:
        raise InputError(
            f"real and predicted videos differ in shape: {real.shape} and {predicted.shape}"
        )
    return real, predicted
