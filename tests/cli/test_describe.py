"""`trivd describe` as a user runs it, in this process."""

import json

import numpy as np
import pytest
from PIL import Image

from trivd_tf.cli.main import main

SMALL = [
    "models.generator.channel_multiplier = 1",
    "models.discriminators.channel_multiplier = 1",
    "models.discriminators.num_sampled_frames = 2",
    "data.ClipSpec.num_conditioning_frames = 1",
    "data.ClipSpec.num_predicted_frames = 2",
    "data.ClipSpec.size = 16",
    "training.TrainingOptions.batch_size = 3",
]


def bindings(*more):
    modules = [f"from trivd_tf import {name}" for name in ("data", "models", "training")]
    return [flag for text in [*modules, *SMALL, *more] for flag in ("--gin_bindings", text)]


def test_two_configurations_stand_side_by_side_without_their_data(capsys, tmp_path):
    files = ["--gin_file", "table1_clip", "--gin_file", "table2_conv_gru"]
    path = tmp_path / "costs.json"
    assert main(["describe", *files, *bindings(), "--json", str(path)]) == 0
    text = capsys.readouterr().out
    for said in ("Table 1, clip, batch 3", "Table 2, ConvGRU, batch 3", "stage_2/unit", "encoder"):
        assert said in text
    clip, conv_gru = json.loads(path.read_text())
    assert set(clip["parts"]) == {"generator", "encoder", "video"}
    assert set(conv_gru["parts"]) == {"generator", "encoder", "downsampled_frame", "cropped_video"}
    assert clip["parts"]["generator"] == conv_gru["parts"]["generator"]
    (total,) = [line for line in text.splitlines() if line.startswith("total")]
    parameters = sum(part["parameters"] for part in clip["parts"].values())
    assert f"{parameters / 1e6:.2f}" in total


def test_views_are_drawn(capsys, tmp_path, made_videos):
    path = tmp_path / "pictures" / "views.png"
    files = ["--gin_file", "table1_dvd_gan_fp", "--gin_file", "table1_clip"]
    arguments = [*files, "--views", str(made_videos / "clip0.mp4"), "--output", str(path)]
    assert main(["describe", *arguments]) == 0
    names = ["views_table1_dvd_gan_fp.png", "views_table1_clip.png"]
    assert capsys.readouterr().out.split() == [str(path.with_name(name)) for name in names]
    for name in names:
        with Image.open(path.with_name(name)) as picture:
            assert np.asarray(picture).std() > 10


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--gin_file", "table1_clap"], "the nearest of those that come with trivd_tf is"),
        (["--gin_file", "table1_clip", "--views", "none.mp4"], "none.mp4"),
        (["--gin_file", "table1_clip", "--views", "CLIP", "--output", "views.jpg"], "a PNG"),
        (["--gin_file", "models/dvd_gan_fp.gin"], "has no value"),
    ],
)
def test_mistakes_are_one_line(capsys, made_videos, arguments, expected):
    clip = str(made_videos / "clip0.mp4")
    assert main(["describe", *[clip if text == "CLIP" else text for text in arguments]]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert expected in error
