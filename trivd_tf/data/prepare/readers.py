"""Readers of the plan's items, one for each kind of source."""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import FrameSize
from trivd_tf.base.storage import is_address
from trivd_tf.data.files import decode
from trivd_tf.data.files.arrays import resize_to_cover
from trivd_tf.data.prepare.plan import Item, Job
from trivd_tf.data.prepare.sets.freedom_walks import read_freedom_walks
from trivd_tf.data.prepare.sets.gymnasium_frames import read_gymnasium
from trivd_tf.data.prepare.sources import local_file
from trivd_tf.data.prepare.videos import Result, Video


def read(job: Job, items: Sequence[Item]) -> Iterator[tuple[Item, Result]]:
    """Reads items in order; yields an error with the reason for an unreadable item."""
    return READERS[job.reader](job, items)


def source_path(job: Job, item: Item) -> str:
    """Returns the path of an item's source; absolute sources and addresses are unchanged."""
    return item.source if is_address(item.source) else os.path.join(job.root, item.source)


def _read_files(job: Job, items: Sequence[Item]) -> Iterator[tuple[Item, Result]]:
    """Reads one video file per item."""
    for item in items:
        path = source_path(job, item)
        try:
            with local_file(path) as file:
                yield item, _decode(file, job.size, job.fps)
        except InputError as error:
            yield item, InputError(str(error).removeprefix(f"{path}: "))


def _decode(path: str, size: FrameSize, fps: float | None) -> Result:
    try:
        rate = fps or decode.probe(path).frame_rate
        return Video(np.stack(list(decode.decode_frames(path, size=size, fps=fps))), rate)
    except InputError as error:
        return InputError(str(error).removeprefix(f"{path}: "))


def _read_softmotion(job: Job, items: Sequence[Item]) -> Iterator[tuple[Item, Result]]:
    """Reads BAIR's records: features "<t>/<camera>/encoded", each raw pixels or an image file."""
    camera = job.reader_options["camera"]
    for group in _by_source(items):
        wanted = {item.record: item for item in group}
        path = source_path(job, group[0])
        try:
            for number, record in enumerate(tf.data.TFRecordDataset(path).as_numpy_iterator()):
                if number in wanted:
                    yield wanted.pop(number), _softmotion_video(record, camera, job.size)
                if not wanted:
                    break
        except tf.errors.OpError as error:
            for item in wanted.values():
                yield item, InputError(f"damaged or truncated ({_first_line(error)})")
            continue
        for item in wanted.values():
            yield item, InputError("the file changed: it holds fewer records than before")


def _softmotion_video(record: bytes, camera: str, size: FrameSize) -> Result:
    try:
        features = tf.train.Example.FromString(record).features.feature
    except Exception as error:  # protobuf's DecodeError, whose module depends on the version
        return InputError(f"no tf.train.Example ({_first_line(error)})")
    frames: list[np.ndarray] = []
    while (key := f"{len(frames)}/{camera}/encoded") in features:
        values = features[key].bytes_list.value
        image = _image(values[0]) if values else None
        if image is None:
            return InputError(f"{key} is no image")
        frames.append(image)
    if not frames:
        return InputError(f"has no feature 0/{camera}/encoded")
    if len({frame.shape for frame in frames}) > 1:
        return InputError(f"frames of {camera} differ in size")
    # The dataset's documentation states no rate; the robot took about 10 pictures in 3 seconds.
    return Video(resize_to_cover(np.stack(frames), size), 0.0)


def _image(data: bytes) -> np.ndarray | None:
    """Decodes raw square RGB pixels or an image file to uint8 `[H, W, 3]`; None if neither."""
    if not data.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM")):
        side = round((len(data) / 3) ** 0.5)
        if side and side * side * 3 == len(data):
            return np.frombuffer(data, np.uint8).reshape(side, side, 3)
    try:
        return tf.io.decode_image(data, channels=3, expand_animations=False).numpy()
    except tf.errors.OpError:
        return None


def _read_tfds(job: Job, items: Sequence[Item]) -> Iterator[tuple[Item, Result]]:
    """Reads a dataset prepared by TensorFlow Datasets; an item's source is "<folder>:<split>"."""
    import tensorflow_datasets as tfds

    path = tuple(job.reader_options["feature"])
    for group in _by_source(items):
        folder, split = source_path(job, group[0]).rsplit(":", 1)
        builder = _builder(folder)
        first, last = group[0].record, group[-1].record
        examples = builder.as_dataset(
            split=tfds.core.ReadInstruction(split, from_=first, to=last + 1, unit="abs"),
            shuffle_files=False,
        )
        wanted = {item.record: item for item in group}
        try:
            for number, example in enumerate(examples.as_numpy_iterator(), start=first):
                if number in wanted:
                    item = wanted.pop(number)
                    yield item, Video(resize_to_cover(_frames_of(example, path), job.size), 0.0)
        except tf.errors.OpError as error:
            for item in wanted.values():
                yield item, InputError(f"damaged or truncated ({_first_line(error)})")


@functools.lru_cache(maxsize=4)
def _builder(folder: str) -> Any:
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(folder)


def _frames_of(example: Any, path: tuple[str, ...]) -> np.ndarray:
    for name in path:
        example = example[name]
    return np.repeat(example, 3, axis=-1) if example.shape[-1] == 1 else example


def _by_source(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Groups consecutive items of the same source, so that each file is read once."""
    group: list[Item] = []
    for item in items:
        if group and item.source != group[0].source:
            yield group
            group = []
        group.append(item)
    if group:
        yield group


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


READERS: dict[str, Callable[[Job, Sequence[Item]], Iterator[tuple[Item, Result]]]] = {
    "files": _read_files,
    "freedom_walks": read_freedom_walks,
    "gymnasium": read_gymnasium,
    "softmotion": _read_softmotion,
    "tfds": _read_tfds,
}
