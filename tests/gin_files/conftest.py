"""Data sets in the form of `trivd prepare`, a few frames of noise each."""

import json
from pathlib import Path

import numpy as np
import pytest

from trivd_tf.data.prepare import layout
from trivd_tf.data.prepare.sets.bair import TRAIN_FIRST, TRAIN_LAST

SIZE, FRAMES, VIDEOS = 16, 20, 3
STORED_SPLITS = {
    "kinetics600": ("train", "validation", "test"),
    "ucf101": ("train1", "test1"),
    "bair": (TRAIN_FIRST, TRAIN_LAST, "test"),
    "freedom_walks": ("train", "test"),
}


def write_prepared(folder: Path, kind: str) -> None:
    """A finished data set: every split one shard of raw pixels and its index."""
    rng = np.random.default_rng(0)
    bytes_of_video = FRAMES * SIZE * SIZE * 3
    rows = np.zeros(VIDEOS, layout.RECORD)
    rows["frames"], rows["height"], rows["width"] = FRAMES, SIZE, SIZE
    rows["offset"] = np.arange(VIDEOS) * bytes_of_video
    rows["length"] = bytes_of_video
    (folder / layout.INDEX).mkdir(parents=True)
    for split in STORED_SPLITS[kind]:
        pixels = rng.integers(0, 256, VIDEOS * bytes_of_video, np.uint8)
        Path(layout.shard_path(str(folder), kind, f"{split}-00000-of-00001")).write_bytes(pixels)
        np.save(layout.index_path(str(folder), split, "records"), rows)
        np.save(layout.index_path(str(folder), split, "frames"), np.zeros(0, layout.FRAME))
    report = {
        "kind": kind,
        "content": "noise",
        "size": SIZE,
        "encoding": "raw",
        "class_names": None,
        "splits": {split: {"shards": 1} for split in STORED_SPLITS[kind]},
    }
    (folder / layout.REPORT).write_text(json.dumps(report))


@pytest.fixture(scope="session")
def prepared_sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each kind of prepared data set."""
    folders = {kind: tmp_path_factory.mktemp(kind) / "set" for kind in STORED_SPLITS}
    for kind, folder in folders.items():
        write_prepared(folder, kind)
    return folders
