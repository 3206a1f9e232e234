"""Numbers all clip windows of a list of videos without listing them.

Half a million videos of 250 frames hold over a hundred million windows. The table stores one number
per video and finds window w by bisection.
"""

import functools

import numpy as np

from trivd_tf.data import permutation
from trivd_tf.data.clips import ClipSpec

_EVALUATION_KEY = 20_200_309
_CROP_ROWS, _CROP_COLUMNS = 1, 2  # streams of random numbers


class WindowTable:
    """Windows of one split.

    Args:
      lengths: number of frames of each video that belong to the split, int `[V]`.
      clip: definition of the clips.
    """

    def __init__(self, lengths: np.ndarray, clip: ClipSpec):
        counts = np.maximum(np.asarray(lengths, np.int64) - clip.span + 1, 0)
        self._ends = np.cumsum(counts)
        self._counts = counts
        # Sorted by decreasing number of windows: videos with a window in a round are a prefix.
        self._by_count = np.argsort(-counts, kind="stable")
        having = np.bincount(counts, minlength=1)[::-1].cumsum()[::-1][1:]  # >= 1, >= 2, ...
        self._round_sizes = having
        self._round_ends = np.cumsum(having)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def training(self, indices: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns (video, first frame) of training clips; each epoch has each window once.

        Args:
          indices: int64 `[b]`, positions in the endless stream.
          seed: seed of the order.

        Returns:
          Two int64 `[b]`.
        """
        windows = permutation.shuffled_epochs(indices, len(self), seed)
        videos = np.searchsorted(self._ends, windows, side="right")
        return videos, windows - (self._ends - self._counts)[videos]

    def evaluation(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns (video, first frame) at positions of the fixed list of evaluation clips.

        The list cycles through the videos in a fixed shuffled order. The first round uses the first
        window of each video; later rounds use windows spread over it, until each was used once.
        """
        indices = np.asarray(indices, np.int64)
        rounds = np.searchsorted(self._round_ends, indices, side="right")
        place = indices - (self._round_ends - self._round_sizes)[rounds]
        videos = np.empty_like(indices)
        for number in np.unique(rounds):
            chosen = rounds == number
            size = int(self._round_sizes[number])
            order = permutation.permute(place[chosen], size, _EVALUATION_KEY, int(number))
            videos[chosen] = self._by_count[order]
        starts = [
            _spread_order(int(self._counts[video]))[number]
            for video, number in zip(videos, rounds, strict=True)
        ]
        return videos, np.array(starts, np.int64)


def random_positions(seed: int, indices: np.ndarray) -> list[tuple[float, float]]:
    """Returns crop positions of training clips at stream positions; see `clips.crop_offset`."""
    rows = permutation.uniform(seed, _CROP_ROWS, indices)
    columns = permutation.uniform(seed, _CROP_COLUMNS, indices)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


_spread_order = functools.lru_cache(maxsize=4096)(permutation.spread_order)
