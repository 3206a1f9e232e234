"""The paper's data sets in small, laid out as they are downloaded."""

import csv
import io
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from tests.data.videos import encode, moving_frames, numbered_frames

KINETICS_ROWS = [
    # label, id, start, end, split
    ("abseiling", "aaaaaaaaaaa", 1, 11, "train"),
    ("zumba", "bb-b_bbbbbb", 20, 30, "train"),
    ("abseiling", "ccccccccccc", 0, 10, "train"),
    ("zumba", "ddddddddddd", 5, 15, "train"),  # no such file
    ("zumba", "eeeeeeeeeee", 5, 15, "train"),  # truncated
    ("abseiling", "fffffffffff", 5, 15, "train"),  # no video at all
    ("yoga", "ggggggggggg", 7, 17, "validate"),
    ("abseiling", "aaaaaaaaaaa", 1, 11, "train"),  # listed again
]


def make_kinetics(folder: Path, *, class_folders: bool = True) -> tuple[str, list[str]]:
    """Kinetics-600 with missing and broken files; returns the videos' folder and the CSV files."""
    videos = folder / "videos"
    for number, (label, name, start, end, split) in enumerate(KINETICS_ROWS[:7]):
        if name[0] == "d":
            continue
        inside = videos / split / label if class_folders else videos
        path = inside / f"{name}_{start:06d}_{end:06d}.mp4"
        # Frame numbers survive the codec well enough in steps of 5 grey levels.
        encode(path, moving_frames(24 + number), codec="mpeg4", pixel_format="yuv420p")
        if name[0] == "e":
            path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 5])
        if name[0] == "f":
            path.write_text("HTTP 429 Too Many Requests")
    test = videos / "test" / f"{'h' * 11}_000003_000013.mp4"
    encode(test, moving_frames(24), codec="mpeg4", pixel_format="yuv420p")
    annotations = []
    for split in ("train", "validate"):
        annotations.append(str(folder / f"{split}.csv"))
        with open(annotations[-1], "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["label", "youtube_id", "time_start", "time_end", "split"])
            writer.writerows(row for row in KINETICS_ROWS if row[4] == split)
    annotations.append(str(folder / "test.csv"))
    Path(annotations[-1]).write_text(  # without labels, as the test set once came
        f"youtube_id,time_start,time_end,split\n{'h' * 11},3,13,test\n"
    )
    return str(videos), annotations


UCF_CLASSES = ("ApplyEyeMakeup", "YoYo")


def make_ucf101(folder: Path) -> tuple[str, str]:
    """UCF-101/ and ucfTrainTestlist/ with two classes, groups 1, 8, 15 and 22, a clip each."""
    videos, lists = folder / "UCF-101", folder / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    groups = {1: 1, 8: 2, 15: 3, 22: 0}  # group -> the official split that tests on it
    lines: dict[str, list[str]] = {}
    for label, name in enumerate(UCF_CLASSES, start=1):
        for group, tests in groups.items():
            file = f"{name}/v_{name}_g{group:02d}_c01.avi"
            frames = moving_frames(18, 60, 80)
            encode(videos / file, frames, codec="mpeg4", pixel_format="yuv420p")
            for split in (1, 2, 3):
                role = "test" if tests == split else "train"
                line = file if role == "test" else f"{file} {label}"
                lines.setdefault(f"{role}list{split:02d}.txt", []).append(line)
    for name, content in lines.items():
        (lists / name).write_text("\n".join(content) + "\n")
    (lists / "classInd.txt").write_text("1 ApplyEyeMakeup\n2 YoYo\n")
    return str(videos), str(lists)


def bair_frames(video: int, camera: int, count: int = 30) -> np.ndarray:
    """Frames of one camera: red is the frame, green the video, blue the camera."""
    frames = numbered_frames(video, count, 64, 64)
    frames[..., 2] = 100 * camera
    return frames


def make_bair(folder: Path, *, encoding: str = "raw", train: int = 10, test: int = 3) -> str:
    """softmotion30_44k/ with the original feature names: four training videos a file."""
    root = folder / "softmotion30_44k"
    for split, count in (("train", train), ("test", test)):
        (root / split).mkdir(parents=True)
        for first in range(0, count, 4):
            last = min(first + 4, count) - 1
            path = root / split / f"traj_{first}_to_{last}.tfrecords"
            with tf.io.TFRecordWriter(str(path)) as writer:
                for video in range(first, last + 1):
                    number = video if split == "train" else 100 + video
                    writer.write(_bair_example(number, encoding))
    return str(root)


def _bair_example(video: int, encoding: str) -> bytes:
    features = {}
    for camera, name in enumerate(("image_main", "image_aux1"), start=1):
        for t, frame in enumerate(bair_frames(video, camera)):
            features[f"{t}/{name}/encoded"] = _bytes(_encode(frame, encoding))
    for t in range(30):
        for name, width in (("action", 4), ("endeffector_pos", 3)):
            features[f"{t}/{name}"] = tf.train.Feature(
                float_list=tf.train.FloatList(value=[0.5] * width)
            )
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _encode(frame: np.ndarray, encoding: str) -> bytes:
    if encoding == "raw":
        return frame.tobytes()
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "PNG")
    return file.getvalue()


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def make_tfds(folder: Path, name: str, features, splits: dict[str, list]) -> str:
    """A set as TensorFlow Datasets leaves it below `folder`: two shards a split where it can."""
    import tensorflow_datasets as tfds

    place = folder / name / "1.0.0"
    place.mkdir(parents=True)
    short = name.split("/")[0]
    infos = []
    for split, examples in splits.items():
        template = tfds.core.ShardedFileTemplate(
            data_dir=place, dataset_name=short, split=split, filetype_suffix="tfrecord"
        )
        half = (len(examples) + 1) // 2
        lengths = [len(part) for part in (examples[:half], examples[half:]) if part]
        first = 0
        for number, length in enumerate(lengths):
            path = place / f"{short}-{split}.tfrecord-{number:05d}-of-{len(lengths):05d}"
            with tf.io.TFRecordWriter(str(path)) as writer:
                for example in examples[first : first + length]:
                    writer.write(features.serialize_example(features.encode_example(example)))
            first += length
        infos.append(
            tfds.core.SplitInfo(
                name=split, shard_lengths=lengths, num_bytes=1, filename_template=template
            )
        )
    tfds.folder_dataset.write_metadata(
        data_dir=place, features=features, split_infos=infos, version="1.0.0", check_data=False
    )
    return str(folder)
