"""Reads sets back; what the tests of this folder share."""

import warnings
from pathlib import Path

import numpy as np

from trivd_tf.data import ClipSpec

CLIP = ClipSpec(num_conditioning_frames=2, num_predicted_frames=3, size=32)


def read_set(folder: str) -> dict[str, list[dict]]:
    """All examples, read by TensorFlow Datasets alone, in the order of the files."""
    import tensorflow_datasets as tfds

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        builder = tfds.builder_from_directory(folder)
        return {
            split: list(builder.as_dataset(split=split, shuffle_files=False).as_numpy_iterator())
            for split in builder.info.splits
        }


def take(batches, count=None):
    batches = batches if count is None else batches.take(count)
    return [dict(batch) for batch in batches.as_numpy_iterator()]


def videos_of(batches):
    return np.concatenate([batch["video"] for batch in batches])


def files_of(folder: str | Path) -> dict[str, bytes]:
    """Every file of a set but its report, which names its own options."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
