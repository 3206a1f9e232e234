"""Plan for a folder of videos of the user's own."""

import os

from trivd_tf.base.storage import absolute
from trivd_tf.data.prepare.plan import Item, Plan, Skipped
from trivd_tf.data.prepare.sources import list_videos
from trivd_tf.data.source import digest

_MIN_TEST_FILES = 2


def plan_folder(*, videos: str, train_fraction: float) -> Plan:
    """Every file in the folder: by file, or by time where too few files would be left for testing.

    Files are shared out by a hash of their names. By time, testing gets the end of each video.
    """
    files, problems = list_videos(videos)
    num_test = round(len(files) * (1 - train_fraction))
    if num_test >= _MIN_TEST_FILES:
        test = set(sorted(files, key=digest)[:num_test])
        splits = {
            "train": [Item(file, file) for file in files if file not in test],
            "test": [Item(file, file) for file in files if file in test],
        }
    else:
        splits = {
            "train": [Item(file, file, part=(0.0, train_fraction)) for file in files],
            "test": [Item(file, file, part=(train_fraction, 1.0)) for file in files],
        }
    return Plan(
        name="video_folder",
        reader="files",
        root=absolute(videos),
        splits=splits,
        skipped=[Skipped("train", name, name, reason) for name, reason in problems.items()],
        description=f"Videos of the folder {os.path.basename(videos.rstrip('/'))}.",
    )
