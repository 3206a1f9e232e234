"""Kernel Video Distance: the squared maximum mean discrepancy between I3D logits of two sets.

Proposed beside FVD by Unterthiner et al., "Towards Accurate Generative Models of Video" (2018). The
kernel is that of Binkowski et al., "Demystifying MMD GANs" (2018), and of TF-GAN::

    k(x, y) = (x^T y / D + 1)^3

The estimate is the unbiased one, which excludes the pairs of a vector with itself::

    sum_{i != j} k(a_i, a_j) / (N (N - 1)) + sum_{i != j} k(b_i, b_j) / (M (M - 1))
        - 2 sum_{i, j} k(a_i, b_j) / (N M)

Unlike FVD's, its mean is the same at every sample count. It can be negative if two sets are alike.
FVD and KVD are on different scales.
"""

from typing import Any

import numpy as np

from trivd_tf.metrics.frechet import check_activations

# Rows of a kernel matrix in memory at once.
_ROWS = 1024


def kernel_distance(activations_a: Any, activations_b: Any, *, paired: bool = False) -> float:
    """Compute the unbiased squared maximum mean discrepancy with the polynomial kernel above.

    TF-GAN averages over blocks of at most 1024 vectors; this uses every pair. Below 1024 vectors
    both are equal.

    Args:
        activations_a, activations_b: ``[N, D]`` and ``[M, D]``, N and M at least 2; computed in
            float64 for any dtype.
        paired: ``b[n]`` belongs to ``a[n]``, as a prediction to its video. Such vectors are more
            alike than their distributions, so their pairs are excluded too (U-statistic).

    Returns:
        Around 0 for two samples of one distribution, slightly negative about half of the time.
        Exactly 0 for a set and itself.

    Raises:
        InputError: wrong shapes, or values that are not finite.
    """
    a, b = check_activations(activations_a, activations_b)
    if _same_vectors(a, b):
        return 0.0  # the estimate assumes independent sets; here it would be negative
    ones = np.ones((1, len(a))), np.ones((1, len(b)))
    return float(weighted_kernel_distances(a, b, *ones, paired=paired)[0])


def weighted_kernel_distances(
    a: np.ndarray,
    b: np.ndarray,
    counts_a: np.ndarray,
    counts_b: np.ndarray,
    *,
    paired: bool = False,
) -> np.ndarray:
    """Compute `kernel_distance` of bootstrap samples in one pass over the kernel matrices.

    Pairs of copies of a vector are excluded too; otherwise a resampled set would look closer to
    itself than a new sample does.

    Args:
        a, b: ``[N, D]`` and ``[M, D]``, float64.
        counts_a, counts_b: ``[R, N]`` and ``[R, M]``: multiplicity of each vector in each sample.
        paired: vector n of `b` belongs to vector n of `a`, and their pair is excluded too.

    Returns:
        ``[R]``, NaN for a sample of copies of a single vector.
    """
    within = _within(a, counts_a) + _within(b, counts_b)
    totals = counts_a.sum(axis=1) * counts_b.sum(axis=1)
    between = _sums(a, b, counts_a, counts_b)
    if paired:
        own = (np.einsum("nd,nd->n", a, b) / a.shape[1] + 1.0) ** 3
        between = between - (counts_a * counts_b) @ own
        totals = (totals - (counts_a * counts_b).sum(axis=1)).astype(np.float64)
        totals[totals == 0] = np.nan
    return within - 2.0 * between / totals


def _same_vectors(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether both sets contain the same vectors, in any order."""
    if a.shape != b.shape:
        return False
    return sorted(row.tobytes() for row in a) == sorted(row.tobytes() for row in b)


def _within(x: np.ndarray, counts: np.ndarray) -> np.ndarray:
    own = (np.einsum("nd,nd->n", x, x) / x.shape[1] + 1.0) ** 3
    pairs = (counts.sum(axis=1) ** 2 - (counts**2).sum(axis=1)).astype(np.float64)
    pairs[pairs == 0] = np.nan  # copies of a single vector
    return (_sums(x, x, counts, counts) - counts**2 @ own) / pairs


def _sums(a: np.ndarray, b: np.ndarray, counts_a: np.ndarray, counts_b: np.ndarray) -> np.ndarray:
    """Sum the kernel over all pairs, weighted by the product of their counts."""
    total = np.zeros(len(counts_a))
    for start in range(0, len(a), _ROWS):
        rows = slice(start, start + _ROWS)
        kernel = (a[rows] @ b.T / a.shape[1] + 1.0) ** 3
        total += np.einsum("rn,rn->r", counts_a[:, rows] @ kernel, counts_b)
    return total
