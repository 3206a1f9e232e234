"""Protocols fix what a score depends on; what differs from one is written down."""

import pytest

from trivd_tf import data
from trivd_tf.base.errors import InputError
from trivd_tf.evaluation import PROTOCOLS, apply_protocol, find_protocol
from trivd_tf.evaluation.paper_tables.paper_figures import PAPER_ROWS
from trivd_tf.evaluation.reporting.report import describe_scoring, protocol_line


@pytest.mark.parametrize(
    ("name", "frames", "samples", "runs"),
    [
        ("kinetics600_val", (5, 11), 50_000, 1),
        ("kinetics600_test", (5, 11), 50_000, 1),
        ("ucf101", (5, 11), 10_000, 1),
        ("bair_original", (1, 15), 256, 1),
        ("bair_balanced", (1, 15), 30_000, 10),
    ],
)
def test_the_papers_numbers(name, frames, samples, runs):
    protocol = find_protocol(name)
    clip, options = protocol.clip, protocol.options
    assert (clip.num_conditioning_frames, clip.num_predicted_frames) == frames
    assert (clip.size, clip.stride) == (64, 1)
    assert (options.num_samples, options.num_runs) == (samples, runs)
    assert (options.standing_batches, options.standing_batch_size) == (100, 256)
    assert (options.resize, options.truncation) == ("tf1_bilinear", None)


def test_every_row_of_the_paper_is_scored_by_a_protocol():
    assert {row.protocol for row in PAPER_ROWS} <= PROTOCOLS.keys()


def test_what_differs_from_the_protocol_is_written_down(experiment):
    changes = {"num_samples": 8, "batch_size": 4}
    scoring = apply_protocol(find_protocol("bouncing_digits"), experiment, changes=changes)
    assert scoring.deviations == (
        "num_conditioning_frames: 7 instead of 5",
        "num_predicted_frames: 2 instead of 11",
        "size: 16 instead of 32",
        "num_samples: 8 instead of 2048",
    )
    line = protocol_line(describe_scoring(scoring, 3, "as told"))
    for said in (
        "protocol: bouncing_digits",
        "split: test",
        "samples: 8",
        "stride: 1",
        "tf1_bilinear to 224 x 224",
        "conditioning frames included",
        "standing_statistics: as told",
        "seed: 0",
        "runs: 1",
        "fingerprint: ",
    ):
        assert said in line


def test_a_protocol_needs_its_data_set(experiment):
    with pytest.raises(
        InputError, match=r"scores on ucf101, the model was trained on .*--data_dir"
    ):
        apply_protocol(find_protocol("ucf101"), experiment)
    scoring = apply_protocol(find_protocol("ucf101"), experiment, data_dir="/nowhere")
    with pytest.raises(InputError, match="/nowhere: no prepared data set"):
        scoring.experiment.data.prepare(scoring.experiment.clip)
    with pytest.raises(InputError, match="reads no folder"):
        apply_protocol(find_protocol("bouncing_digits"), experiment, data_dir="/tmp")
    with pytest.raises(
        InputError, match="--protocol ucf: unknown protocol; choose one of kinetics600_val"
    ):
        find_protocol("ucf")


class _Stored(data.BAIR):
    """Opens no files: remembers what it was asked for."""

    def __init__(self, *, data_dir, split="original", num_readers=4):
        self._data_dir, self.split = data_dir, split


def test_the_training_data_serves_where_it_is_the_same_set(experiment, monkeypatch):
    import dataclasses

    protocol = dataclasses.replace(find_protocol("bair_balanced"), source=_Stored)
    own = dataclasses.replace(experiment, data=_Stored(data_dir="/here", split="original"))
    scored = apply_protocol(protocol, own).experiment
    assert (scored.data.data_dir, scored.data.split) == ("/here", "balanced")
    elsewhere = apply_protocol(protocol, experiment, data_dir="/there").experiment
    assert (elsewhere.data.data_dir, elsewhere.data.split) == ("/there", "balanced")
