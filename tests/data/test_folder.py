import dataclasses
import logging
import os
import shutil

import numpy as np
import pytest

from tests.data.videos import encode, numbered_frames
from trivd_tf.base.errors import InputError
from trivd_tf.data import VideoFolder
from trivd_tf.data.clips import ClipSpec
from trivd_tf.data.files import decode
from trivd_tf.data.splits import split_videos

CLIP = ClipSpec(num_conditioning_frames=2, num_predicted_frames=3, size=32)


def take(batches, count=None):
    batches = batches if count is None else batches.take(count)
    return np.concatenate([batch["video"] for batch in batches.as_numpy_iterator()])


def identity(video):
    """(video, frame) of every frame of clips made of numbered frames: `[b, T]` each."""
    return video[..., 0, 0, 1].astype(int), video[..., 0, 0, 0].astype(int)


def frames_of(source, clip, split):
    """Every (video, frame) that the evaluation clips of a split show."""
    count = source.num_evaluation_clips(clip, split)
    clips = take(source.evaluation_clips(clip, split=split, num_clips=count, batch_size=64))
    videos, frames = identity(clips)
    return set(zip(videos.ravel(), frames.ravel(), strict=True))


@pytest.fixture
def folder(numbered_videos, cache_dir):
    return VideoFolder(data_dir=str(numbered_videos), cache_dir=cache_dir, train_fraction=0.75)


def test_rectangles_are_cut_out_of_videos_that_cover_them(folder):
    """Videos of 32 x 48: 24 x 40 is covered by 27 x 40, 32 x 40 by the video as it is."""
    clip = dataclasses.replace(CLIP, size=(24, 40))
    assert take(folder.training_clips(clip, seed=0, batch_size=4), 1).shape == (4, 5, 24, 40, 3)
    clip = dataclasses.replace(CLIP, size=(32, 40))
    source = numbered_frames(0, 1)[0, :, :, 2]
    centre = take(folder.evaluation_clips(clip, split="test", num_clips=3, batch_size=3))
    assert (centre[..., 2] == source[:, 4:44]).all()
    random = take(folder.training_clips(clip, seed=0, batch_size=64), 1)[..., 2]
    lefts = {int(video[0, 0, 0]) // 3 for video in random}
    assert lefts == set(range(9))
    assert all((v == source[:, v[0, 0, 0] // 3 :][:, :40]).all() for v in random)


@pytest.mark.parametrize("split_by", ["file", "time"])
@pytest.mark.parametrize("stride", [1, 3])
def test_no_frame_is_in_both_splits_and_clips_are_consecutive(
    numbered_videos, cache_dir, split_by, stride
):
    source = VideoFolder(
        data_dir=str(numbered_videos),
        cache_dir=cache_dir,
        split_by=split_by,
        train_fraction=0.75,
    )
    clip = ClipSpec(num_conditioning_frames=2, num_predicted_frames=3, size=32, stride=stride)
    train, test = (frames_of(source, clip, split) for split in ("train", "test"))
    assert train
    assert test
    assert not train & test
    videos = {"file": 3, "time": 4}[split_by]
    assert len({video for video, _ in train}) == videos
    trained = take(source.training_clips(clip, seed=0, batch_size=16), 12)
    video, frame = identity(trained)
    assert set(zip(video.ravel(), frame.ravel(), strict=True)) <= train
    assert (np.diff(video, axis=1) == 0).all()
    assert (np.diff(frame, axis=1) == stride).all()


def test_all_frames_are_used_when_split_by_time(folder):
    everything = frames_of(folder, CLIP, "train") | frames_of(folder, CLIP, "test")
    assert len(everything) == 40 + 50 + 60 + 70
    # A quarter of each video, at its end.
    assert min(frame for video, frame in frames_of(folder, CLIP, "test") if video == 2) == 45


def test_every_training_window_comes_once_an_epoch(folder):
    count = folder.num_evaluation_clips(CLIP, "train")
    clips = take(folder.training_clips(CLIP, seed=3, batch_size=count), 2)
    videos, frames = identity(clips)
    first = list(zip(videos[:count, 0], frames[:count, 0], strict=True))
    second = list(zip(videos[count:, 0], frames[count:, 0], strict=True))
    assert len(set(first)) == count
    assert set(first) == set(second)
    assert first != second


def test_training_crops_at_random_and_evaluation_in_the_centre(folder):
    clips = take(folder.training_clips(CLIP, seed=0, batch_size=64), 8)
    left = clips[:, 0, 0, 0, 2] // 3  # blue says the column; 48 - 32 leaves 17 offsets
    assert set(left.tolist()) == set(range(17))
    assert (clips[:, 1:, 0, 0, 2] == clips[:, :1, 0, 0, 2]).all()  # the same for all frames
    fixed = take(folder.evaluation_clips(CLIP, split="test", num_clips=9, batch_size=4))
    assert np.array_equal(
        fixed[..., 2], np.broadcast_to(numbered_frames(0, 1)[0, :, 8:40, 2], (9, 5, 32, 32))
    )


def test_stream_is_a_function_of_seed_and_index(folder, numbered_videos, cache_dir):
    again = VideoFolder(data_dir=str(numbered_videos), cache_dir=cache_dir, train_fraction=0.75)
    whole = take(folder.training_clips(CLIP, seed=1, batch_size=6), 4)
    assert np.array_equal(take(again.training_clips(CLIP, seed=1, start=9, batch_size=5), 3),
                          whole[9:24])  # fmt: skip
    halves = [
        take(folder.training_clips(
            CLIP, seed=1, batch_size=6, shard_index=shard, shard_count=2), 4).reshape(4, 3, -1)
        for shard in range(2)
    ]  # fmt: skip
    assert np.array_equal(np.concatenate(halves, axis=1).reshape(24, -1), whole.reshape(24, -1))
    other = take(folder.training_clips(CLIP, seed=2, batch_size=6), 4)
    assert not np.array_equal(other, whole)


def test_evaluation_order_is_fixed_and_a_prefix_spans_all_videos(folder):
    few = take(folder.evaluation_clips(CLIP, split="train", num_clips=12, batch_size=5))
    more = take(folder.evaluation_clips(CLIP, split="train", num_clips=30, batch_size=30))
    assert np.array_equal(more[:12], few)
    assert set(identity(few)[0][:, 0].tolist()) == {0, 1, 2, 3}
    starts = list(zip(*(axis[:, 0].tolist() for axis in identity(more)), strict=True))
    assert len(set(starts)) == 30


def test_videos_of_a_few_files_are_split_by_time_and_of_many_by_file():
    few = split_videos(list("abcd"), [40] * 4, clip=CLIP, train_fraction=0.75, split_by="auto")
    assert [(part.first, part.length) for part in few["test"]] == [(30, 10)] * 4
    names = [f"{number}.mp4" for number in range(40)]
    many = split_videos(names, [40] * 40, clip=CLIP, train_fraction=0.9, split_by="auto")
    assert len(many["test"]) == 4
    assert len(many["train"]) == 36
    # The choice follows the names, not their order.
    turned = split_videos(names[::-1], [40] * 40, clip=CLIP, train_fraction=0.9, split_by="auto")
    assert {names[part.video] for part in many["test"]} == {
        names[::-1][part.video] for part in turned["test"]
    }


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (10, {"train": [(0, 5)], "test": [(5, 5)]}),  # a tenth would hold no window
        (9, {"train": [(0, 9)], "test": []}),  # no room for two
        (100, {"train": [(0, 90)], "test": [(90, 10)]}),
    ],
)
def test_time_split_holds_out_at_least_one_window(length, expected):
    parts = split_videos(["a"], [length], clip=CLIP, train_fraction=0.9, split_by="time")
    assert {
        split: [(part.first, part.length) for part in parts[split]] for split in parts
    } == expected


def test_split_without_a_window_is_an_input_error(tmp_path, cache_dir):
    encode(tmp_path / "videos" / "a.mkv", numbered_frames(0, 9))
    source = VideoFolder(data_dir=str(tmp_path / "videos"), cache_dir=cache_dir)
    assert source.num_evaluation_clips(CLIP, "test") == 0
    with pytest.raises(InputError, match="holds 0"):
        source.evaluation_clips(CLIP, split="test", num_clips=1, batch_size=1)


def test_bad_files_are_each_named_once_counted_and_skipped(
    tmp_path, numbered_videos, cache_dir, caplog
):
    videos = tmp_path / "videos"
    shutil.copytree(numbered_videos, videos)
    (videos / "notes.txt").write_text("about these videos\n" * 100)
    whole = (videos / "c.mkv").read_bytes()
    (videos / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    encode(videos / "short.mkv", numbered_frames(9, 4))
    os.symlink(videos / "nowhere.mkv", videos / "broken_link.mkv")
    (videos / ".hidden").write_text("not looked at")
    source = VideoFolder(data_dir=str(videos), cache_dir=cache_dir)
    with caplog.at_level(logging.WARNING):
        source.prepare(CLIP)
        source.prepare(CLIP)
        source.prepare(ClipSpec(num_conditioning_frames=2, num_predicted_frames=3, size=16))
    messages = [record.getMessage() for record in caplog.records]
    for name in ("notes.txt", "cut.mkv", "short.mkv", "broken_link.mkv"):
        assert len([message for message in messages if f"/{name}" in message]) == 1, name
    assert f"4 of 8 files in {videos} skipped" in messages
    assert {video for video, _ in frames_of(source, CLIP, "train")} == {0, 1, 2, 3}


def test_links_in_circles_and_to_the_same_video_count_once(tmp_path, numbered_videos, cache_dir):
    videos = tmp_path / "videos"
    shutil.copytree(numbered_videos, videos)
    os.symlink(videos, videos / "deep" / "circle")
    os.symlink(videos / "a.mkv", videos / "again.mkv")
    source = VideoFolder(data_dir=str(videos), cache_dir=cache_dir, train_fraction=0.75)
    plain = VideoFolder(data_dir=str(numbered_videos), cache_dir=cache_dir, train_fraction=0.75)
    assert source.num_evaluation_clips(CLIP, "train") == plain.num_evaluation_clips(CLIP, "train")


def test_a_link_to_itself_is_named_and_the_rest_is_read(
    tmp_path, numbered_videos, cache_dir, caplog
):
    shutil.copy(min(numbered_videos.iterdir()), tmp_path / "a.avi")
    (tmp_path / "loop.avi").symlink_to("loop.avi")
    (tmp_path / "there").symlink_to("back")
    (tmp_path / "back").symlink_to("there")
    source = VideoFolder(data_dir=str(tmp_path), cache_dir=str(cache_dir))
    source.prepare(CLIP)
    assert source.num_evaluation_clips(CLIP, "train") > 0
    assert "loop.avi" in caplog.text
    assert "3 of 4 files" in caplog.text


def test_a_folder_of_numbered_files_that_are_no_videos_is_named_in_one_line(
    tmp_path, numbered_videos, cache_dir, caplog
):
    shutil.copy(min(numbered_videos.iterdir()), tmp_path / "a.avi")
    for number in range(50):
        (tmp_path / f"{number:04d}.txt").write_text("no video")
    VideoFolder(data_dir=str(tmp_path), cache_dir=str(cache_dir)).prepare(CLIP)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert "0000.txt" in lines[0]
    assert lines[1] == f"skipped 49 more files *.txt in {tmp_path}"


def test_the_inventory_tells_which_file_changed(tmp_path, numbered_videos, cache_dir):
    first, second = sorted(numbered_videos.iterdir())[:2]
    shutil.copy(first, tmp_path / "a.avi")
    shutil.copy(second, tmp_path / "b.avi")

    def inventory():
        return VideoFolder(data_dir=str(tmp_path), cache_dir=str(cache_dir)).inventory(CLIP)

    before = inventory()
    assert set(before) == {"a.avi", "b.avi"}
    shutil.copy(second, tmp_path / "a.avi")
    os.utime(tmp_path / "a.avi", (1, 1))
    after = inventory()
    assert after["a.avi"] != before["a.avi"]
    assert after["b.avi"] == before["b.avi"]


def test_cache_inside_the_folder_is_not_taken_for_videos(tmp_path, numbered_videos):
    videos = tmp_path / "videos"
    shutil.copytree(numbered_videos, videos)
    for _ in range(2):
        source = VideoFolder(data_dir=str(videos), cache_dir=str(videos / "cache"))
        source.prepare(CLIP)
        assert len(source._prepared[CLIP].entries) == 4


def test_second_run_decodes_nothing(numbered_videos, cache_dir, monkeypatch):
    VideoFolder(data_dir=str(numbered_videos), cache_dir=cache_dir).prepare(CLIP)

    def refuse(path, **options):
        raise AssertionError(f"{path} is decoded again")

    monkeypatch.setattr(decode, "decode_frames", refuse)
    VideoFolder(data_dir=str(numbered_videos), cache_dir=cache_dir).prepare(CLIP)


def test_fingerprint_follows_data_split_and_windows(tmp_path, numbered_videos, cache_dir):
    def fingerprint(data_dir=numbered_videos, clip=CLIP, split="test", **options):
        source = VideoFolder(data_dir=str(data_dir), cache_dir=cache_dir, **options)
        return source.fingerprint(clip, split)

    copied = tmp_path / "copied"
    shutil.copytree(numbered_videos, copied)
    assert fingerprint(copied) == fingerprint()  # the same files elsewhere
    encode(copied / "a.mkv", numbered_frames(7, 41))
    wider = ClipSpec(num_conditioning_frames=2, num_predicted_frames=3, size=32, stride=2)
    keys = [
        fingerprint(),
        fingerprint(copied),
        fingerprint(split="train"),
        fingerprint(clip=wider),
        fingerprint(train_fraction=0.5),
    ]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such folder"),
        ({}, "the folder is empty"),
        ({"a.mp4": b"no", "b.txt": b"no"}, "none of its 2 files"),
    ],
)
def test_folder_without_videos_is_one_line(tmp_path, cache_dir, content, message):
    data_dir = tmp_path / "videos"
    if content is not None:
        data_dir.mkdir()
        for name, data in content.items():
            (data_dir / name).write_bytes(data)
    with pytest.raises(InputError, match=message) as error:
        VideoFolder(data_dir=str(data_dir), cache_dir=cache_dir).prepare(CLIP)
    assert str(data_dir) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "options",
    [
        {"data_dir": ""},
        {"data_dir": "x", "train_fraction": 1.0},
        {"data_dir": "x", "split_by": "size"},
        {"data_dir": "x", "num_workers": 0},
    ],
)
def test_options_are_checked(options):
    with pytest.raises(InputError, match="received"):
        VideoFolder(**options)
