"""The gin files of the data sets: what they read, and that the clips are the paper's."""

import functools

import pytest

from trivd_tf import config, data

FILES = {
    "kinetics600": (data.Kinetics600, (5, 11)),
    "ucf101": (data.UCF101, (5, 11)),
    "bair_original": (data.BAIR, (1, 15)),
    "bair_balanced": (data.BAIR, (1, 15)),
    "moving_mnist": (data.MovingMNIST, (5, 11)),
    "freedom_walks": (data.FreedomWalks, (5, 11)),
    "gymnasium": (data.GymnasiumFrames, (5, 11)),
    "prepared": (data.Prepared, (5, 11)),
}


@pytest.mark.parametrize("name", FILES)
def test_gin_file_of_a_data_set_reads_it_from_data_dir(name, tmp_path, monkeypatch):
    kind, frames = FILES[name]
    seen = {}

    @functools.wraps(data.Prepared.__init__)  # the configuration looks at its parameters
    def open_nothing(self, **options):
        seen.update(options)
        self._report = {"splits": ["train1", "test1"]}
        self._splits = {}

    monkeypatch.setattr(data.Prepared, "__init__", open_nothing)
    experiment = config.parse(
        ["bouncing_digits", f"data/{name}"],
        data_dir=tmp_path,
    ).build()
    assert type(experiment.data) is kind
    assert seen["data_dir"] == str(tmp_path)
    clip = experiment.clip
    assert (clip.num_conditioning_frames, clip.num_predicted_frames) == frames
    assert (clip.size, clip.stride) == (64, 1)
