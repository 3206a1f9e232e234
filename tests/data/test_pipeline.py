import time

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.data import pipeline
from trivd_tf.data.clips import ClipSpec
from trivd_tf.data.source import ClipSource

CLIP = ClipSpec(num_conditioning_frames=1, num_predicted_frames=1, size=8)


class Indices(ClipSource):
    """Clips that are filled with their index; training clips of seed s begin at 100 s."""

    def prepare(self, clip):
        pass

    def num_evaluation_clips(self, clip, split):
        return 7

    def fingerprint(self, clip, split):
        return split

    def _training_batch(self, clip, seed, indices):
        return self._evaluation_batch(clip, "train", indices + 100 * seed)

    def _evaluation_batch(self, clip, split, indices):
        video = np.empty((len(indices), 2, 8, 8, 3), np.uint8)
        video[:] = indices[:, None, None, None, None]
        return video, indices.astype(np.int32)


def labels(batches):
    return np.concatenate([batch["label"] for batch in batches.as_numpy_iterator()])


def test_batches_follow_the_stream_in_order():
    stream = Indices().training_clips(CLIP, seed=1, batch_size=4)
    assert np.array_equal(labels(stream.take(10)), np.arange(100, 140))
    batch = next(iter(stream))
    assert batch["video"].shape == (4, 2, 8, 8, 3)
    assert batch["video"].dtype == tf.uint8
    assert batch["label"].dtype == tf.int32
    assert np.array_equal(batch["video"][:, 0, 0, 0, 0], batch["label"])


def test_resuming_at_any_clip_continues_the_stream():
    source = Indices()
    whole = labels(source.training_clips(CLIP, seed=0, batch_size=4).take(10))
    tail = labels(source.training_clips(CLIP, seed=0, start=13, batch_size=3).take(9))
    assert np.array_equal(tail, whole[13:])


@pytest.mark.parametrize("shards", [1, 2, 3, 6])
def test_slices_of_a_batch_make_up_the_batch(shards):
    source = Indices()
    whole = labels(source.training_clips(CLIP, seed=0, start=5, batch_size=6).take(4))
    slices = [
        labels(
            source.training_clips(
                CLIP, seed=0, start=5, batch_size=6, shard_index=shard, shard_count=shards
            ).take(4)
        ).reshape(4, -1)
        for shard in range(shards)
    ]
    assert np.array_equal(np.concatenate(slices, axis=1).reshape(-1), whole)


def test_evaluation_clips_end_with_a_smaller_batch():
    batches = Indices().evaluation_clips(CLIP, split="test", num_clips=7, batch_size=3)
    assert batches.cardinality() == 3
    assert [len(batch["label"]) for batch in batches] == [3, 3, 1]
    assert np.array_equal(labels(batches), np.arange(7))
    assert batches.element_spec["video"].shape.as_list() == [None, 2, 8, 8, 3]


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"batch_size": 4, "shard_count": 3},
        {"batch_size": 4, "shard_count": 2, "shard_index": 2},
        {"batch_size": 4, "start": -1},
    ],
)
def test_impossible_slices_are_refused(options):
    with pytest.raises(InputError, match="received"):
        Indices().training_clips(CLIP, seed=0, **options)


@pytest.mark.parametrize("count", [0, 8])
def test_more_evaluation_clips_than_there_are_is_refused(count):
    with pytest.raises(InputError, match="holds 7"):
        Indices().evaluation_clips(CLIP, split="test", num_clips=count, batch_size=2)


def test_batches_are_built_ahead_of_their_use():
    built = []

    def build(n):
        built.append(n)
        return np.zeros((1, 2, 8, 8, 3), np.uint8), np.zeros(1, np.int32)

    batches = iter(pipeline.endless_batches(build, video_shape=(1, 2, 8, 8, 3)))
    next(batches)
    deadline = time.monotonic() + 5
    while len(built) < 3 and time.monotonic() < deadline:
        pass
    assert len(built) >= 3


def test_nothing_is_tuned():
    """An iterator that is tuned waits at its end for the next round, up to a minute."""
    source = Indices()
    for batches in (
        source.training_clips(CLIP, seed=0, batch_size=4),
        source.evaluation_clips(CLIP, split="test", num_clips=4, batch_size=2),
    ):
        assert batches.options().autotune.enabled is False
