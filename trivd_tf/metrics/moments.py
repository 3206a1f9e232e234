"""Mean and covariance of a stream of vectors, in memory that does not grow with the stream."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import whole_file


class StreamedMoments:
    """Count, mean and covariance of activations that arrive in batches, in float64.

    Batches are merged by Chan, Golub & LeVeque's pairwise rule on the mean and the sum of squared
    deviations M2, which loses no digits to a large mean, as sums of squares would::

        delta = mean_b - mean_a
        mean  = mean_a + delta * n_b / n
        M2    = M2_a + M2_b + delta delta^T * n_a n_b / n

    Attributes:
        count: vectors seen.
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
        """Unbiased (divided by count - 1) ``[D, D]``; InputError below two vectors."""
        if self.count < 2:
            raise InputError(f"a covariance takes at least 2 samples, received {self.count}")
        return self._m2 / (self.count - 1)

    def update(self, activations: np.ndarray) -> None:
        """Adds a batch ``[N, D]``, N >= 0.

        Raises:
            InputError: another shape, or a value that is not finite.
        """
        activations = np.asarray(activations, np.float64)
        if activations.ndim != 2 or activations.shape[1] != self.dim:
            raise InputError(
                f"expected activations [N, {self.dim}], received shape {activations.shape}"
            )
        if not np.isfinite(activations).all():
            raise InputError("activations hold NaN or infinity; the videos or the network do, too")
        if len(activations) == 0:
            return
        batch = StreamedMoments(self.dim)
        batch.count = len(activations)
        batch.mean = activations.mean(axis=0)
        centred = activations - batch.mean
        batch._m2 = centred.T @ centred
        self.merge(batch)

    def merge(self, other: "StreamedMoments") -> None:
        """Adds what `other` has seen, as if its batches had come here."""
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
        """The moments so far, which further batches leave alone."""
        return StreamedMoments.from_arrays(self.arrays())

    def arrays(self) -> dict[str, np.ndarray]:
        """All that was summed so far, to be kept in a file."""
        return {"count": np.array(self.count), "mean": self.mean, "m2": self._m2}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "StreamedMoments":
        """The moments that `arrays` gave.

        Raises:
            InputError: shapes that do not belong together.
        """
        mean, m2 = np.array(arrays["mean"]), np.array(arrays["m2"])
        moments = cls(len(mean))
        if m2.shape != moments._m2.shape:
            raise InputError(f"moments hold mean {mean.shape} with covariance {m2.shape}")
        moments.count, moments.mean, moments._m2 = int(arrays["count"]), mean, m2
        return moments

    def save(self, path: str | Path) -> None:
        """Writes an ``.npz`` file at exactly `path`; an older one stays whole until it is done.

        Raises:
            RunError: the file cannot be written.
        """
        with whole_file(path) as partial, partial.open("wb") as file:
            np.savez(file, **self.arrays())  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | Path) -> "StreamedMoments":
        """Reads what `save` wrote.

        Raises:
            InputError: no such file, or another content.
        """
        try:
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                return cls.from_arrays(arrays)
        except Exception as error:  # zipfile, EOF, value, key and OS errors, by kind of damage
            raise InputError(f"cannot read statistics from {path}: {error}") from error
