"""Writes one shard: the unit of work, written atomically and deterministically."""

import dataclasses
import hashlib
import io
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from PIL import Image

from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import whole_file
from trivd_tf.data.prepare import layout, readers
from trivd_tf.data.prepare.plan import Item, Job, Shard
from trivd_tf.data.prepare.videos import Video

# Longer videos are stored in pieces: a protocol buffer is limited to 2 GB, and readers need memory.
MAX_FRAMES = 4096
_RECORD_HEADER, _RECORD_FOOTER = 12, 4  # bytes in the TFRecord format


def write_shard(job: Job, shard: Shard) -> None:
    """Reads, resizes and stores the videos of a shard, unless it is already complete.

    The records are written first, then the notes beside them (location of stored videos, and
    skipped videos with reasons). An interruption in between leaves no notes, and the shard is
    written again.
    """
    note = layout.sidecar_path(job.output, shard.label)
    if tf.io.gfile.exists(note):
        return
    work = layout.join(job.output, layout.WORK)
    stored: list[dict] = []
    skipped: list[dict] = []
    content = hashlib.sha256()
    target = layout.shard_path(job.output, job.name, shard.label)
    position = 0
    with (
        whole_file(target, folder=work) as temporary,
        tf.io.TFRecordWriter(str(temporary)) as writer,
    ):
        for item, result in readers.read(job, shard.items):
            if isinstance(result, InputError):
                skipped.append({"id": item.id, "source": item.source, "reason": str(result)})
                continue
            for example, row in _examples(job, item, result):
                row["offset"] += position + _RECORD_HEADER
                writer.write(example)
                content.update(example)
                stored.append(row)
                position += _RECORD_HEADER + len(example) + _RECORD_FOOTER
    layout.write_json(
        note,
        work,
        {
            "stored": stored,
            "skipped": skipped,
            "bytes": position,
            "content": content.hexdigest(),
            "videos": len(shard.items) - len(skipped),
        },
    )


def write_shard_json(job: str, shard: str) -> None:
    """As `write_shard`, with arguments that any Beam runner can send to its workers."""
    write_shard(Job.from_json(job), Shard.from_json(shard))


def _examples(job: Job, item: Item, video: Video) -> Iterator[tuple[bytes, dict]]:
    """Yields serialized examples of a video and their index rows, with offsets in the example."""
    count = len(video.frames)
    frames = video.frames[round(item.part[0] * count) : round(item.part[1] * count)]
    pieces = range(0, len(frames), MAX_FRAMES)
    for number, first in enumerate(pieces):
        piece = frames[first : first + MAX_FRAMES]
        name = item.id if len(pieces) == 1 else f"{item.id}#{number}"
        named = dataclasses.replace(item, id=name)
        row = {
            "frames": len(piece),
            "height": piece.shape[1],
            "width": piece.shape[2],
            "label": item.label,
            "frame_rate": float(video.frame_rate),
        }
        if job.encoding == "raw":
            pixels = np.ascontiguousarray(piece).tobytes()
            shape = [len(piece), *piece.shape[1:]]
            example = _serialize(job, named, video, {"video/value": [pixels], "video/shape": shape})
            yield example, {**row, "offset": example.find(pixels), "length": len(example)}
        else:
            images = [_jpeg(frame, job.jpeg_quality) for frame in piece]
            example = _serialize(job, named, video, {"video": images})
            places = list(_places(example, images))
            yield example, {**row, "offset": 0, "length": len(example), "places": places}


def _serialize(job: Job, item: Item, video: Video, pixels: dict[str, list]) -> bytes:
    """Serializes a tf.train.Example in TensorFlow Datasets' layout of `finish.features`."""
    values: dict[str, list] = {
        **pixels,
        "id": [item.id.encode()],
        "source": [item.source.encode()],
        "frame_rate": [float(video.frame_rate)],
    }
    if job.labelled:
        values["label"] = [item.label]
    features = {name: _feature(value) for name, value in values.items()}
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def _feature(values: list) -> tf.train.Feature:
    if isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _jpeg(frame: np.ndarray, quality: int) -> bytes:
    """Encodes a JPEG without chroma subsampling, which at 64 x 64 would leave 32 x 32 colors."""
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


def _places(example: bytes, images: list[bytes]) -> Iterator[tuple[int, int]]:
    """Yields (offset, length) of each image in the example, which holds them in order."""
    position = 0
    for image in images:
        position = example.index(image, position)
        yield position, len(image)
        position += len(image)
