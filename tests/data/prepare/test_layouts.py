"""Real layouts in small, through Beam and back."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.beam import NEEDS_BEAM
from tests.data.prepare import sources
from tests.data.prepare.stored import CLIP, read_set, take, videos_of
from tests.data.videos import encode, numbered_frames
from trivd_tf.base.errors import InputError
from trivd_tf.data import BAIR, UCF101, ClipSpec, Kinetics600, MovingMNIST
from trivd_tf.data.files.decode import decode_frames
from trivd_tf.data.prepare import prepare

pytestmark = NEEDS_BEAM


def test_kinetics_is_stored_with_labels_ids_rates_and_sources(kinetics):
    videos, _, report = kinetics
    stored = read_set(report.output)
    assert {split: len(examples) for split, examples in stored.items()} == {
        "train": 3,
        "validation": 1,
        "test": 1,
    }
    by_id = {example["id"].decode(): example for example in stored["train"]}
    assert set(by_id) == {
        "aaaaaaaaaaa_000001_000011",
        "bb-b_bbbbbb_000020_000030",
        "ccccccccccc_000000_000010",
    }
    example = by_id["bb-b_bbbbbb_000020_000030"]
    assert example["label"] == 2  # of abseiling, yoga, zumba
    assert example["frame_rate"] == 25
    path = Path(videos) / example["source"].decode()
    assert path.parent.name == "zumba"
    assert np.array_equal(example["video"], np.stack(list(decode_frames(path, size=32))))
    assert stored["test"][0]["label"] == -1


def test_kinetics_report_counts_and_names_what_was_skipped(kinetics):
    _, _, report = kinetics
    content = json.loads((Path(report.output) / "report.json").read_text())
    assert content == report.content
    assert (content["listed"], content["read"], content["written"], content["skipped"]) == (
        9, 7, 5, 4,
    )  # fmt: skip
    reasons = {entry["id"][0]: entry["reason"] for entry in content["skipped_videos"]}
    assert reasons["d"] == "no such file"
    assert reasons["a"] == "listed more than once"
    assert "not a video" in reasons["f"]
    assert "truncated" in reasons["e"] or "damaged" in reasons["e"]
    assert content["class_names"] == ["abseiling", "yoga", "zumba"]
    assert not (Path(report.output) / ".work").exists()


def test_kinetics_source_gives_labelled_clips(kinetics):
    _, _, report = kinetics
    source = Kinetics600(data_dir=report.output)
    assert source.num_classes == 3
    assert source.num_evaluation_clips(CLIP, "train") == (24 - 4) + (25 - 4) + (26 - 4)
    assert (
        Kinetics600(data_dir=report.output, test_split="test").num_evaluation_clips(CLIP, "test")
        == 24 - 4
    )
    labels = np.concatenate(
        [batch["label"] for batch in take(source.training_clips(CLIP, seed=0, batch_size=9), 7)]
    )
    assert sorted(set(labels.tolist())) == [0, 2]


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_labels_stay_with_their_clips(tmp_path, encoding):
    classes = ("Archery", "Bowling", "Diving")
    lists = tmp_path / "lists"
    lists.mkdir()
    files = {f"{classes[n % 3]}/v_{n}.avi": 20 * n for n in range(9)}  # green -> class n % 3
    for file, green in files.items():
        encode(tmp_path / "videos" / file, numbered_frames(green, 12))
    (lists / "classInd.txt").write_text("".join(f"{n} {c}\n" for n, c in enumerate(classes, 1)))
    for number in (1, 2, 3):
        for role, chosen in (("train", list(files)[:6]), ("test", list(files)[6:])):
            path = lists / f"{role}list{number:02d}.txt"
            path.write_text("".join(f"{file}\n" for file in chosen))
    report = prepare(
        "ucf101",
        videos=str(tmp_path / "videos"),
        annotations=[str(lists)],
        output=str(tmp_path / "out"),
        size=32,
        encoding=encoding,
        videos_per_shard=2,
    )
    source = UCF101(data_dir=report.output)
    batches = take(source.training_clips(CLIP, seed=3, batch_size=16, shard_count=2), 6)
    batches += take(source.training_clips(CLIP, seed=3, batch_size=16, start=5), 3)
    batches += take(source.evaluation_clips(CLIP, split="test", num_clips=20, batch_size=8))
    seen = set()
    for batch in batches:
        videos = np.rint(batch["video"][..., 1].mean(axis=(1, 2, 3)) / 20).astype(int)
        assert batch["label"].tolist() == (videos % 3).tolist()
        seen |= set(videos.tolist())
    assert seen == set(range(9))


def test_flat_folder_of_videos_gives_the_same_set(kinetics, tmp_path):
    _, _, nested = kinetics
    videos, annotations = sources.make_kinetics(tmp_path, class_folders=False)
    report = prepare(
        "kinetics600",
        videos=videos,
        annotations=annotations,
        output=str(tmp_path / "prepared"),
        size=32,
    )
    for split, examples in read_set(report.output).items():
        for example, other in zip(examples, read_set(nested.output)[split], strict=True):
            assert np.array_equal(example["video"], other["video"])
            assert example["id"] == other["id"]


def test_ucf101_stores_each_video_once_for_three_splits(tmp_path):
    videos, lists = sources.make_ucf101(tmp_path)
    report = prepare(
        "ucf101", videos=videos, annotations=[lists], output=str(tmp_path / "out"), size=32
    )
    stored = read_set(report.output)
    assert sum(map(len, stored.values())) == 8
    for split in (1, 2, 3):
        source = UCF101(data_dir=report.output, official_split=split)
        windows = 18 - 4
        assert source.num_evaluation_clips(CLIP, "train") == 6 * windows
        assert source.num_evaluation_clips(CLIP, "test") == 2 * windows
    tested = {
        example["id"].decode()
        for name, examples in stored.items()
        if "test2" in name
        for example in examples
    }
    assert tested == {"v_ApplyEyeMakeup_g08_c01", "v_YoYo_g08_c01"}
    assert source.class_names == ("ApplyEyeMakeup", "YoYo")
    with pytest.raises(InputError, match="holds ucf101, not bair"):
        BAIR(data_dir=report.output).prepare(CLIP)


@pytest.mark.parametrize(
    ("encoding", "camera", "number"), [("raw", "image_main", 1), ("png", "image_aux1", 2)]
)
def test_bair_records_come_through_exactly(tmp_path, encoding, camera, number):
    videos = sources.make_bair(tmp_path, encoding=encoding)
    report = prepare("bair", videos=videos, camera=camera, output=str(tmp_path / "out"))
    stored = read_set(report.output)
    assert {split: len(examples) for split, examples in stored.items()} == {
        "train_first70": 7,
        "train_last30": 3,
        "test": 3,
    }
    for first, split in ((0, "train_first70"), (7, "train_last30"), (100, "test")):
        for video, example in enumerate(stored[split], start=first):
            assert np.array_equal(example["video"], sources.bair_frames(video, number))
    clip = ClipSpec(num_conditioning_frames=1, num_predicted_frames=15)
    for split, train, test in (("original", 10, 3), ("balanced", 7, 6)):
        source = BAIR(data_dir=report.output, split=split)
        assert source.num_evaluation_clips(clip, "train") == train * 15
        assert source.num_evaluation_clips(clip, "test") == test * 15
        shown = videos_of(
            take(source.evaluation_clips(clip, split="test", num_clips=test, batch_size=4))
        )
        numbers = {*range(7, 10)} if split == "balanced" else set()
        assert set(shown[:, 0, 0, 0, 1].tolist()) == numbers | {100, 101, 102}
        assert (shown[:, :, 0, 0, 0] == np.arange(16)).all()  # the first round: from the start on


def test_damaged_bair_file_gives_its_whole_records(tmp_path):
    videos = sources.make_bair(tmp_path)
    broken = Path(videos) / "train" / "traj_4_to_7.tfrecords"
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size * 5 // 8])
    report = prepare("bair", videos=videos, output=str(tmp_path / "out"))
    stored = read_set(report.output)
    assert len(stored["train_first70"]) + len(stored["train_last30"]) == 8
    assert report.content["skipped_videos"][0]["source"] == "train/traj_4_to_7.tfrecords"


def test_sets_of_tensorflow_datasets(tmp_path):
    import tensorflow_datasets as tfds

    digits = [numbered_frames(n, 20, 64, 64)[..., :1] + n for n in range(5)]
    mnist = tfds.features.FeaturesDict(
        {"image_sequence": tfds.features.Video(shape=(20, 64, 64, 1), encoding_format="png")}
    )
    sources.make_tfds(
        tmp_path, "moving_mnist", mnist, {"test": [{"image_sequence": d} for d in digits]}
    )
    robot = tfds.features.FeaturesDict(
        {
            "image_main": tfds.features.Image(shape=(64, 64, 3)),
            "image_aux1": tfds.features.Image(shape=(64, 64, 3)),
            "action": tfds.features.Tensor(shape=(4,), dtype=np.float32),
        }
    )

    def steps(video):
        cameras = (sources.bair_frames(video, camera) for camera in (1, 2))
        return [
            {"image_main": main, "image_aux1": aux, "action": np.zeros(4, np.float32)}
            for main, aux in zip(*cameras, strict=True)
        ]

    sources.make_tfds(
        tmp_path,
        "bair_robot_pushing_small",
        tfds.features.Sequence(robot),
        {"train": [steps(n) for n in range(5)], "test": [steps(100)]},
    )
    actions = tfds.features.FeaturesDict(
        {
            "video": tfds.features.Video(shape=(None, 24, 32, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=list(sources.UCF_CLASSES)),
        }
    )
    clips = [{"video": numbered_frames(n, 9 + n, 24, 32), "label": n % 2} for n in range(3)]
    sources.make_tfds(tmp_path, "ucf101/ucf101_1", actions, {"train": clips, "test": clips[:1]})

    out = str(tmp_path / "out_")
    report = prepare("moving_mnist", tfds_dir=str(tmp_path), output=out + "mnist")
    for example, digit in zip(read_set(report.output)["test"], digits, strict=True):
        assert np.array_equal(example["video"], np.repeat(digit, 3, axis=-1))
    source = MovingMNIST(data_dir=report.output, train_percent=80)
    clip = ClipSpec()
    assert source.num_evaluation_clips(clip, "train") == 4 * 5
    assert source.num_evaluation_clips(clip, "test") == 5

    report = prepare("bair", tfds_dir=str(tmp_path), camera="image_aux1", output=out + "bair")
    stored = read_set(report.output)
    assert [len(stored[name]) for name in ("train_first70", "train_last30", "test")] == [4, 1, 1]
    assert np.array_equal(stored["train_last30"][0]["video"], sources.bair_frames(4, 2))

    report = prepare("ucf101", tfds_dir=str(tmp_path), output=out + "ucf", size=24)
    stored = read_set(report.output)
    assert [example["label"] for example in stored["train1"]] == [0, 1, 0]
    assert np.array_equal(stored["train1"][2]["video"], clips[2]["video"])
    assert UCF101(data_dir=report.output).num_classes == 2
    with pytest.raises(InputError, match="official split 2"):
        UCF101(data_dir=report.output, official_split=2).prepare(ClipSpec(size=24))
    with pytest.raises(InputError, match="tfds build ucf101/ucf101_3"):
        prepare("ucf101", tfds_dir=str(tmp_path), official_split=3, output=out + "none")


def test_sources_may_be_addresses(kinetics, tmp_path):
    videos, annotations, local = kinetics
    remote = prepare(
        "kinetics600",
        videos="file://" + videos,
        annotations=["file://" + path for path in annotations],
        output=str(tmp_path / "kinetics"),
        size=32,
    )
    assert remote.content["content"] == local.content["content"]
    skipped = [report.content["skipped_videos"] for report in (remote, local)]
    assert [entry["reason"] for entry in skipped[0]] == [entry["reason"] for entry in skipped[1]]
    robots = sources.make_bair(tmp_path)
    reports = [
        prepare("bair", videos=prefix + robots, output=str(tmp_path / f"bair{len(prefix)}"))
        for prefix in ("", "file://")
    ]
    assert reports[0].content["content"] == reports[1].content["content"]
    with pytest.raises(InputError, match=r"file:///nowhere: no such folder"):
        prepare("folder", videos="file:///nowhere", output=str(tmp_path / "none"))
