"""Last step of a preparation: index, metadata for TensorFlow Datasets, and the report."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import whole_file
from trivd_tf.data.files.timing import describe_rates
from trivd_tf.data.prepare import layout
from trivd_tf.data.prepare.plan import Job, Plan, Shard

VERSION = "1.0.0"


def finish(
    job: Job, plan: Plan, shards: Sequence[Shard], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes index, metadata and report of a dataset whose shards are complete.

    Everything is derived from the notes beside the shards, so an interrupted `finish` is simply run
    again.

    Returns:
      The report.
    """
    work = layout.join(job.output, layout.WORK)
    tf.io.gfile.makedirs(layout.join(job.output, layout.INDEX))
    splits: dict[str, dict] = {}
    skipped = [vars(entry) for entry in plan.skipped]
    infos = []
    rates: list[float] = []
    identity = hashlib.sha256()
    for split in sorted({shard.split for shard in shards}):
        mine = [shard for shard in shards if shard.split == split]
        notes = [layout.read_json(layout.sidecar_path(job.output, shard.label)) for shard in mine]
        for note in notes:
            skipped += [{"split": split, **entry} for entry in note["skipped"]]
            identity.update(note["content"].encode())
            rates += [row.get("frame_rate", 0.0) for row in note["stored"]]
        records = _write_index(job.output, split, notes, work)
        splits[split] = {
            "videos": sum(note["videos"] for note in notes),
            "records": len(records),
            "frames": int(records["frames"].sum()),
            "bytes": sum(note["bytes"] for note in notes),
            "shards": len(mine),
        }
        infos.append(_split_info(job, split, notes))
    written = sum(numbers["videos"] for numbers in splits.values())
    if not written:
        first = skipped[0] if skipped else {"source": plan.root, "reason": "no videos"}
        raise InputError(
            f"{plan.root}: no video could be prepared; the first: {first['source']}: "
            f"{first['reason']}"
        )
    _write_metadata(job, plan, infos)
    report = {
        "kind": plan.name,
        "options": dict(options),
        "class_names": list(plan.class_names) if plan.class_names else None,
        "encoding": job.encoding,
        "size": job.size,
        "fps": job.fps,
        "frame_rates": describe_rates(rates),
        "listed": written + len(skipped),
        "read": sum(len(shard.items) for shard in shards),
        "written": written,
        "skipped": len(skipped),
        "splits": splits,
        "content": identity.hexdigest(),
        "skipped_videos": skipped,
    }
    layout.write_json(layout.join(job.output, layout.REPORT), work, report)
    return report


def features(encoding: str, class_names: Sequence[str] | None):  # type: ignore[no-untyped-def]
    """Returns the TensorFlow Datasets features of an example."""
    import tensorflow_datasets as tfds

    shape = (None, None, None, 3)
    if encoding == "raw":
        video = tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding="bytes")
    else:
        video = tfds.features.Video(shape=shape, encoding_format="jpeg")
    content = {
        "video": video,
        "id": tfds.features.Text(),
        "source": tfds.features.Text(),
        "frame_rate": np.float32,
    }
    if class_names:
        content["label"] = tfds.features.ClassLabel(names=list(class_names))
    return tfds.features.FeaturesDict(content)


def _write_index(output: str, split: str, notes: Sequence[dict], work: str) -> np.ndarray:
    """Writes and returns the table of records (and writes that of JPEGs) of one split."""
    rows = [(number, row) for number, note in enumerate(notes) for row in note["stored"]]
    records = np.zeros(len(rows), layout.RECORD)
    places: list[Sequence[int]] = []
    for record, (number, row) in zip(records, rows, strict=True):
        record["shard"] = number
        record["first"] = len(places)
        for name in ("frames", "height", "width", "label", "offset", "length"):
            record[name] = row[name]
        places += row.get("places", ())
    frames = np.array([tuple(place) for place in places], layout.FRAME)
    for name, table in (("records", records), ("frames", frames)):
        with (
            whole_file(layout.index_path(output, split, name), folder=work) as temporary,
            temporary.open("wb") as file,
        ):
            np.save(file, table, allow_pickle=False)
    return records


def _split_info(job: Job, split: str, notes: Sequence[dict]):  # type: ignore[no-untyped-def]
    import tensorflow_datasets as tfds

    return tfds.core.SplitInfo(
        name=split,
        shard_lengths=[len(note["stored"]) for note in notes],
        num_bytes=sum(note["bytes"] for note in notes),
        filename_template=tfds.core.ShardedFileTemplate(
            data_dir=job.output,
            dataset_name=job.name,
            split=split,
            filetype_suffix="tfrecord",
        ),
    )


def _write_metadata(job: Job, plan: Plan, infos: Sequence[Any]) -> None:
    import tensorflow_datasets as tfds
    from absl import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)  # hides its warnings about its own deprecated names
    tfds.folder_dataset.write_metadata(
        data_dir=job.output,
        features=features(job.encoding, plan.class_names),
        split_infos=infos,
        version=VERSION,
        filename_template=None,
        check_data=False,
        description=plan.description,
    )
    logging.set_verbosity(verbosity)
