"""Plan for a folder of the user's videos."""

import dataclasses
import os
from pathlib import Path

from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import absolute, is_address
from trivd_tf.data.files import arrays, decode
from trivd_tf.data.files.listing import class_of, find_classes
from trivd_tf.data.prepare.plan import Item, Plan, Skipped
from trivd_tf.data.prepare.sources import list_videos
from trivd_tf.data.source import digest

_MIN_TEST_FILES = 2


def plan_folder(*, videos: str, train_fraction: float) -> Plan:
    """Plans all videos of a folder, split by file, or by time if there are too few test files.

    By file, videos are split by a hash of their names. By time, the test split is the end of each
    video. An HDF5 file with training and test videos keeps its own split. If all videos are in
    subfolders, each subfolder is a class.

    Args:
      videos: the folder, or one array file.
      train_fraction: fraction for training.
    """
    root, files, problems = _list(videos)
    files, stated, unreadable = _expand(root, files)
    if not files and unreadable and not is_address(root) and arrays.parse(videos):
        raise InputError(next(iter(unreadable.values())))
    classes = find_classes(files, lambda name: _may_be_video(root, name))
    items = [
        Item(file, file, classes.index(class_of(file)) if class_of(file) in classes else -1)
        for file in files
    ]
    free = [item for item in items if not stated.get(item.id)]
    num_test = round(len(free) * (1 - train_fraction))
    if num_test >= _MIN_TEST_FILES:
        test = set(sorted((item.id for item in free), key=digest)[:num_test])
        splits = {
            "train": [item for item in free if item.id not in test],
            "test": [item for item in free if item.id in test],
        }
    else:
        splits = {
            "train": [dataclasses.replace(item, part=(0.0, train_fraction)) for item in free],
            "test": [dataclasses.replace(item, part=(train_fraction, 1.0)) for item in free],
        }
    for split, chosen in splits.items():
        chosen += [item for item in items if stated.get(item.id) == split]
    problems |= unreadable
    return Plan(
        name="video_folder",
        reader="files",
        root=root,
        splits=splits,
        class_names=classes or None,
        skipped=[Skipped("train", name, name, reason) for name, reason in problems.items()],
        description=f"Videos of the folder {os.path.basename(videos.rstrip('/'))}.",
    )


def _list(videos: str) -> tuple[str, list[str], dict[str, str]]:
    """Returns the folder, its videos with relative paths, and the problems of other files."""
    if arrays.parse(videos) is None:
        return absolute(videos), *list_videos(videos)
    folder, name = os.path.split(absolute(videos))
    return folder, [name], {}


def _expand(root: str, files: list[str]) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """Expands array files; returns names of all videos, their stated splits, and problems."""
    if is_address(root):
        far = {file: "arrays are read from a local disk; copy it there" for file in files}
        far = {file: reason for file, reason in far.items() if arrays.parse(file) is not None}
        return [file for file in files if file not in far], {}, far
    others, videos, problems = arrays.expand([Path(root, file) for file in files])

    def name(path: Path) -> str:
        return os.path.relpath(path, root)

    stated = {name(path): video.split for path, video in videos.items()}
    named = sorted([*map(name, others), *stated])
    return named, stated, {name(path): problem for path, problem in problems.items()}


def _may_be_video(root: str, name: str) -> bool:
    """Checks a file's header; at an address every file counts, to avoid downloading it."""
    return is_address(root) or decode.is_video(os.path.join(root, name))
