"""Files of a prepared dataset, which are written atomically.

<output>/<name>-<split>.tfrecord-00000-of-00016   the records, as TensorFlow Datasets reads them
<output>/dataset_info.json, features.json         its metadata
<output>/clip_index/<split>.records.npy           location of each video's frames in the shards
<output>/clip_index/<split>.frames.npy            location of each JPEG in its record
<output>/report.json                              written last: the dataset is finished
<output>/.work/                                   only during the preparation
"""

import json
import os
from typing import Any

import numpy as np
import tensorflow as tf

from trivd_tf.base.storage import whole_file

REPORT = "report.json"
WORK = ".work"
INDEX = "clip_index"

# One row per stored video (or piece of a long video).
RECORD = np.dtype(
    [
        ("shard", "<u4"),
        ("frames", "<u4"),
        ("height", "<u2"),
        ("width", "<u2"),
        ("label", "<i4"),
        ("offset", "<u8"),  # offset in the shard; raw: of the first pixel; JPEG: of the example
        ("length", "<u8"),  # bytes of the example
        ("first", "<u8"),  # JPEG: row of the first frame in the table of frames
    ]
)
# One row per stored JPEG: its location in its example.
FRAME = np.dtype([("offset", "<u4"), ("length", "<u4")])


def join(*parts: str) -> str:
    return os.path.join(*parts)


def shard_path(output: str, name: str, label: str) -> str:
    """Returns the path of a shard; `label` is `Shard.label`."""
    split, place = label.split("-", 1)
    return join(output, f"{name}-{split}.tfrecord-{place}")


def sidecar_path(output: str, label: str) -> str:
    """Returns the path of a shard's notes; if the file exists, the shard is complete."""
    return join(output, WORK, "shards", f"{label}.json")


def index_path(output: str, split: str, table: str) -> str:
    """Returns the path of an index table: `table` is "records" or "frames"."""
    return join(output, INDEX, f"{split}.{table}.npy")


def write_json(target: str, work: str, content: Any) -> None:
    with whole_file(target, folder=work) as temporary:
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")


def read_json(path: str) -> Any:
    with tf.io.gfile.GFile(path) as file:
        return json.loads(file.read())
