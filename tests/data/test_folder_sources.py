"""What a folder may hold besides video files: arrays, and a subfolder for each class."""

import h5py
import numpy as np
import pytest

from tests.data.videos import encode, numbered_frames
from trivd_tf.base.errors import InputError
from trivd_tf.data import ClipSpec, VideoFolder
from trivd_tf.experiment import Experiment

CLIP = ClipSpec(num_conditioning_frames=2, num_predicted_frames=3, size=32)
VIDEOS = np.stack([numbered_frames(video, 12) for video in range(4)])


def take(batches, count=None):
    batches = batches if count is None else batches.take(count)
    return {
        key: np.concatenate([batch[key] for batch in batches.as_numpy_iterator()])
        for key in ("video", "label")
    }


def evaluation(source, split, clip=CLIP):
    count = source.num_evaluation_clips(clip, split)
    return take(source.evaluation_clips(clip, split=split, num_clips=count, batch_size=64))


def videos_in(source, split):
    return set(np.unique(evaluation(source, split)["video"][..., 1]).tolist())


def folder(path, cache_dir, **options):
    return VideoFolder(data_dir=str(path), cache_dir=cache_dir, **options)


def test_an_array_file_in_place_of_a_folder_gives_its_own_pixels(tmp_path, cache_dir):
    np.save(tmp_path / "v.npy", VIDEOS)
    source = folder(tmp_path / "v.npy", cache_dir, train_fraction=0.5, split_by="file")
    train, test = (videos_in(source, split) for split in ("train", "test"))
    assert train | test == {0, 1, 2, 3}
    assert not train & test
    clips = evaluation(source, "test")["video"]
    assert len(clips) == 2 * 8
    for clip in clips:
        first, video = clip[0, 0, 0, :2]
        expected = VIDEOS[video, first : first + 5, :, 8:40]
        np.testing.assert_array_equal(clip, expected)
    strided = ClipSpec(num_conditioning_frames=2, num_predicted_frames=2, size=(16, 24), stride=3)
    trained = take(source.training_clips(strided, seed=0, batch_size=4), 1)["video"]
    assert trained.shape == (4, 4, 16, 24, 3)
    assert (np.diff(trained[..., 0, 0, 0].astype(int), axis=1) == 3).all()


def test_axes_are_stated_in_the_name_or_asked_for(tmp_path, cache_dir):
    grey = VIDEOS.mean(axis=-1).astype(np.uint8)
    np.save(tmp_path / "v.npy", grey.swapaxes(0, 1))
    with pytest.raises(InputError, match=r"state the order.*v\.npy:TNHW"):
        folder(tmp_path / "v.npy", cache_dir).prepare(CLIP)
    source = folder(f"{tmp_path}/v.npy:TNHW", cache_dir, split_by="time", train_fraction=0.5)
    clips = evaluation(source, "test")["video"]
    assert any(np.array_equal(clips[0, ..., 0], video[6:11, :, 8:40]) for video in grey)


def test_arrays_and_files_share_a_folder(tmp_path, cache_dir, caplog):
    np.savez(tmp_path / "a.npz", VIDEOS[:2])
    encode(tmp_path / "b.mkv", VIDEOS[2])
    np.save(tmp_path / "c.npy", VIDEOS / 255.0)
    source = folder(tmp_path, cache_dir, split_by="time", train_fraction=0.5)
    assert videos_in(source, "train") == {0, 1, 2}
    assert "skipped" in caplog.text
    assert "c.npy: holds float64" in caplog.text


def test_the_splits_of_an_hdf5_file_are_kept(tmp_path, cache_dir):
    frames = VIDEOS.reshape(-1, 32, 48, 3)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["train_data"], file["train_idx"] = frames[:12], np.array([0])
        file["test_data"], file["test_idx"] = frames[12:], np.array([0, 12, 24])
    source = folder(tmp_path / "v.h5", cache_dir)
    assert videos_in(source, "train") == {0}
    assert videos_in(source, "test") == {1, 2, 3}


@pytest.fixture
def classes(tmp_path):
    """Videos 0 and 2 walk, 1 and 3 run; what is no video makes no class."""
    for video, name in enumerate(["walk/a.mkv", "run/b.mkv", "walk/deep/c.mkv", "run/d.npy"]):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npy":
            np.save(path, VIDEOS[video])
        else:
            encode(path, VIDEOS[video])
    (tmp_path / "videos" / "licence").mkdir()
    (tmp_path / "videos" / "licence" / "text.txt").write_text("free")
    (tmp_path / "videos" / "readme.txt").write_text("free")
    return tmp_path / "videos"


def test_subfolders_are_classes_in_the_order_of_their_names(classes, cache_dir):
    source = folder(classes, cache_dir, split_by="time", train_fraction=0.5)
    assert source.class_names == ("run", "walk")
    assert source.num_classes == 2
    for batch in (
        evaluation(source, "test"),
        take(source.training_clips(CLIP, seed=0, batch_size=8), 2),
    ):
        videos = batch["video"][:, 0, 0, 0, 1]
        assert set(videos.tolist()) == {0, 1, 2, 3}
        np.testing.assert_array_equal(batch["label"], 1 - videos % 2)


def test_a_video_beside_the_subfolders_has_no_class(classes, cache_dir):
    encode(classes / "e.mkv", VIDEOS[0])
    source = folder(classes, cache_dir)
    assert source.class_names == ()
    assert not evaluation(source, "train")["label"].any()
    experiment = Experiment(CLIP, source, None, None, None, None, class_conditional=True)
    with pytest.raises(InputError, match="a subfolder for each class"):
        _ = experiment.labels
