"""Rules, windows, and the command's flags."""

import re

import numpy as np
import pytest

from tests.scoring.conftest import video, write
from trivd_tf.base.errors import InputError
from trivd_tf.cli.commands import score as command
from trivd_tf.cli.main import main, parse
from trivd_tf.metrics import RESIZE_RULES
from trivd_tf.metrics.frechet import COVARIANCES
from trivd_tf.scoring import RULES, Options, Rule, find_rule
from trivd_tf.scoring.clips import Clip, choose, shuffled, starts
from trivd_tf.scoring.readers import find_videos
from trivd_tf.scoring.rules import CROPS, WINDOWS


def test_clips_are_taken_round_the_videos():
    of_videos = [[0, 10], [], [0], [0, 10, 20]]
    expected = [Clip(0, 0), Clip(2, 0), Clip(3, 0), Clip(0, 10), Clip(3, 10), Clip(3, 20)]
    assert choose(of_videos, None) == expected
    assert choose(of_videos, 4) == expected[:4]


def test_windows_of_a_video(folders):
    one = find_videos(folders["real"])[0][0]
    rule = Rule(frames=10, stride=2)  # 19 frames
    assert starts(one, 60, rule, "all", 0) == [0, 19, 38]
    assert starts(one, 60, Rule(frames=10, stride=2, hop=20), "all", 0) == [0, 20, 40]
    assert starts(one, 60, rule, "first", 0) == [0]
    assert starts(one, 18, rule, "first", 0) == []
    drawn = [starts(one, 60, rule, "random", seed)[0] for seed in range(200)]
    assert (min(drawn), max(drawn)) == (0, 41)
    assert drawn[0] == starts(one, 60, rule, "random", 0)[0]


def test_the_order_depends_on_names_and_seed_alone(folders):
    names = [
        [v.name for v in shuffled(find_videos(folders[name])[0], seed)]
        for name, seed in (("real", 0), ("darker", 0), ("real", 1))
    ]
    assert names[0] == names[1] != names[2]
    assert sorted(names[0]) == sorted(names[2])


def test_rules_of_other_tools():
    """As their code does: docs/evaluation.md."""
    assert (RULES["reference"].resize, RULES["reference"].covariance) == (
        "tf1_bilinear",
        "unbiased",
    )
    stylegan_v = RULES["stylegan_v"]
    assert (stylegan_v.resize, stylegan_v.covariance) == ("tf2_bilinear", "biased")
    assert (stylegan_v.windows, stylegan_v.fake_windows) == ("random", "first")
    assert find_rule("trivd", size=None).size == 64
    assert find_rule("trivd", size=32).size == 32


def test_the_resize_of_pytorch_s_tools_samples_at_half_pixel_centres():
    """torch's interpolate(mode="bilinear", align_corners=False), written down for one row."""
    from trivd_tf.metrics import resize_frames

    row = np.array([0.0, 10.0, 50.0, 20.0])
    frames = np.broadcast_to(row[None, None, None, :, None], (1, 1, 4, 4, 1))
    place = np.clip((np.arange(6) + 0.5) * 4 / 6 - 0.5, 0, None)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, 3)
    expected = row[low] + (place - low) * (row[high] - row[low])
    found = resize_frames(frames.astype(np.float32), RULES["stylegan_v"].resize, 6)
    np.testing.assert_allclose(found[0, 0, 0, :, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"frames": 8}, "I3D takes at least 9; choose --clip_length 9"),
        ({"stride": 0}, "--stride 0: choose 1"),
        ({"frame_rate": 0.0}, "--frame_rate 0.0"),
        ({"crop": "middle"}, "--crop middle: unknown; choose one of none, center"),
        ({"resize": "nearest"}, "--resize nearest"),
    ],
)
def test_rules_that_cannot_be_are_refused(wrong, said):
    with pytest.raises(InputError, match=re.escape(said)):
        find_rule("reference", **wrong)


def test_options_that_cannot_be_are_refused():
    for wrong in ({"pairs": "some"}, {"num_samples": 1}, {"num_conditioning_frames": 16}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            Options(**wrong)
    with pytest.raises(InputError, match="--rule fid: unknown; choose one of reference"):
        find_rule("fid")


def test_flags_offer_what_there_is():
    """The command names the choices itself: it imports nothing before it runs."""
    args = parse(["score", "a", "b"])
    assert set(command._RULES) == set(RULES)
    for flag, values in (
        ("windows", WINDOWS),
        ("crop", CROPS),
        ("resize", RESIZE_RULES),
        ("covariance", COVARIANCES),
    ):
        for value in values:
            assert getattr(parse(["score", "a", "b", f"--{flag}", value]), flag) == value
    rule = find_rule(args.rule, frames=args.clip_length, crop=args.crop)
    assert rule == RULES["reference"]


def test_the_command(folders, extractor, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("trivd_tf.metrics.FeatureExtractor", lambda model, resize: extractor)
    places = [str(folders["real"]), str(folders["darker"])]
    flags = ["--clip_length", "10", "--bootstrap", "10", "--output", str(tmp_path / "out")]
    assert main(["score", *places, *flags]) == 0
    table = capsys.readouterr().out
    assert re.search(r"^FVD +\d+\.\d\d \[\d+\.\d\d, \d+\.\d\d\]  +I3D logits", table, re.MULTILINE)
    assert "PSNR dB" in table
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        "score.json",
        "fvd_by_samples.png",
    }
    assert list((tmp_path / "cache" / "trivd_tf" / "features").glob("*.npz"))
    assert main(["score", *places, *flags[:4], "--json", "--cache_dir", "none"]) == 0
    assert '"fvd_infinite"' in capsys.readouterr().out
    assert main(["score", places[0], str(tmp_path / "none")]) == 2
    assert "no such folder or array" in capsys.readouterr().err
    write(tmp_path / "one" / "0.mkv", video(0))
    assert main(["score", places[0], str(tmp_path / "one")]) == 2
    assert "FAKE 1" in capsys.readouterr().err
