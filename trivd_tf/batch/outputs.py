"""Outputs of a batch job: videos or records, each written atomically, and the report.

<output>/job.json                    the options; a run with other options is refused
<output>/<name>.predicted.mp4        `videos`: one per input, samples side by side
<output>/predictions-00003-of-00016.tfrecord   `records`: one file per group, one example per input
<output>/status/*.json               status of each group, during and after the job
<output>/report.json                 written last: counts, and all failed inputs with reasons
"""

import dataclasses
import json
import uuid
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.base.storage import whole_file, write_whole
from trivd_tf.batch.inputs import Given
from trivd_tf.pictures.video_io import write_mp4

JOB, REPORT, STATUS = "job.json", "report.json", "status"
FORMATS = ("videos", "records")
_VIDEO_END = ".predicted.mp4"


@dataclasses.dataclass(frozen=True)
class Predicted:
    """One input's futures: uint8 `[N, T, S, S, 3]`."""

    given: Given
    futures: np.ndarray


@dataclasses.dataclass(frozen=True)
class Group:
    """A group of inputs that are read, predicted and written together.

    Attributes:
        label: unique label, part of file names.
        items: (name, location) of its inputs.
    """

    label: str
    items: tuple[tuple[str, str], ...]


def plan(
    output: str, places: dict[str, str], options: dict[str, Any], group_size: int
) -> list[Group]:
    """Returns the groups that remain to be done, and records `options` in `output`.

    Raises:
        InputError: `output` was begun with other options, or (for records) with other inputs.
        RunError: `output` cannot be written.
    """
    try:
        _refuse_foreign(output)
        tf.io.gfile.makedirs(_join(output, STATUS))
        _remember(output, options)
    except tf.errors.OpError as error:
        raise RunError(f"{output}: could not be written ({_first_line(error)})") from error
    there = _listing(output)
    if options["format"] == "videos":
        left = [item for item in places.items() if item[0] + _VIDEO_END not in there]
        return [
            Group(uuid.uuid4().hex, tuple(left[first : first + group_size]))
            for first in range(0, len(left), group_size)
        ]
    items = list(places.items())
    count = -(-len(items) // group_size)
    groups = [
        Group(
            f"predictions-{number:05d}-of-{count:05d}",
            tuple(items[number * group_size : (number + 1) * group_size]),
        )
        for number in range(count)
    ]
    return [group for group in groups if f"{group.label}.tfrecord" not in there]


def write_group(
    output: str,
    form: str,
    group: Group,
    predicted: Iterable[Predicted],
    failures: dict[str, str],
) -> None:
    """Writes one group; failures are written first, so that no finished group lacks them."""
    predicted = list(predicted)
    if form == "videos":
        for one in predicted:
            target = _join(output, one.given.name + _VIDEO_END)
            try:
                with whole_file(target) as partial:
                    _write_video(one, partial)
            except (RunError, tf.errors.OpError) as error:
                # A name that the disk refuses is an error of the input; a full disk is not.
                if _disk_is_lost(output):
                    raise
                failures = {**failures, one.given.name: _first_line(error)}
    _write_json(_join(output, STATUS, f"{group.label}.json"), {"failed": failures})
    if form == "records":
        with whole_file(_join(output, f"{group.label}.tfrecord")) as partial:
            _write_records(predicted, partial)


def write_report(output: str, names: Collection[str], form: str) -> dict[str, Any]:
    """Collects the results of all inputs; writes and returns the report."""
    failed: dict[str, str] = {}
    for file in sorted(tf.io.gfile.listdir(_join(output, STATUS))):
        if file.endswith(".json"):
            failed.update(_read_json(_join(output, STATUS, file))["failed"])
    if form == "videos":
        there = _listing(output)
        done = [name for name in names if name + _VIDEO_END in there]
        # An input that failed in an earlier run may have succeeded since.
        failed = {name: why for name, why in failed.items() if name + _VIDEO_END not in there}
    else:
        done = [name for name in names if name not in failed]
    known = set(names)
    report = {
        "inputs": len(names),
        "predicted": len(done),
        "failed": {name: why for name, why in sorted(failed.items()) if name in known},
    }
    _write_json(_join(output, REPORT), report)
    return report


def parse_record(record: bytes) -> dict[str, Any]:
    """Parses one example of a `records` output: `name`, `label` (-1: none), `frame_rate`,
    `conditioning` uint8 `[Tc, S, S, 3]` and `frames` uint8 `[N, T, S, S, 3]`."""
    features = tf.train.Example.FromString(record).features.feature

    def array(name: str) -> np.ndarray:
        shape = features[f"{name}/shape"].int64_list.value
        return np.frombuffer(features[name].bytes_list.value[0], np.uint8).reshape(shape)

    return {
        "name": features["name"].bytes_list.value[0].decode(),
        "label": features["label"].int64_list.value[0],
        "frame_rate": features["frame_rate"].float_list.value[0],
        "conditioning": array("conditioning"),
        "frames": array("frames"),
    }


def _write_video(one: Predicted, path: Path) -> None:
    """Writes the conditioning frames followed by the futures, samples side by side."""
    rows = [np.concatenate([one.given.conditioning, future]) for future in one.futures]
    write_mp4(path, np.concatenate(rows, axis=2), frame_rate=one.given.frame_rate)


def _write_records(predicted: Iterable[Predicted], path: Path) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for one in predicted:
            writer.write(_example(one).SerializeToString())


def _example(one: Predicted) -> tf.train.Example:
    def numbers(values: Iterable[int]) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def text(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    rate = tf.train.Feature(float_list=tf.train.FloatList(value=[one.given.frame_rate]))
    feature = {
        "name": text(one.given.name.encode()),
        "label": numbers([-1 if one.given.label is None else one.given.label]),
        "frame_rate": rate,
    }
    for name, array in (("conditioning", one.given.conditioning), ("frames", one.futures)):
        feature[name] = text(np.ascontiguousarray(array).tobytes())
        feature[f"{name}/shape"] = numbers(array.shape)
    return tf.train.Example(features=tf.train.Features(feature=feature))


def _refuse_foreign(output: str) -> None:
    """Raises InputError if a job would write among files that no job wrote."""
    path = _join(output, JOB)
    if not tf.io.gfile.exists(path):
        # Ignore what a job leaves if it is killed before it records its options.
        others = [name for name in _listing(output) if not name.startswith((f"{STATUS}/", "."))]
        if others:
            raise InputError(
                f"{output}: is not empty and holds no batch job (it holds {min(others)}); give "
                "another output"
            )
        return
    try:
        options = _read_json(path)
    except ValueError:
        options = None
    if not isinstance(options, dict) or "format" not in options:
        raise InputError(f"{path}: was not written by a batch job; give another output")


def _remember(output: str, options: dict[str, Any]) -> None:
    path = _join(output, JOB)
    if not tf.io.gfile.exists(path):
        _write_json(path, options)
        return
    before = _read_json(path)
    changed = sorted(key for key in {*before, *options} if before.get(key) != options.get(key))
    if changed:
        raise InputError(
            f"{output}: was started with other {', '.join(changed)}; use the same values to "
            "resume, or another output"
        )


def _listing(output: str) -> set[str]:
    """Returns the relative paths of all files below `output`."""
    found: set[str] = set()
    for folder, _, files in tf.io.gfile.walk(output):
        below = folder.rstrip("/")[len(output.rstrip("/")) :].lstrip("/")
        found.update(f"{below}/{file}" if below else file for file in files)
    return found


def _disk_is_lost(output: str) -> bool:
    """Returns whether even a small file can no longer be written."""
    try:
        _write_json(_join(output, STATUS, "probe"), {"probe": "x" * 4096})
        tf.io.gfile.remove(_join(output, STATUS, "probe"))
    except (OSError, RunError, tf.errors.OpError):
        return True
    return False


def _write_json(path: str, content: Any) -> None:
    write_whole(path, json.dumps(content, indent=1))


def _read_json(path: str) -> Any:
    with tf.io.gfile.GFile(path) as file:
        return json.loads(file.read())


def _join(*parts: str) -> str:
    return "/".join([parts[0].rstrip("/"), *parts[1:]])


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
