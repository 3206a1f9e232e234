"""Streamed mean and covariance, with memory independent of the number of vectors."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import whole_file


class StreamedMoments:
    """Float64 count, mean and covariance of activations that arrive in batches.

    Batches are merged by Chan, Golub & LeVeque's pairwise rule on the mean and the sum of squared
    deviations M2. Unlike sums of squares, it loses no precision to a large mean::

        delta = mean_b - mean_a
        mean  = mean_a + delta * n_b / n
        M2    = M2_a + M2_b + delta delta^T * n_a n_b / n

    Attributes:
        count: number of vectors seen.
        mean: ``[D]``.

    Args:
        dim: D, the vectors' length (400 for I3D's logits).
    """

    def __init__(self, dim: int = 400):
        self.count = 0
        self.mean = np.zeros(dim)
        self._m2 = np.zeros((dim, dim))

    @property
    def dim(self) -> int:
        return len(self.mean)

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance ``[D, D]`` (divided by count - 1); InputError below two vectors."""
        if self.count < 2:
            raise InputError(f"a covariance takes at least 2 samples, received {self.count}")
        return self._m2 / (self.count - 1)

    def update(self, activations: np.ndarray) -> None:
        """Add a batch ``[N, D]``, N >= 0.

        Raises:
            InputError: wrong shape, or a value that is not finite.
        """
        activations = np.asarray(activations, np.float64)
        if activations.ndim != 2 or activations.shape[1] != self.dim:
            raise InputError(
                f"expected activations [N, {self.dim}], received shape {activations.shape}"
            )
        if not np.isfinite(activations).all():
            raise InputError("activations hold NaN or infinity; check the videos and the network")
        if len(activations) == 0:
            return
        batch = StreamedMoments(self.dim)
        batch.count = len(activations)
        batch.mean = activations.mean(axis=0)
        centred = activations - batch.mean
        batch._m2 = centred.T @ centred
        self.merge(batch)

    def merge(self, other: "StreamedMoments") -> None:
        """Add the vectors that `other` has seen, as if they had been passed to `update`."""
        if other.dim != self.dim:
            raise InputError(f"cannot merge moments of dimension {other.dim} into {self.dim}")
        total = self.count + other.count
        if other.count == 0:
            return
        delta = other.mean - self.mean
        self.mean = self.mean + delta * (other.count / total)
        self._m2 = self._m2 + other._m2
        self._m2 += np.outer(delta, delta) * (self.count * other.count / total)
        self.count = total

    def copy(self) -> "StreamedMoments":
        """Return a copy that later batches do not change."""
        return StreamedMoments.from_arrays(self.arrays())

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all partial sums, for storage in a file."""
        return {"count": np.array(self.count), "mean": self.mean, "m2": self._m2}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "StreamedMoments":
        """Restore the moments returned by `arrays`.

        Raises:
            InputError: inconsistent shapes.
        """
        mean, m2 = np.array(arrays["mean"]), np.array(arrays["m2"])
        moments = cls(len(mean))
        if m2.shape != moments._m2.shape:
            raise InputError(f"moments hold mean {mean.shape} with covariance {m2.shape}")
        moments.count, moments.mean, moments._m2 = int(arrays["count"]), mean, m2
        return moments

    def save(self, path: str | Path) -> None:
        """Write an ``.npz`` file at exactly `path`, replacing an older one atomically.

        Raises:
            RunError: the file cannot be written.
        """
        with whole_file(path) as partial, partial.open("wb") as file:
            np.savez(file, **self.arrays())  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | Path) -> "StreamedMoments":
        """Read a file written by `save`.

        Raises:
            InputError: the file is missing or has other content.
        """
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                return cls.from_arrays(arrays)
        except Exception as error:  # zipfile, EOF, value, key or OS error, by type of damage
            raise InputError(f"cannot read statistics from {path}: {error}") from error
