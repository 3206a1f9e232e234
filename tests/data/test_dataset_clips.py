"""Clips of a tf.data.Dataset of the user's own."""

import doctest
import itertools

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.data import ClipSpec, DatasetClips, dataset_clips

SPEC = ClipSpec(num_conditioning_frames=1, num_predicted_frames=1, size=8)
CLIPS = np.random.default_rng(0).integers(0, 256, (5, 2, 8, 8, 3), np.uint8)
LABELS = np.array([0, 1, 2, 1, 0])
from_slices = tf.data.Dataset.from_tensor_slices


def videos(source, count=1, **options):
    batches = source.training_clips(SPEC, **{"seed": 0, "batch_size": 3} | options)
    return [batch["video"].numpy() for batch in itertools.islice(batches, count)]


@pytest.mark.parametrize(
    "dataset",
    [
        from_slices(CLIPS),
        from_slices(CLIPS).batch(2),
        from_slices((CLIPS, LABELS)),
        from_slices({"video": CLIPS, "label": LABELS, "name": list("abcde")}),
        from_slices({"video": CLIPS}).batch(3),
        from_slices((CLIPS / 127.5 - 1).astype(np.float32)),
        from_slices(CLIPS / 127.5 - 1),
    ],
)
def test_every_form_gives_the_same_endless_clips(dataset):
    endless = np.concatenate([CLIPS, CLIPS])
    first, second = videos(DatasetClips(dataset), 2)
    np.testing.assert_array_equal(first, endless[:3])
    np.testing.assert_array_equal(second, endless[3:6])
    assert first.dtype == np.uint8


def test_labels_follow_their_clips_where_classes_have_names():
    for dataset in (
        from_slices((CLIPS, LABELS)).batch(2),
        from_slices({"video": CLIPS, "label": LABELS}),
    ):
        named = DatasetClips(dataset, class_names="abc")
        batch = next(iter(named.training_clips(SPEC, seed=0, batch_size=5)))
        assert (batch["label"].numpy().tolist(), batch["label"].dtype) == (
            LABELS.tolist(),
            tf.int32,
        )
        plain = next(iter(DatasetClips(dataset).training_clips(SPEC, seed=0, batch_size=5)))
        assert plain["label"].numpy().tolist() == [0] * 5


def test_a_resumed_run_and_workers_get_their_own_clips():
    source = DatasetClips(from_slices(CLIPS))
    whole = np.concatenate(videos(source, 4, batch_size=4))
    np.testing.assert_array_equal(
        np.concatenate(videos(source, 2, batch_size=4, start=8)), whole[8:]
    )
    for shard in (0, 1):
        own = videos(source, 2, batch_size=4, shard_count=2, shard_index=shard)
        expected = [whole[first + 2 * shard :][:2] for first in (0, 4)]
        np.testing.assert_array_equal(own, expected)


def test_evaluation_clips_are_those_of_the_split():
    source = DatasetClips(from_slices(CLIPS), from_slices(CLIPS[::-1]), name="mine")
    assert source.has_test_clips
    assert [source.num_evaluation_clips(SPEC, split) for split in ("train", "test")] == [5, 5]
    batches = source.evaluation_clips(SPEC, split="test", num_clips=3, batch_size=2, first_clip=1)
    found = [batch["video"].numpy() for batch in batches]
    assert [len(batch) for batch in found] == [2, 1]
    np.testing.assert_array_equal(np.concatenate(found), CLIPS[::-1][1:4])
    with pytest.raises(InputError, match="the test split holds 5 of 2 frames"):
        source.evaluation_clips(SPEC, split="test", num_clips=5, batch_size=2, first_clip=1)


def test_fingerprints_follow_the_clips():
    changed = CLIPS.copy()
    changed[4, 1, 7, 7, 2] ^= 1
    keys = {
        DatasetClips(from_slices(clips)).fingerprint(SPEC, "train")
        for clips in (CLIPS, CLIPS, changed, CLIPS[:4])
    }
    assert len(keys) == 3


def test_without_test_clips_or_a_number_of_clips_one_line_says_what_to_do():
    source = DatasetClips(from_slices(CLIPS), name="mine")
    assert not source.has_test_clips
    assert source.fingerprint(SPEC, "test") == "mine-test-none"
    with pytest.raises(InputError, match=r"mine has no test clips: give test_dataset"):
        source.num_evaluation_clips(SPEC, "test")
    assert DatasetClips(from_slices(CLIPS).repeat()).num_evaluation_clips(SPEC, "train") > 10**9
    unknown = DatasetClips(from_slices(CLIPS).filter(lambda clip: True))
    with pytest.raises(InputError, match="assert_cardinality"):
        unknown.num_evaluation_clips(SPEC, "train")


@pytest.mark.parametrize(
    ("dataset", "options", "wanted"),
    [
        (from_slices(CLIPS[..., :4, :]), {}, r"must be \[2, 8, 8, 3\].*received \[2, 8, 4, 3\]"),
        (from_slices(CLIPS[:, :1]), {}, r"received \[1, 8, 8, 3\].*ClipSpec"),
        (from_slices(CLIPS / 255), {}, None),
        (from_slices(CLIPS * 1.0), {}, r"float64 from 0 to 255: use video / 127\.5 - 1"),
        (from_slices(CLIPS.astype(np.int32)), {}, r"must be uint8, or floats.*int32"),
        (from_slices((CLIPS, CLIPS, CLIPS)), {}, r"elements must be a video"),
        (from_slices({"frames": CLIPS}), {}, r"dict with 'video'"),
        (from_slices(CLIPS), {"class_names": "ab"}, "received class_names, but elements hold no"),
        (
            from_slices((CLIPS, LABELS)).skip(2),
            {"class_names": "ab"},
            r"labels must lie in \[0, 2\)",
        ),
        (from_slices(CLIPS).take(0), {}, "the data set of train clips is empty"),
        (CLIPS, {}, r"received ndarray: use tf\.data\.Dataset\.from_tensor_slices"),
    ],
)
def test_wrong_clips_are_one_line_before_anything_is_written(dataset, options, wanted):
    if wanted is None:
        DatasetClips(dataset, **options).prepare(SPEC)
        return
    with pytest.raises(InputError, match=wanted) as caught:
        DatasetClips(dataset, **options).prepare(SPEC)
    assert "\n" not in str(caught.value)


def test_a_folder_stands_in_where_the_data_set_is_gone(made_videos, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = DatasetClips(name="mine", data_dir=str(made_videos))
    assert (source.name, source.has_test_clips) == ("mine", True)
    assert videos(source)[0].shape == (3, 2, 8, 8, 3)
    assert source.num_evaluation_clips(SPEC, "test") > 0
    clips = source.evaluation_clips(SPEC, split="test", num_clips=2, batch_size=2)
    assert next(iter(clips))["video"].shape == (2, 2, 8, 8, 3)


def test_the_example_in_the_docstring_runs():
    names = {"np": np, "tf": tf, "DatasetClips": DatasetClips, "ClipSpec": ClipSpec}
    (found,) = doctest.DocTestFinder().find(
        dataset_clips.DatasetClips, "DatasetClips", globs=names, module=dataset_clips
    )[:1]
    assert doctest.DocTestRunner().run(found).failed == 0
    assert found.examples
