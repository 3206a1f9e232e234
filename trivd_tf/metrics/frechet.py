"""Frechet distance between Gaussians fitted to two sets of vectors.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule" (2017), Eq. 6, in float64::

    |m_a - m_b|^2 + Tr(C_a + C_b - 2 (C_a C_b)^(1/2))

A Gaussian is stored as its mean and a factor F with C = F^T F. Then Tr (C_a C_b)^(1/2) is the sum
of the singular values of F_a F_b^T, so no matrix square root is needed. Fewer samples than
dimensions need no special case, the result is symmetric, and it cannot be negative.
"""

import dataclasses
from typing import Any

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.metrics.moments import StreamedMoments

# Divisors of a covariance: N - 1 (the reference code) or N (StyleGAN-V, NVIDIA's FID).
COVARIANCES = ("unbiased", "biased")
# Vectors in memory at once.
_ROWS = 8192


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """A mean ``[D]`` and a factor ``[R, D]`` with the covariance ``factor.T @ factor``."""

    mean: np.ndarray
    factor: np.ndarray

    @property
    def variance(self) -> float:
        """Trace of the covariance."""
        return float(np.sum(self.factor**2))


def fit(activations: Any, covariance: str = "unbiased", counts: Any = None) -> Gaussian:
    """Fit a Gaussian to vectors in memory.

    Args:
        activations: ``[N, D]``, finite.
        covariance: one of `COVARIANCES`.
        counts: ``[N]``, multiplicity of each vector (a bootstrap sample); None: one each.

    Raises:
        InputError: fewer than two vectors, or an unknown covariance.
    """
    counts = np.ones(len(activations)) if counts is None else np.asarray(counts, np.float64)
    if len(activations) > _ROWS:
        return _fit_in_pieces(activations, counts, covariance)
    chosen = counts > 0
    activations, counts = np.asarray(activations, np.float64)[chosen], counts[chosen]
    total = counts.sum()
    mean = counts @ activations / total
    factor = activations - mean
    factor *= np.sqrt(counts / _divisor(total, covariance))[:, None]
    if len(factor) > factor.shape[1]:
        factor = np.linalg.qr(factor, mode="r")
    return Gaussian(mean, factor)


def _fit_in_pieces(activations: Any, counts: np.ndarray, covariance: str) -> Gaussian:
    """Run `fit` on many vectors, possibly in a file, a number of rows at a time."""
    total, dim = counts.sum(), activations.shape[1]
    pieces = [slice(start, start + _ROWS) for start in range(0, len(counts), _ROWS)]
    mean = sum(counts[piece] @ np.asarray(activations[piece], np.float64) for piece in pieces)
    mean = mean / total
    scatter = np.zeros((dim, dim))
    for piece in pieces:
        centred = np.asarray(activations[piece], np.float64) - mean
        scatter += centred.T @ (counts[piece, None] * centred)
    return Gaussian(mean, _factor(scatter / _divisor(total, covariance)))


def fit_moments(moments: StreamedMoments, covariance: str = "unbiased") -> Gaussian:
    """Return the Gaussian of accumulated moments."""
    scale = (moments.count - 1) / _divisor(moments.count, covariance)
    return Gaussian(moments.mean.copy(), _factor(moments.covariance * scale))


def _factor(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T


def distance(a: Gaussian, b: Gaussian) -> float:
    """Return the Frechet distance: 0 for equal Gaussians at any scale, never negative.

    With the singular value decomposition F_a F_b^T = U S V^T, the covariance term is
    |F_a - U V^T F_b|^2, a sum of squares, which keeps its precision if the two are similar.
    """
    if len(a.factor) < len(b.factor):
        a, b = b, a
    left, _, right = np.linalg.svd(a.factor @ b.factor.T, full_matrices=False)
    spread = np.sum((a.factor - left @ (right @ b.factor)) ** 2)
    return float(spread + np.sum((a.mean - b.mean) ** 2))


def quick_distance(a: Gaussian, b: Gaussian) -> float:
    """Compute `distance` from singular values: several times faster, off by 1e-13 variance."""
    root_trace = np.linalg.svd(a.factor @ b.factor.T, compute_uv=False).sum()
    spread = a.variance + b.variance - 2.0 * root_trace
    return float(max(0.0, spread + np.sum((a.mean - b.mean) ** 2)))


def check_activations(activations_a: Any, activations_b: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both sets in float64.

    Raises:
        InputError: not ``[N >= 2, D]`` and ``[M >= 2, D]``, or values that are not finite.
    """
    a, b = (np.asarray(activations, np.float64) for activations in (activations_a, activations_b))
    if any(x.ndim != 2 or len(x) < 2 for x in (a, b)) or a.shape[1] != b.shape[1]:
        raise InputError(
            "a distance between sets takes activations [N >= 2, D] and [M >= 2, D], received "
            f"shapes {a.shape} and {b.shape}"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("a distance between sets takes finite activations, received NaN or inf")
    return a, b


def frechet_distance(
    activations_a: Any, activations_b: Any, *, covariance: str = "unbiased"
) -> float:
    """Compute the Frechet distance between Gaussians fitted to two sets of vectors.

    Args:
        activations_a, activations_b: ``[N, D]`` and ``[M, D]``, N and M at least 2; computed in
            float64 for any dtype.
        covariance: ``unbiased`` divides by N - 1, ``biased`` by N.

    Returns:
        0 or more; 0 for a set and itself.

    Raises:
        InputError: wrong shapes, or values that are not finite.
    """
    a, b = check_activations(activations_a, activations_b)
    return distance(fit(a, covariance), fit(b, covariance))


def frechet_distance_from_moments(
    a: StreamedMoments, b: StreamedMoments, *, covariance: str = "unbiased"
) -> float:
    """Compute `frechet_distance` from the accumulated moments of both sets."""
    if a.dim != b.dim:
        raise InputError(f"moments of dimensions {a.dim} and {b.dim} cannot be compared")
    return distance(fit_moments(a, covariance), fit_moments(b, covariance))


def _divisor(total: float, covariance: str) -> float:
    if covariance not in COVARIANCES:
        raise InputError(
            f"unknown covariance {covariance!r}; choose one of {', '.join(COVARIANCES)}"
        )
    return total - 1 if covariance == "unbiased" else total
