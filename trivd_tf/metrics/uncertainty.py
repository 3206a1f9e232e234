"""Uncertainty of scores: bootstrap intervals, and FVD extrapolated to infinitely many samples.

A bootstrap sample draws as many videos as there are, with replacement. Clips of one video are drawn
together, because they are alike; so are a predicted video and its real one, if they are paired. An
interval spans 95 % of the scores of the bootstrap samples, shifted so that their mean is the score
itself: resampling repeats videos, which biases FVD further upwards. It is the interval of scores
that other samples of the same size would get. It does not account for the bias of a small number of
samples.

FVD is biased upwards by about c / N. A line in 1 / N through the scores of all samples and of
halves of them gives, at 1 / N = 0, an estimate of FVD for infinitely many samples (Chong and
Forsyth, "Effectively Unbiased FID and Inception Score and where to find them", 2020).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from trivd_tf.metrics import frechet
from trivd_tf.metrics.inception_score import inception_score, inception_scores_of_samples
from trivd_tf.metrics.kernel import kernel_distance, weighted_kernel_distances

LEVEL = 0.95
REPLICATES = 200
# Multiplicity of each clip in either set: `[N]` and `[M]`.
Counts = tuple[np.ndarray, np.ndarray]

# Number of random halvings to average, so that their noise is small beside that of the samples.
_HALVINGS = 4


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A score and its 95 % interval, which is None if nothing can be resampled."""

    value: float
    low: float | None = None
    high: float | None = None

    def text(self, digits: int) -> str:
        """Format as `31.8 [29.0, 34.9]`."""
        return f"{self.value:z.{digits}f} {self.interval_text(digits)}".rstrip()

    def interval_text(self, digits: int) -> str:
        """Format as `[29.0, 34.9]`, or as an empty string without an interval."""
        if self.low is None or self.high is None:
            return ""
        return f"[{self.low:z.{digits}f}, {self.high:z.{digits}f}]"


class Resampling:
    """Draws bootstrap samples of two sets of clips.

    Args:
        videos_a: ``[N]``, the number of each clip's video; clips of one video are drawn together.
        videos_b: likewise ``[M]``.
        paired: equal numbers in both sets belong together and are drawn together.
        replicates: number of bootstrap samples.
        seed: seed of their choice.
    """

    def __init__(
        self,
        videos_a: Sequence[int] | np.ndarray,
        videos_b: Sequence[int] | np.ndarray,
        *,
        paired: bool = False,
        replicates: int = REPLICATES,
        seed: int = 0,
    ):
        self._videos = [np.unique(v, return_inverse=True) for v in (videos_a, videos_b)]
        if paired and not np.array_equal(self._videos[0][0], self._videos[1][0]):
            raise ValueError("paired sets hold clips of the same videos")
        self._all = np.ones(len(videos_a), np.int64), np.ones(len(videos_b), np.int64)
        self.paired = paired
        self._replicates = replicates
        self._seed = seed

    @property
    def possible(self) -> bool:
        """Whether both sets have several videos to draw from."""
        return self._replicates > 1 and min(len(names) for names, _ in self._videos) > 1

    def samples(self) -> list[Counts]:
        """Return the multiplicity of each clip in each bootstrap sample."""
        rng = np.random.default_rng([self._seed, 1])
        return [self._draw(rng) for _ in range(self._replicates)]

    def halves(self, counts: Counts | None, number: int) -> list[Counts]:
        """Split the videos of all clips, or of a bootstrap sample, into two random halves.

        Args:
            counts: the bootstrap sample; None for every clip once.
            number: selects the random split.
        """
        rng = np.random.default_rng([self._seed, 2, number])
        orders = [rng.permutation(len(names)) for names, _ in self._videos]
        if self.paired:
            orders[1] = orders[0]
        counts = counts or self._all
        halves = []
        for half in (0, 1):
            kept = []
            for order, (names, video), count in zip(orders, self._videos, counts, strict=True):
                size = len(names) // 2
                kept.append(np.isin(video, order[half * size : (half + 1) * size]) * count)
            halves.append((kept[0], kept[1]))
        return halves

    def extrapolate(self, whole: float, half: float) -> float:
        """Extrapolate the line in 1 / N through the scores of all and of half of the videos."""
        number = min(len(names) for names, _ in self._videos)
        ratio = number / (number // 2)
        return (ratio * whole - half) / (ratio - 1.0)

    def _draw(self, rng: np.random.Generator) -> Counts:
        sizes = [len(names) for names, _ in self._videos]
        drawn = [np.bincount(rng.integers(0, n, n), minlength=n) for n in sizes]
        if self.paired:
            drawn[1] = drawn[0]
        (_, first), (_, second) = self._videos
        return drawn[0][first], drawn[1][second]


@dataclasses.dataclass(frozen=True)
class FvdEstimate:
    """FVD, and FVD extrapolated to infinitely many samples, each with its interval.

    Attributes:
        fvd: FVD at the available number of samples.
        infinite: FVD without the bias of first order in 1 / N; None below four videos. Noise can
            make it negative.
    """

    fvd: Estimate
    infinite: Estimate | None


def estimate_fvd(
    real: Any, predicted: Any, resampling: Resampling, *, covariance: str = "unbiased"
) -> FvdEstimate:
    """Estimate FVD of two sets of activations with its uncertainty.

    Args:
        real, predicted: ``[N, D]`` and ``[M, D]``; arrays, or memory maps of files.
        resampling: resampling of their clips.
        covariance: see `trivd_tf.metrics.frechet_distance`.
    """

    def score(counts: Counts) -> float:
        fitted = [
            frechet.fit(activations, covariance, count)
            for activations, count in zip((real, predicted), counts, strict=True)
        ]
        return frechet.quick_distance(*fitted)

    def of_halves(counts: Counts | None, number: int) -> list[float]:
        halves = resampling.halves(counts, number)
        return [score(half) for half in halves if min(part.sum() for part in half) > 1]

    value = frechet.distance(frechet.fit(real, covariance), frechet.fit(predicted, covariance))
    if not resampling.possible:
        return FvdEstimate(Estimate(value), None)
    samples = resampling.samples()
    scores = [score(counts) for counts in samples]
    fvd = interval(value, scores, lowest=0.0)
    halves = [score for number in range(_HALVINGS) for score in of_halves(None, number)]
    if not halves:
        return FvdEstimate(fvd, None)
    extrapolated = [
        resampling.extrapolate(whole, float(np.mean(parts)))
        for number, (whole, counts) in enumerate(zip(scores, samples, strict=True))
        if (parts := of_halves(counts, _HALVINGS + number))
    ]
    infinite = resampling.extrapolate(value, float(np.mean(halves)))
    return FvdEstimate(fvd, interval(infinite, extrapolated))


def estimate_kvd(real: np.ndarray, predicted: np.ndarray, resampling: Resampling) -> Estimate:
    """Estimate KVD of two sets of activations, `[N, D]` and `[M, D]`, with its interval."""
    value = kernel_distance(real, predicted, paired=resampling.paired)
    if not resampling.possible:
        return Estimate(value)
    a, b = (np.asarray(activations, np.float64) for activations in (real, predicted))
    counts_a, counts_b = (np.stack(counts) for counts in zip(*resampling.samples(), strict=True))
    resampled = weighted_kernel_distances(a, b, counts_a, counts_b, paired=resampling.paired)
    return interval(value, resampled)


def estimate_inception_score(logits: np.ndarray, resampling: Resampling) -> Estimate:
    """Estimate the Inception Score (one split) of logits `[M, K]`, `resampling`'s second set."""
    value = float(inception_score(logits)[0])
    if not resampling.possible:
        return Estimate(value)
    counts = np.stack([counts for _, counts in resampling.samples()])
    return interval(value, inception_scores_of_samples(logits, counts), lowest=1.0)


def estimate_mean(values: np.ndarray, resampling: Resampling) -> Estimate:
    """Estimate the mean of one value per clip, `[M]`, of the second set of `resampling`."""
    value = float(np.mean(values))
    if not resampling.possible:
        return Estimate(value)
    means = [float(counts @ values / counts.sum()) for _, counts in resampling.samples()]
    return interval(value, means)


def interval(
    value: float, resampled: Sequence[float] | np.ndarray, lowest: float = -np.inf
) -> Estimate:
    """Return the 95 % interval of resampled scores, shifted so that their mean is `value`."""
    scores = np.asarray(resampled, np.float64)
    scores = scores[np.isfinite(scores)]
    if len(scores) < 2:
        return Estimate(value)
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(scores - scores.mean() + value, [tail, 1.0 - tail])
    return Estimate(value, max(lowest, float(low)), max(lowest, float(high)))
