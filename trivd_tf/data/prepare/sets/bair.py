"""Plan for BAIR robot pushing, from the original softmotion30_44k records."""

import os
import re
import struct

import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import absolute, is_address
from trivd_tf.data.prepare.plan import Item, Plan, Skipped

CAMERAS = ("image_main", "image_aux1")
BALANCED_TRAIN_SHARE = 0.7
_HEADER, _FOOTER = 12, 4  # bytes in a TFRecord: length and its checksum; checksum of the content
TRAIN_FIRST, TRAIN_LAST = "train_first70", "train_last30"


def plan_bair(*, videos: str, camera: str) -> Plan:
    """Plans all videos of the dataset, in the order of the files' numbers.

    The first 70 % and the last 30 % of the training videos are separate stored splits. The original
    training set is both of them. The paper's balanced training set is the first, and the last joins
    the test set (docs/architecture.md, section 7).

    Args:
      videos: softmotion30_44k/, which holds train/*.tfrecords and test/*.tfrecords.
      camera: "image_main" or "image_aux1".
    """
    check_camera(camera)
    skipped: list[Skipped] = []
    train = _items(videos, "train", skipped)
    test = _items(videos, "test", skipped)
    return Plan(
        name="bair",
        reader="softmotion",
        reader_options={"camera": camera},
        root=absolute(videos),
        splits={**share_training_videos(train), "test": test},
        skipped=skipped,
        description=f"BAIR robot pushing (softmotion30_44k), {camera}.",
    )


def check_camera(camera: str) -> None:
    """Raises `InputError` unless the camera is one of the dataset's two cameras."""
    if camera not in CAMERAS:
        raise InputError(f"the camera must be one of {', '.join(CAMERAS)}; received {camera!r}")


def share_training_videos(train: list[Item]) -> dict[str, list[Item]]:
    """Splits the training videos into the first 70 % (rounded up) and the rest."""
    rest = int(len(train) * (1 - BALANCED_TRAIN_SHARE) + 1e-9)
    first = len(train) - rest
    return {TRAIN_FIRST: train[:first], TRAIN_LAST: train[first:]}


def _items(videos: str, split: str, skipped: list[Skipped]) -> list[Item]:
    """Returns one item per record of the split's files."""
    folder = os.path.join(videos, split)
    names = [name for name in _listdir(folder) if ".tfrecord" in name]
    if not names:
        raise InputError(
            f"{folder}: no .tfrecords files; --videos must name the unpacked softmotion30_44k "
            "folder"
        )
    items = []
    for name in sorted(names, key=lambda name: [int(n) for n in re.findall(r"\d+", name)]):
        source = f"{split}/{name}"
        count, problem = _count_records(os.path.join(folder, name))
        stem = name.split(".tfrecord")[0]
        items += [Item(f"{stem}:{record}", source, record=record) for record in range(count)]
        if problem:
            skipped.append(Skipped(split, f"{stem}:{count} onwards", source, problem))
    return items


def _listdir(folder: str) -> list[str]:
    return tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []


def _count_records(path: str) -> tuple[int, str]:
    """Counts the complete records in a TFRecord file; also returns the problem after them.

    Only the lengths before the records are read: the whole dataset is 32 GB.
    """
    size = tf.io.gfile.stat(path).length
    count = end = 0
    with tf.io.gfile.GFile(path, "rb") if is_address(path) else open(path, "rb") as file:
        while end < size:
            file.seek(end)
            header = file.read(_HEADER)
            if len(header) == _HEADER:
                end += _HEADER + struct.unpack("<Q", header[:8])[0] + _FOOTER
            if len(header) < _HEADER or end > size:
                return count, "truncated"
            count += 1
    return count, ""
