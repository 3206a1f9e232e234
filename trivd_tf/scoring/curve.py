"""FVD and KVD as a function of the number of samples, to show FVD's bias at small numbers."""

import dataclasses

import numpy as np

from trivd_tf.metrics import frechet
from trivd_tf.metrics.kernel import kernel_distance

_MOST_SUBSETS = 8


@dataclasses.dataclass(frozen=True)
class Point:
    """Scores at one number of samples: means over disjoint subsets of the clips.

    Attributes:
        samples: number of clips of each side.
        fvd, kvd: means over the subsets.
        subsets: number of subsets.
    """

    samples: int
    fvd: float
    kvd: float
    subsets: int


def halves_of(number: int, fewest: int = 8) -> list[int]:
    """Returns `number`, its half, its quarter, ... down to `fewest`, in ascending order."""
    counts = [number]
    while counts[-1] // 2 >= fewest:
        counts.append(counts[-1] // 2)
    return counts[::-1]


def by_samples(
    real: np.ndarray,
    fake: np.ndarray,
    counts: list[int],
    *,
    paired: bool = False,
    covariance: str = "unbiased",
    seed: int = 0,
) -> list[Point]:
    """Computes FVD and KVD at several numbers of samples.

    Args:
        real, fake: logits `[N, D]`.
        counts: numbers of samples, from 2 to N.
        paired: use the same rows of both sides.
        covariance: see `trivd_tf.metrics.frechet_distance`.
        seed: seed of the choice of subsets.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(real))
    real, fake = real[order], fake[order if paired else rng.permutation(len(fake))]
    points = []
    for count in counts:
        subsets = min(_MOST_SUBSETS, len(real) // count)
        parts = [slice(number * count, (number + 1) * count) for number in range(subsets)]
        fvd = [
            frechet.quick_distance(
                frechet.fit(real[part], covariance), frechet.fit(fake[part], covariance)
            )
            for part in parts
        ]
        kvd = [kernel_distance(real[part], fake[part], paired=paired) for part in parts]
        points.append(Point(count, float(np.mean(fvd)), float(np.mean(kvd)), subsets))
    return points
