"""Plans for datasets prepared by TensorFlow Datasets: UCF-101, BAIR, Moving MNIST."""

import os

import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import absolute
from trivd_tf.data.prepare.plan import Item, Plan
from trivd_tf.data.prepare.sets.bair import check_camera, share_training_videos
from trivd_tf.data.prepare.sets.ucf101 import OFFICIAL_SPLITS


def plan_tfds_ucf101(*, tfds_dir: str, official_split: int) -> Plan:
    """Plans one official split of UCF-101; TensorFlow Datasets stores each as its own dataset."""
    if official_split not in OFFICIAL_SPLITS:
        raise InputError(f"UCF-101's official splits are 1, 2 and 3; received {official_split!r}")
    folder, builder = _open(tfds_dir, f"ucf101/ucf101_{official_split}")
    return Plan(
        name="ucf101",
        reader="tfds",
        reader_options={"feature": ["video"]},
        root=folder,
        splits={
            f"{split}{official_split}": _items(folder, builder, split, labelled=True)
            for split in ("train", "test")
        },
        class_names=builder.info.features["label"].names,
        description=f"UCF-101, official split {official_split}, through TensorFlow Datasets.",
    )


def plan_tfds_bair(*, tfds_dir: str, camera: str) -> Plan:
    """Plans BAIR robot pushing; "first 70 %" is in the order stored by TensorFlow Datasets."""
    check_camera(camera)
    folder, builder = _open(tfds_dir, "bair_robot_pushing_small")
    return Plan(
        name="bair",
        reader="tfds",
        reader_options={"feature": [camera]},
        root=folder,
        splits={
            **share_training_videos(_items(folder, builder, "train")),
            "test": _items(folder, builder, "test"),
        },
        description=f"BAIR robot pushing, {camera}, through TensorFlow Datasets.",
    )


def plan_moving_mnist(*, tfds_dir: str) -> Plan:
    """Plans Moving MNIST: 10,000 videos of 20 frames, all in its test set."""
    folder, builder = _open(tfds_dir, "moving_mnist")
    return Plan(
        name="moving_mnist",
        reader="tfds",
        reader_options={"feature": ["image_sequence"]},
        root=folder,
        splits={"test": _items(folder, builder, "test")},
        description="Moving MNIST, through TensorFlow Datasets.",
    )


def _open(tfds_dir: str, name: str):  # type: ignore[no-untyped-def]
    """Returns folder and builder of the newest prepared version of a dataset."""
    import tensorflow_datasets as tfds

    found = tf.io.gfile.glob(os.path.join(tfds_dir, name, "*", "dataset_info.json"))
    if not found:
        raise InputError(
            f"{os.path.join(tfds_dir, name)}: no prepared set there; get it with "
            f"`tfds build {name} --data_dir={tfds_dir}`"
        )

    def version(path: str) -> list[int]:
        numbers = os.path.basename(os.path.dirname(path)).split(".")
        return [int(number) if number.isdigit() else -1 for number in numbers]

    folder = absolute(os.path.dirname(max(found, key=version)))
    return folder, tfds.builder_from_directory(folder)


def _items(folder: str, builder, split: str, *, labelled: bool = False) -> list[Item]:  # type: ignore[no-untyped-def]
    """Returns one item per example of the split; labels are read here for the index."""
    if split not in builder.info.splits:
        raise InputError(f"{folder}: the set has no {split} split")
    count = builder.info.splits[split].num_examples
    source = f"{folder}:{split}"
    if not labelled:
        return [Item(f"{split}:{record}", source, record=record) for record in range(count)]
    import tensorflow_datasets as tfds

    # Videos stay encoded, so that this pass only reads the records.
    decoders = tfds.decode.PartialDecoding({"label": True})
    examples = builder.as_dataset(split=split, shuffle_files=False, decoders=decoders)
    labels = [int(example["label"]) for example in examples.as_numpy_iterator()]
    return [Item(f"{split}:{record}", source, label, record) for record, label in enumerate(labels)]
