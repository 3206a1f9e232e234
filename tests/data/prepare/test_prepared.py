"""Clips out of prepared records: exact, resumable, refused when something is missing."""

import h5py
import numpy as np
import pytest
import tensorflow as tf

from tests.beam import NEEDS_BEAM
from tests.data.prepare.stored import CLIP, read_set, take, videos_of
from tests.data.videos import encode, numbered_frames
from trivd_tf.base.errors import InputError
from trivd_tf.data import ClipSpec, Prepared
from trivd_tf.data.prepare import prepare

pytestmark = NEEDS_BEAM


def test_clips_from_records_are_the_videos_own(numbered_set):
    source = Prepared(data_dir=numbered_set["raw"])
    count = source.num_evaluation_clips(CLIP, "train")
    shown: dict[str, set] = {}
    for split in ("train", "test"):
        total = source.num_evaluation_clips(CLIP, split)
        clips = videos_of(
            take(source.evaluation_clips(CLIP, split=split, num_clips=total, batch_size=32))
        )
        video, frame = clips[..., 0, 0, 1], clips[..., 0, 0, 0].astype(int)
        assert (video == video[:, :1]).all()
        assert (np.diff(frame, axis=1) == 1).all()
        assert (clips[..., 2] == numbered_frames(0, 1)[0, :, 8:40, 2]).all()
        shown[split] = set(zip(video[:, 0].tolist(), frame[:, 0].tolist(), strict=True))
        assert len(shown[split]) == total
    assert {video for video, _ in shown["train"]}.isdisjoint(video for video, _ in shown["test"])
    assert len(shown["train"] | shown["test"]) == sum(20 + video - 4 for video in range(12))
    epoch = videos_of(take(source.training_clips(CLIP, seed=0, batch_size=count), 1))
    starts = zip(epoch[:, 0, 0, 0, 1].tolist(), epoch[:, 0, 0, 0, 0].tolist(), strict=True)
    assert set(starts) == shown["train"]


def test_a_set_of_classes_and_arrays(tmp_path):
    """An array of two walking videos, a file of a running one: the labels are the subfolders'."""
    (tmp_path / "videos" / "walk").mkdir(parents=True)
    walks = np.stack([numbered_frames(video, 9) for video in (0, 2)])
    np.save(tmp_path / "videos" / "walk" / "v.npy", walks)
    encode(tmp_path / "videos" / "run" / "1.mkv", numbered_frames(1, 11))
    (tmp_path / "videos" / "notes.txt").write_text("no video")
    output = prepare(
        "folder", videos=str(tmp_path / "videos"), output=str(tmp_path / "set"), size=32
    ).output
    source = Prepared(data_dir=output, train_splits="train+test")
    assert source.class_names == ("run", "walk")
    clip = ClipSpec(num_conditioning_frames=1, num_predicted_frames=1, size=32)
    count = source.num_evaluation_clips(clip, "train")
    batches = list(source.evaluation_clips(clip, split="train", num_clips=count, batch_size=64))
    shown = batches[0]["video"].numpy()
    np.testing.assert_array_equal(batches[0]["label"], 1 - shown[:, 0, 0, 0, 1] % 2)
    for video in (0, 1, 2):
        some = next(clip for clip in shown if clip[0, 0, 0, 1] == video)
        first = int(some[0, 0, 0, 0])
        np.testing.assert_array_equal(some[0], numbered_frames(video, 11)[first, :, 8:40])


def test_a_set_of_an_hdf5_file_keeps_its_splits(tmp_path):
    frames = np.concatenate([numbered_frames(video, 8) for video in range(3)])
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["train_data"], file["train_idx"] = frames[:8], np.array([0])
        file["test_data"], file["test_idx"] = frames[8:], np.array([0, 8])
    output = prepare(
        "folder", videos=str(tmp_path / "v.h5"), output=str(tmp_path / "set"), size=32
    ).output
    stored = read_set(output)
    assert {split: len(examples) for split, examples in stored.items()} == {"train": 1, "test": 2}
    with pytest.raises(InputError, match=r"v\.npy: cannot be read"):
        prepare("folder", videos=str(tmp_path / "v.npy"), output=str(tmp_path / "none"))


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_a_set_of_rectangles(tmp_path, encoding):
    """32 x 48 covers 32 x 40 as it is; the crop is drawn on the longer axis alone."""
    for video in range(2):
        encode(tmp_path / "videos" / f"{video}.mkv", numbered_frames(video, 12))
    options = {"encoding": encoding, "size": (32, 40), "train_fraction": 0.5}
    output = prepare(
        "folder", videos=str(tmp_path / "videos"), output=str(tmp_path / "set"), **options
    ).output
    source = Prepared(data_dir=output)
    clip = ClipSpec(num_conditioning_frames=2, num_predicted_frames=3, size=(32, 40))
    expected = numbered_frames(0, 1)[0, :, 4:44, 2]
    centre = videos_of(
        take(source.evaluation_clips(clip, split="train", num_clips=2, batch_size=2))
    )
    assert centre.shape == (2, 5, 32, 40, 3)
    assert np.abs(centre[..., 2].astype(int) - expected).max() <= (12 if encoding == "jpeg" else 0)
    assert videos_of(take(source.training_clips(clip, seed=0, batch_size=4), 1)).shape[2] == 32
    with pytest.raises(InputError, match=r"at size \(32, 40\).* --size 32$"):
        source.prepare(ClipSpec(size=32))


@pytest.mark.parametrize("encoding", ["raw", "jpeg"])
def test_stream_resumes_at_the_exact_clip_and_splits_over_devices(numbered_set, encoding):
    def stream(count, **options):
        source = Prepared(data_dir=numbered_set[encoding])
        return videos_of(take(source.training_clips(CLIP, seed=5, **options), count))

    whole = stream(5, batch_size=8)
    assert np.array_equal(stream(3, batch_size=9, start=13), whole[13:40])
    halves = [
        stream(5, batch_size=8, shard_count=2, shard_index=shard).reshape(5, 4, -1)
        for shard in range(2)
    ]
    assert np.array_equal(np.concatenate(halves, axis=1).reshape(40, -1), whole.reshape(40, -1))


@pytest.mark.parametrize(
    ("stride", "splits"), [(1, "train+test"), (2, "train"), (1, "test[50%:]+train[:40%]")]
)
def test_jpeg_clips_are_the_raw_ones_but_for_compression(numbered_set, stride, splits):
    clip = ClipSpec(num_conditioning_frames=2, num_predicted_frames=3, size=32, stride=stride)
    raw, jpeg = (
        videos_of(take(Prepared(
            data_dir=numbered_set[encoding], train_splits=splits).training_clips(
            clip, seed=1, batch_size=16), 2))
        for encoding in ("raw", "jpeg")
    )  # fmt: skip
    assert raw.shape == jpeg.shape
    assert np.abs(raw.astype(int) - jpeg).mean() < 3
    source = Prepared(data_dir=numbered_set["jpeg"])
    sizes = [len(batch["label"]) for batch in take(
        source.evaluation_clips(clip, split="test", num_clips=7, batch_size=3))]  # fmt: skip
    assert sizes == [3, 3, 1]
    stored = read_set(numbered_set["jpeg"])
    assert stored["train"][0]["video"].shape[1:] == (32, 48, 3)


def test_remote_paths_are_read_through_gfile(numbered_set):
    local, remote = (
        videos_of(take(Prepared(data_dir=prefix + numbered_set["raw"]).training_clips(
            CLIP, seed=1, batch_size=16), 2))
        for prefix in ("", "file://")
    )  # fmt: skip
    assert np.array_equal(local, remote)


def test_records_that_were_cut_off_later_are_noticed(numbered_set, tmp_path):
    import shutil

    copied = tmp_path / "copied"
    shutil.copytree(numbered_set["raw"], copied)
    for path in copied.glob("*.tfrecord-*"):
        path.write_bytes(path.read_bytes()[:1000])
    source = Prepared(data_dir=str(copied))
    with pytest.raises(tf.errors.OpError, match="prepare the data set again"):
        take(source.training_clips(CLIP, seed=0, batch_size=4), 1)


def test_prepared_source_refuses_what_it_does_not_hold(numbered_set, tmp_path):
    with pytest.raises(InputError, match="no prepared data set"):
        Prepared(data_dir=str(tmp_path)).prepare(CLIP)
    with pytest.raises(InputError, match="prepared at size 32"):
        Prepared(data_dir=numbered_set["raw"]).prepare(ClipSpec(size=64))
    with pytest.raises(InputError, match="holds the splits test, train"):
        Prepared(data_dir=numbered_set["raw"], train_splits="train+val").prepare(CLIP)
    with pytest.raises(InputError, match="no video has the 100 frames"):
        Prepared(data_dir=numbered_set["raw"]).prepare(
            ClipSpec(num_conditioning_frames=1, num_predicted_frames=99, size=32)
        )
    fingerprints = {
        Prepared(data_dir=numbered_set[encoding]).fingerprint(CLIP, split)
        for encoding in ("raw", "jpeg")
        for split in ("train", "test")
    }
    assert len(fingerprints) == 4
