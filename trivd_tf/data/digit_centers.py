"""Locates digits in the pixels of a video, to measure motion in predictions."""

import itertools

import numpy as np

from trivd_tf.base.errors import InputError

# Darker pixels are background: the haze of a prediction must not pull the center to the middle.
_BACKGROUND = 26
_REFINEMENTS = 12


def digit_centers(video: np.ndarray, num_digits: int = 1) -> np.ndarray:
    """Estimates the centers of mass of bright digits on a dark background.

    For one digit, this is the mean position of pixels, weighted by their intensity above the
    background. For several digits, it is weighted k-means, initialized along the direction in which
    the bright pixels spread most; the centers of each frame are ordered to continue those of the
    previous frame. A frame without bright pixels gives the middle of the frame.

    Args:
      video: `[B, T, H, W, C]` uint8, or `[B, T, H, W]`.
      num_digits: number of digits in each frame.

    Returns:
      float32 `[B, T, num_digits, 2]`: (row, column) in pixels, where 0 is the center of the first
      pixel.
    """
    if video.ndim not in (4, 5) or num_digits < 1:
        raise InputError(
            f"digit centres take videos [B, T, H, W, C] and at least one digit; received shape "
            f"{video.shape} and {num_digits} digits"
        )
    grey = video.astype(np.float32)
    grey = grey.mean(axis=-1) if video.ndim == 5 else grey
    batch, time, height, width = grey.shape
    weights = np.maximum(grey - _BACKGROUND, 0).reshape(batch * time, height * width)
    rows, columns = np.divmod(np.arange(height * width), width)
    points = np.stack([rows, columns], axis=-1).astype(np.float32)
    middle = np.array([(height - 1) / 2, (width - 1) / 2], np.float32)
    mean = _weighted_mean(weights, points, middle)
    if num_digits == 1:
        return mean.reshape(batch, time, 1, 2)
    centers = _k_means(weights, points, mean, num_digits)
    return _follow(centers.reshape(batch, time, num_digits, 2))


def center_distance(predicted: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Returns the mean distance of predicted and real centers, with the best pairing per frame.

    Args:
      predicted: `[B, T, D, 2]`.
      real: the same shape.

    Returns:
      float `[B, T]`, in pixels.
    """
    if predicted.shape != real.shape:
        raise InputError(f"centres differ in shape: {predicted.shape} and {real.shape}")
    return _pairings(predicted, real)[0]


def _weighted_mean(weights: np.ndarray, points: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """Averages points `[P, 2]` with weights `[N, P]`; `fallback` where all weights are 0."""
    mass = weights.sum(axis=-1, keepdims=True)
    return np.where(mass > 0, weights @ points / np.maximum(mass, 1e-6), fallback)


def _k_means(
    weights: np.ndarray, points: np.ndarray, mean: np.ndarray, num_digits: int
) -> np.ndarray:
    """Computes centers `[N, D, 2]` from weights `[N, P]` by Lloyd's iterations."""
    offsets = points - mean[:, None]
    mass = np.maximum(weights.sum(axis=-1), 1e-6)
    covariance = np.einsum("np,npi,npj->nij", weights, offsets, offsets) / mass[:, None, None]
    values, vectors = np.linalg.eigh(covariance)
    spread = np.sqrt(np.maximum(values[:, -1:], 0)) * vectors[:, :, -1]
    begin = np.linspace(-1, 1, num_digits, dtype=np.float32)
    centers = mean[:, None] + spread[:, None] * begin[:, None]
    for _ in range(_REFINEMENTS):
        distance = np.square(points[:, None] - centers[:, None]).sum(axis=-1)
        nearest = distance.argmin(axis=-1)
        centers = np.stack(
            [
                _weighted_mean(weights * (nearest == digit), points, centers[:, digit])
                for digit in range(num_digits)
            ],
            axis=1,
        )
    return centers.astype(np.float32)


def _follow(centers: np.ndarray) -> np.ndarray:
    """Orders the centers of each frame like those of the previous frame."""
    followed = centers.copy()
    for frame in range(1, centers.shape[1]):
        _, order = _pairings(centers[:, frame], followed[:, frame - 1])
        followed[:, frame] = np.take_along_axis(centers[:, frame], order[..., None], axis=-2)
    return followed


def _pairings(moved: np.ndarray, fixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs centers `[..., D, 2]`: (mean distance `[...]`, order of `moved` `[..., D]`)."""
    orders = np.array(list(itertools.permutations(range(fixed.shape[-2]))))
    distance = np.linalg.norm(moved[..., orders, :] - fixed[..., None, :, :], axis=-1).mean(axis=-1)
    best = distance.argmin(axis=-1)
    return np.take_along_axis(distance, best[..., None], axis=-1)[..., 0], orders[best]
