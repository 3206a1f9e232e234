"""Plan for Kinetics-600, from the official annotation files and the usual names of the videos."""

import csv
import io
import os
from collections.abc import Sequence

from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import absolute
from trivd_tf.data.prepare.plan import Item, Plan, Skipped
from trivd_tf.data.prepare.sources import list_files, read_text

_SPLITS = {
    "train": "train",
    "val": "validation",
    "validate": "validation",
    "validation": "validation",
    "test": "test",
}


def plan_kinetics600(*, videos: str, annotations: Sequence[str]) -> Plan:
    """Plans all videos that are listed in the annotations and found in the folder.

    Args:
      videos: folder of `<id>_<start, 6 digits>_<end, 6 digits>.<any>`, optionally in subfolders.
      annotations: CSV files with the columns label (test files may lack it), youtube_id,
        time_start, time_end, split.

    Raises:
      InputError: an annotation file is missing or invalid.
    """
    rows = [row for path in annotations for row in _rows(path)]
    class_names = sorted({row["label"] for row in rows if row["label"]})
    labels = {name: number for number, name in enumerate(class_names)}
    files = {os.path.splitext(os.path.basename(file))[0]: file for file in list_files(videos)}
    splits: dict[str, list[Item]] = {}
    skipped: list[Skipped] = []
    seen: set[str] = set()
    for row in rows:
        name, split = row["name"], row["split"]
        if name in seen:
            skipped.append(Skipped(split, name, row["annotation"], "listed more than once"))
        elif name not in files:
            skipped.append(Skipped(split, name, f"{name}.mp4", "no such file"))
        else:
            item = Item(name, files[name], labels.get(row["label"], -1))
            splits.setdefault(split, []).append(item)
        seen.add(name)
    return Plan(
        name="kinetics600",
        reader="files",
        root=absolute(videos),
        splits=splits,
        class_names=class_names or None,
        skipped=skipped,
        description="Kinetics-600: ten-second clips of human actions.",
    )


def _rows(path: str) -> list[dict[str, str]]:
    """Reads an annotation file: label, split, and the video's name without its extension."""
    try:
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as an annotation file ({error})") from error
    missing = {"youtube_id", "time_start", "time_end", "split"} - set(reader.fieldnames or ())
    if missing:
        raise InputError(
            f"{path}: no Kinetics annotation file; it lacks the column {', '.join(sorted(missing))}"
        )
    return [_row(path, number, line) for number, line in enumerate(reader, start=2)]


def _row(path: str, number: int, line: dict[str, str]) -> dict[str, str]:
    try:
        start, end = (int(float(line[column])) for column in ("time_start", "time_end"))
        split = _SPLITS[line["split"].strip()]
        name = f"{line['youtube_id'].strip()}_{start:06d}_{end:06d}"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}, line {number}: not label, youtube_id, time_start, time_end, split with a "
            f"split of {', '.join(sorted(_SPLITS))}; received {list(line.values())}"
        ) from error
    label = (line.get("label") or "").strip()
    return {"name": name, "split": split, "label": label, "annotation": path}
