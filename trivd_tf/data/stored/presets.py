"""The paper's prepared datasets, with the stored splits for training and testing."""

from trivd_tf.base.errors import InputError
from trivd_tf.data.prepare.sets.bair import TRAIN_FIRST, TRAIN_LAST
from trivd_tf.data.stored.prepared import Prepared


class Kinetics600(Prepared):
    """Kinetics-600; Tables 1 and 2 are scored on its validation set, Table 3 on its test set.

    Args:
      data_dir: folder written by `trivd prepare kinetics600`.
      test_split: stored split for evaluation, "validation" or "test".
      num_readers: number of threads that read a batch.
    """

    name = "kinetics600"
    _kind = "kinetics600"

    def __init__(self, *, data_dir: str, test_split: str = "validation", num_readers: int = 4):
        if test_split not in ("validation", "test"):
            raise InputError(
                f"Kinetics600.test_split must be validation or test; received {test_split!r}"
            )
        super().__init__(
            data_dir=data_dir,
            train_splits="train",
            test_splits=test_split,
            num_readers=num_readers,
        )


class UCF101(Prepared):
    """UCF-101, with one of its three official splits.

    Args:
      data_dir: folder written by `trivd prepare ucf101`.
      official_split: 1, 2 or 3.
      num_readers: number of threads that read a batch.
    """

    name = "ucf101"
    _kind = "ucf101"

    def __init__(self, *, data_dir: str, official_split: int = 1, num_readers: int = 4):
        if official_split not in (1, 2, 3):
            raise InputError(f"UCF101.official_split must be 1, 2 or 3; received {official_split}")
        super().__init__(data_dir=data_dir, num_readers=num_readers)
        self._official_split = official_split

    def _stored_splits(self, split: str) -> str:
        wanted = f"{split}{self._official_split}"
        stored = [name for name in self._report["splits"] if wanted in name.split("_")]
        if not stored:
            raise InputError(
                f"{self.data_dir} holds nothing of official split {self._official_split}'s {split} "
                f"list; it holds {', '.join(self._report['splits'])}"
            )
        return "+".join(stored)


class BAIR(Prepared):
    """BAIR robot pushing (docs/architecture.md, section 7).

    Args:
      data_dir: folder written by `trivd prepare bair`.
      split: "original": the dataset's own training and test videos. "balanced": the paper's split,
        training on the first 70 % of the training videos, testing on the other 30 % and the test
        videos.
      num_readers: number of threads that read a batch.
    """

    name = "bair"
    _kind = "bair"

    def __init__(self, *, data_dir: str, split: str = "original", num_readers: int = 4):
        splits = {
            "original": (f"{TRAIN_FIRST}+{TRAIN_LAST}", "test"),
            "balanced": (TRAIN_FIRST, f"{TRAIN_LAST}+test"),
        }
        if split not in splits:
            raise InputError(f"BAIR.split must be original or balanced; received {split!r}")
        train, test = splits[split]
        super().__init__(
            data_dir=data_dir, train_splits=train, test_splits=test, num_readers=num_readers
        )


class MovingMNIST(Prepared):
    """Moving MNIST, which has no training set; its 10,000 published videos are split.

    Args:
      data_dir: folder written by `trivd prepare moving_mnist`.
      train_percent: percentage of the videos for training.
      num_readers: number of threads that read a batch.
    """

    name = "moving_mnist"
    _kind = "moving_mnist"

    def __init__(self, *, data_dir: str, train_percent: int = 90, num_readers: int = 4):
        if not 0 < train_percent < 100:
            raise InputError(
                f"MovingMNIST.train_percent must lie between 0 and 100; received {train_percent}"
            )
        super().__init__(
            data_dir=data_dir,
            train_splits=f"test[:{train_percent}%]",
            test_splits=f"test[{train_percent}%:]",
            num_readers=num_readers,
        )


class FreedomWalks(Prepared):
    """First-person walks through Freedoom's maps; training and testing use different maps.

    Args:
      data_dir: folder written by `trivd prepare freedom_walks`.
      num_readers: number of threads that read a batch.
    """

    name = "freedom_walks"
    _kind = "freedom_walks"

    def __init__(self, *, data_dir: str, num_readers: int = 4):
        super().__init__(data_dir=data_dir, num_readers=num_readers)


class GymnasiumFrames(Prepared):
    """Frames of a Gymnasium environment; training and testing use different episode seeds.

    Args:
      data_dir: folder written by `trivd prepare gymnasium`.
      num_readers: number of threads that read a batch.
    """

    name = "gymnasium"
    _kind = "gymnasium"

    def __init__(self, *, data_dir: str, num_readers: int = 4):
        super().__init__(data_dir=data_dir, num_readers=num_readers)
