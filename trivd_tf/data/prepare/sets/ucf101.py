"""Plan for UCF-101, from the unpacked UCF-101/ and ucfTrainTestlist/ folders."""

import os
from collections.abc import Sequence

from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import absolute
from trivd_tf.data.prepare.plan import Item, Plan, Skipped
from trivd_tf.data.prepare.sources import list_files, read_text

OFFICIAL_SPLITS = (1, 2, 3)


def plan_ucf101(*, videos: str, annotations: Sequence[str]) -> Plan:
    """Plans all videos, each stored once, for the three official splits together.

    A stored split is named by the roles of its videos in the official splits, such as
    `test1_train2_train3`. The training set of official split 1 consists of all stored splits with
    `train1` in their names.

    Args:
      videos: UCF-101/, which holds <class>/v_<class>_g01_c01.avi.
      annotations: one folder, ucfTrainTestlist/, which holds classInd.txt, trainlist01.txt,
        testlist01.txt and so on.
    """
    if len(annotations) != 1:
        raise InputError(
            f"ucf101 takes one --annotations, the ucfTrainTestlist folder; received "
            f"{len(annotations)}"
        )
    lists = annotations[0]
    classes = _read_classes(os.path.join(lists, "classInd.txt"))
    labels = {name: number for number, name in enumerate(classes)}
    roles: dict[str, list[str]] = {}
    for number in OFFICIAL_SPLITS:
        for role in ("train", "test"):
            for file in _read_list(os.path.join(lists, f"{role}list{number:02d}.txt")):
                roles.setdefault(file, []).append(f"{role}{number}")
    present = set(list_files(videos))
    splits: dict[str, list[Item]] = {}
    skipped: list[Skipped] = []
    for file in sorted(roles):
        split = "_".join(sorted(roles[file], key=lambda role: role[-1]))
        name = os.path.splitext(os.path.basename(file))[0]
        label = labels.get(file.split("/")[0])
        if label is None:
            skipped.append(Skipped(split, name, file, "its class is not in classInd.txt"))
        elif file not in present:
            skipped.append(Skipped(split, name, file, "no such file"))
        else:
            splits.setdefault(split, []).append(Item(name, file, label))
    return Plan(
        name="ucf101",
        reader="files",
        root=absolute(videos),
        splits=splits,
        class_names=classes,
        skipped=skipped,
        description="UCF-101: clips of 101 human actions, its three official splits.",
    )


def _read_classes(path: str) -> list[str]:
    """Reads classInd.txt: lines such as "1 ApplyEyeMakeup", numbered from 1."""
    lines = [line.split() for line in _read_lines(path)]
    try:
        numbered = sorted((int(number), name) for number, name in lines)
    except ValueError as error:
        raise InputError(f'{path}: not lines such as "1 ApplyEyeMakeup"') from error
    return [name for _, name in numbered]


def _read_list(path: str) -> list[str]:
    """Reads trainlist or testlist: "<class>/<file>.avi"; trainlist adds the class number."""
    return [line.split()[0] for line in _read_lines(path)]


def _read_lines(path: str) -> list[str]:
    try:
        return [line for line in read_text(path).splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); --annotations must name the unpacked "
            "ucfTrainTestlist folder"
        ) from error
