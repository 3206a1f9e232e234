"""Inception Score of videos: exp of the mean KL divergence from p(y) to p(y | x).

Salimans et al., "Improved Techniques for Training GANs" (2016). The paper does not say which
classifier it used; here p(y | x) is the softmax of I3D's Kinetics-400 logits (docs/architecture.md,
section 7).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trivd_tf.base.errors import InputError


def inception_score(logits: Any, splits: int = 1) -> tuple[float, float]:
    """Compute the Inception Score of samples in memory.

    Args:
        logits: ``[N, K]``.
        splits: number of parts of (nearly) equal size, in order, each with its own p(y).

    Returns:
        Mean and standard deviation of the parts' scores. The deviation is that of a population, as
        in the reference code: 0 for one part. A score lies between 1 and K.

    Raises:
        InputError: wrong shape, more splits than samples, or values that are not finite.

    Example:
        >>> import numpy as np
        >>> sure_and_diverse = 50.0 * np.eye(4)
        >>> round(inception_score(sure_and_diverse)[0], 3)
        4.0
    """
    logits = np.asarray(logits)
    if logits.ndim != 2 or len(logits) == 0:
        raise InputError(f"expected logits [N >= 1, K], received shape {logits.shape}")
    score = StreamedInceptionScore(len(logits), splits, num_classes=logits.shape[1])
    score.update(logits)
    return score.result()


def inception_scores_of_samples(logits: Any, counts: np.ndarray) -> np.ndarray:
    """Compute the Inception Scores of bootstrap samples, with one split.

    Args:
        logits: ``[N, K]``, finite.
        counts: ``[R, N]``: multiplicity of each of the N logits in each of R samples.

    Returns:
        ``[R]``.
    """
    log_p = log_softmax(np.asarray(logits, np.float64))
    p = np.exp(log_p)
    totals = counts.sum(axis=1)
    marginal = counts @ p / totals[:, None]
    log_marginal = np.log(np.where(marginal > 0, marginal, 1.0))
    divergence = counts @ (p * log_p).sum(axis=1) / totals - (marginal * log_marginal).sum(axis=1)
    return np.exp(divergence)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Compute the log-softmax over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


class StreamedInceptionScore:
    """`inception_score` of samples that arrive in batches; stores sums instead of samples.

    The score of a part is ``exp(mean_x sum_y p(y|x) log p(y|x) - sum_y p(y) log p(y))``, which
    needs two sums over samples: of ``sum_y p log p`` and of p.

    Args:
        num_samples: total number of samples, which fixes the parts.
        splits: number of parts.
        num_classes: K.
    """

    def __init__(self, num_samples: int, splits: int = 1, num_classes: int = 400):
        if not 1 <= splits <= num_samples:
            raise InputError(
                f"splits must be between 1 and the number of samples, {num_samples}; "
                f"received {splits}"
            )
        self.num_samples = num_samples
        self.count = 0
        self._ends = [(part + 1) * num_samples // splits for part in range(splits)]
        self._negative_entropy = np.zeros(splits)
        self._probability = np.zeros((splits, num_classes))

    def update(self, logits: Any) -> None:
        """Add a batch ``[n, K]``."""
        logits = np.asarray(logits, np.float64)
        if logits.ndim != 2 or logits.shape[1] != self._probability.shape[1]:
            raise InputError(
                f"expected logits [n, {self._probability.shape[1]}], received {logits.shape}"
            )
        if self.count + len(logits) > self.num_samples:
            raise InputError(
                f"received {self.count + len(logits)} samples, {self.num_samples} were expected"
            )
        if not np.isfinite(logits).all():
            raise InputError("logits hold NaN or infinity; check the videos and the network")
        log_p = log_softmax(logits)
        p = np.exp(log_p)
        parts = np.searchsorted(self._ends, self.count + np.arange(len(logits)), side="right")
        np.add.at(self._negative_entropy, parts, (p * log_p).sum(axis=1))
        np.add.at(self._probability, parts, p)
        self.count += len(logits)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all partial sums, for storage in a file."""
        return {
            "count": np.array(self.count),
            "negative_entropy": self._negative_entropy,
            "probability": self._probability,
        }

    def set_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Resume from the partial sums returned by `arrays`."""
        self.count = int(arrays["count"])
        self._negative_entropy = np.array(arrays["negative_entropy"])
        self._probability = np.array(arrays["probability"])

    def result(self) -> tuple[float, float]:
        """Return mean and standard deviation over the parts; InputError before the last sample."""
        if self.count != self.num_samples:
            raise InputError(
                f"received {self.count} samples, {self.num_samples} were expected: a score of a "
                "part of them is not comparable"
            )
        sizes = np.diff([0, *self._ends])
        marginal = self._probability / sizes[:, None]
        # A class whose probability underflowed to 0 adds 0, the limit of p log p.
        log_marginal = np.log(np.where(marginal > 0, marginal, 1.0))
        divergence = self._negative_entropy / sizes - (marginal * log_marginal).sum(axis=1)
        scores = np.exp(divergence)
        return float(scores.mean()), float(scores.std())
