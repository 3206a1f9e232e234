"""Mixes datasets: each training clip is drawn from one of them."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.data import permutation, pipeline
from trivd_tf.data.clips import ClipSpec
from trivd_tf.data.source import ClipSource, check_split, digest

_WHICH = 0x3117  # stream of random numbers


class Mixture(ClipSource):
    """Training clips of several sources in fixed proportions; scored on the first source only.

    The source of a clip depends only on the seed and its index in the stream. Labels are omitted,
    because the classes of the sources differ.

    Args:
      sources: the datasets; evaluation clips are those of the first.
      weights: relative weight of each source.

    Raises:
      InputError: the number of weights differs from the number of sources, or a weight is not
        positive.
    """

    name = "mixture"

    def __init__(self, *, sources: Sequence[ClipSource], weights: Sequence[float]):
        if not sources or len(sources) != len(weights) or not all(w > 0 for w in weights):
            raise InputError(
                f"Mixture needs a weight above 0 for each source; received {len(sources)} sources "
                f"and weights {list(weights)!r}"
            )
        self._sources = list(sources)
        self._ends = np.cumsum(np.asarray(weights, float) / sum(weights))

    def prepare(self, clip: ClipSpec) -> None:
        for source in self._sources:
            source.prepare(clip)
            if source._encoded():
                raise InputError(
                    f"Mixture reads frames, and {source.name} was prepared as JPEG: prepare it "
                    "with --encoding raw"
                )

    def num_evaluation_clips(self, clip: ClipSpec, split: str) -> int:
        check_split(split)
        return self._sources[0].num_evaluation_clips(clip, split)

    def fingerprint(self, clip: ClipSpec, split: str) -> str:
        check_split(split)
        if split == "test":
            return self._sources[0].fingerprint(clip, split)
        prints = [source.fingerprint(clip, split) for source in self._sources]
        clips = dataclasses.asdict(clip)
        return f"{self.name}-{split}-{digest(prints, self._ends.tolist(), clips)}"

    def _training_batch(self, clip: ClipSpec, seed: int, indices: np.ndarray) -> pipeline.Batch:
        draws = permutation.uniform(seed, _WHICH, indices)
        which = np.minimum(np.searchsorted(self._ends, draws, side="right"), len(self._ends) - 1)
        videos = None
        for number, source in enumerate(self._sources):
            mine = which == number
            if mine.any():
                clips = source._training_batch(clip, seed, indices[mine])[0]
                videos = (
                    np.empty([len(indices), *clips.shape[1:]], np.uint8)
                    if videos is None
                    else videos
                )
                videos[mine] = clips
        assert videos is not None
        return videos, np.zeros(len(indices), np.int32)

    def _evaluation_batch(self, clip: ClipSpec, split: str, indices: np.ndarray) -> pipeline.Batch:
        videos, _ = self._sources[0]._evaluation_batch(clip, split, indices)  # type: ignore[misc]
        return np.asarray(videos), np.zeros(len(indices), np.int32)
