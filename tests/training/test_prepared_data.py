"""Training on a prepared data set goes on at the exact clip after a cut."""

import dataclasses

import numpy as np
import pytest

from tests.beam import NEEDS_BEAM
from tests.data.videos import encode, numbered_frames
from trivd_tf.data import Prepared
from trivd_tf.data.prepare import prepare
from trivd_tf.training.checkpoints import Checkpoints

pytestmark = NEEDS_BEAM


class Noting(Prepared):
    """Notes which clips of the stream were read, by batch."""

    def __init__(self, **options):
        super().__init__(**options)
        self.read = {}

    def _training_batch(self, clip, seed, indices):
        batch = super()._training_batch(clip, seed, indices)
        self.read[int(indices[0])] = batch[0][:, 0, 0, 0].tolist()
        return batch


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared_for_training")
    for video in range(4):
        encode(folder / "videos" / f"{video}.mkv", 20 * numbered_frames(video, 12, 16, 24))
    return prepare(
        "folder",
        videos=str(folder / "videos"),
        output=str(folder / "set"),
        train_fraction=0.5,
        size=16,
        videos_per_shard=1,
    ).output


def _run(tiny, data_dir, steps):
    """Losses of the next steps, and the clips that a fresh reader gave for them."""
    source = Noting(data_dir=data_dir)
    begun_at = int(tiny.counters.clips)
    fresh = dataclasses.replace(tiny, experiment=dataclasses.replace(tiny.experiment, data=source))
    metrics = tiny.loop(fresh.iterator(), steps)
    used = range(begun_at, int(tiny.counters.clips), 2)
    clips = [source.read[index] for index in used]
    return np.array(metrics["generator/loss"]), clips


def test_a_run_cut_off_and_resumed_reads_the_same_clips(tiny, data_dir, tmp_path):
    losses, clips = _run(tiny, data_dir, 4)
    tiny.reset()
    first, first_clips = _run(tiny, data_dir, 2)
    checkpoints = Checkpoints(tmp_path, tiny.step, tiny.counters)
    checkpoints.save()
    _run(tiny, data_dir, 1)  # work that the cut loses
    assert checkpoints.restore() == 2
    second, second_clips = _run(tiny, data_dir, 2)
    assert [*first_clips, *second_clips] == clips
    assert len({str(batch) for batch in clips}) > 6  # of 12 batches: three a step
    np.testing.assert_array_equal(np.concatenate([first, second]), losses)
