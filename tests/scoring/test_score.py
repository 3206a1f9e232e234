"""`score` on folders and arrays, with a stand-in for I3D."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from tests.scoring.conftest import SIZE, StandIn, video, write
from trivd_tf.base.errors import InputError
from trivd_tf.metrics import FeatureExtractor, fvd, inception_score, kvd, psnr, ssim
from trivd_tf.scoring import Options, Rule, plot_by_samples, score

TEN = Options(rule=Rule(frames=10), replicates=20)


def test_figures_are_those_of_the_arrays(folders, extractor, stand_in):
    """Of 6 videos of 20 frames: two clips of 10 each, all of them."""
    found = score(folders["real"], folders["fake"], TEN, extractor=extractor)
    real, fake = (
        np.concatenate(
            [video(index + first).reshape(2, 10, SIZE, SIZE + 8, 3) for index in range(6)]
        )
        for first in (0, 10)
    )
    assert found.value("fvd") == pytest.approx(fvd(real, fake, model=stand_in), rel=1e-4)
    assert found.value("kvd") == pytest.approx(kvd(real, fake, model=stand_in), rel=1e-4)
    expected = inception_score(extractor(fake))[0]
    assert found.value("inception_score") == pytest.approx(expected, rel=1e-4)
    for figure in found.figures.values():
        assert figure.estimate.low <= figure.estimate.value <= figure.estimate.high
        assert figure.estimate.low < figure.estimate.high
    assert "psnr" not in found.figures  # no names in common
    assert [point.samples for point in found.by_samples] == [12]
    text = str(found)
    assert "12 + 12 clips of 10 frames" in text
    assert "tf1_bilinear to 224 x 224" in text
    assert "README.md" in text  # left out, and why


def test_identical_sets_are_zero(folders, extractor):
    found = score(folders["real"], folders["real"], TEN, extractor=extractor)
    for key in ("fvd", "kvd", "mse_sum", "mae_sum"):
        assert 0.0 <= found.value(key) < 1e-3
    assert found.figures["fvd"].estimate.high < 1e-3
    assert found.value("psnr") == 100.0
    assert found.value("ssim") == pytest.approx(1.0)


def test_videos_of_one_name_are_compared_frame_by_frame(folders, extractor):
    options = dataclasses.replace(TEN, num_conditioning_frames=4)
    found = score(folders["real"], folders["darker"], options, extractor=extractor)
    real = np.concatenate([video(index).reshape(2, 10, SIZE, SIZE + 8, 3) for index in range(6)])
    dark = np.maximum(real, 30) - 30
    real, dark = real[:, 4:], dark[:, 4:]
    assert found.value("psnr") == pytest.approx(psnr(real, dark).mean(), rel=1e-6)
    assert found.value("ssim") == pytest.approx(ssim(real, dark).mean(), rel=1e-5)
    difference = real / 255.0 - dark / 255.0
    expected = np.mean(difference**2, axis=(0, 1)).sum()
    assert found.value("mse_sum") == pytest.approx(expected, rel=1e-6)
    assert "frames 5 to 10 of each clip" in found.figures["psnr"].protocol
    apart = score(
        folders["real"],
        folders["darker"],
        dataclasses.replace(options, pairs="never"),
        extractor=extractor,
    )
    assert "psnr" not in apart.figures
    # Pairs are alike: their difference is surer than that of two sets that have nothing in common.
    widths = [one.figures["fvd"].estimate for one in (found, apart)]
    assert widths[0].high - widths[0].low < widths[1].high - widths[1].low


def test_arrays_frames_and_files_of_the_same_videos_are_the_same(folders, extractor, tmp_path):
    expected = score(folders["real"], folders["fake"], TEN, extractor=extractor)
    videos = np.stack([video(index + 10) for index in range(6)])
    np.save(tmp_path / "fake.npy", videos)
    np.savez(tmp_path / "fake.npz", np.moveaxis(videos, -1, 2))
    np.save(tmp_path / "floats.npy", (videos / 127.5 - 1.0).astype(np.float32))
    for index, frames in enumerate(videos):
        for number, frame in enumerate(frames):
            path = tmp_path / "frames" / f"other_{index}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(frame).save(path)
    floats = dataclasses.replace(TEN, value_range=(-1.0, 1.0))
    for name, options in (
        ("fake.npy", TEN),
        ("fake.npz", TEN),
        ("floats.npy", floats),
        ("frames", TEN),
    ):
        found = score(folders["real"], tmp_path / name, options, extractor=extractor)
        assert found.value("fvd") == pytest.approx(expected.value("fvd"), rel=1e-6), name
        assert not [line for line in found.warnings if "lossy" in line]
    with pytest.raises(InputError, match="uint8"):
        score(tmp_path / "floats.npy", tmp_path / "fake.npy", TEN, extractor=extractor)


def test_rows_of_arrays_are_pairs_only_when_asked(extractor, tmp_path):
    real = np.stack([video(index) for index in range(4)])
    np.save(tmp_path / "real.npy", real)
    np.save(tmp_path / "fake.npy", np.maximum(real, 30) - 30)
    places = (tmp_path / "real.npy", tmp_path / "fake.npy")
    assert "psnr" not in score(*places, TEN, extractor=extractor).figures
    pairs = dataclasses.replace(TEN, pairs="always")
    assert score(*places, pairs, extractor=extractor).value("psnr") > 15
    np.save(tmp_path / "fake.npy", np.concatenate([real, real]))
    with pytest.raises(InputError, match="4 videos without one in REAL, such as 4"):
        score(tmp_path / "real.npy", tmp_path / "fake.npy", pairs, extractor=extractor)


def test_logits_are_cached_by_content(folders, tmp_path):
    model = StandIn()
    first = FeatureExtractor(model)

    def scored(fake="fake", options=TEN, extractor=first):
        before = model.clips
        found = score(
            folders["real"],
            folders.get(fake, fake),
            options,
            extractor=extractor,
            cache_dir=tmp_path / "cache",
        )
        return found, model.clips - before

    found, computed = scored()
    assert computed == 24
    assert scored() == (found, 0)
    copies = tmp_path / "moved"
    for index in range(6):  # another place, another time, the same bytes
        copies.mkdir(exist_ok=True)
        copy = copies / f"other_{index}.mkv"
        copy.write_bytes((folders["fake"] / copy.name).read_bytes())
    again, computed = scored(copies)
    assert (again.figures, computed) == (found.figures, 0)
    write(copies / "other_3.mkv", video(50))
    assert scored(copies)[1] == 2
    for change in ({"stride": 2, "frames": 9}, {"size": 16}, {"crop": "center"}):
        options = dataclasses.replace(TEN, rule=dataclasses.replace(TEN.rule, **change))
        assert scored(options=options)[1] > 0, change
        assert scored(options=options)[1] == 0, change
    tf2 = dataclasses.replace(TEN, rule=Rule(frames=10, resize="tf2_bilinear"))
    assert scored(options=tf2, extractor=FeatureExtractor(model, resize="tf2_bilinear"))[1] == 24
    kernel = model.dense.kernel
    kernel.assign(kernel * 1.01)
    changed, computed = scored()
    assert computed == 24
    assert changed.value("fvd") != found.value("fvd")
    for entry in (tmp_path / "cache").iterdir():
        entry.write_bytes(entry.read_bytes()[:50])
    assert scored()[0] == changed


def test_an_interrupted_score_resumes(folders, extractor, stand_in, tmp_path, monkeypatch):
    whole = score(folders["real"], folders["fake"], TEN, extractor=extractor)
    before, run = stand_in.clips, FeatureExtractor.__call__

    def interrupted(self, videos):
        if stand_in.clips >= before + 16:
            raise KeyboardInterrupt
        return run(self, videos)

    monkeypatch.setattr(FeatureExtractor, "__call__", interrupted)
    arguments = (folders["real"], folders["fake"], TEN)
    with pytest.raises(KeyboardInterrupt):
        score(*arguments, extractor=extractor, cache_dir=tmp_path)
    monkeypatch.setattr(FeatureExtractor, "__call__", run)
    assert score(*arguments, extractor=extractor, cache_dir=tmp_path) == whole
    assert stand_in.clips == before + 24


def test_clips_are_cut_by_the_rule(folders, extractor, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "trivd_tf.scoring.features.FeatureExtractor.__call__",
        lambda self, videos: seen.append(videos) or np.zeros((len(videos), 7)) + len(seen),
    )
    rule = Rule(frames=9, stride=2, crop="center", windows="first", fake_windows="first")
    score(folders["real"], folders["real"], Options(rule=rule, replicates=0), extractor=extractor)
    clips = np.concatenate(seen[:2])
    expected = [video(index)[:17:2, :, 4 : SIZE + 4] for index in range(6)]
    assert clips.shape == (6, 9, SIZE, SIZE, 3)
    for clip in expected:
        assert any(np.array_equal(clip, found) for found in clips)


def test_a_frame_rate_makes_speeds_equal(extractor, tmp_path):
    """The same scene at 25 and at 50 frames a second."""
    for index in range(4):
        frames = video(index, frames=40)
        write(tmp_path / "fast" / f"{index}.mkv", frames, rate=50)
        write(tmp_path / "slow" / f"{index}.mkv", frames[::2], rate=25)
    places = (tmp_path / "fast", tmp_path / "slow")
    rule = Rule(frames=10, windows="first", fake_windows="first")
    without = score(*places, Options(rule=rule, replicates=0), extractor=extractor)
    rule = dataclasses.replace(rule, frame_rate=25.0)
    same = score(*places, Options(rule=rule, replicates=0), extractor=extractor)
    assert same.value("psnr") == 100.0
    assert without.value("psnr") < 50.0
    np.save(tmp_path / "array.npy", np.stack([video(0), video(1)]))
    with pytest.raises(InputError, match="states no frame rate"):
        score(places[0], tmp_path / "array.npy", Options(rule=rule), extractor=extractor)


def test_a_lossy_side_is_warned_of(folders, extractor, tmp_path):
    for index in range(6):
        write(tmp_path / "coded" / f"{index}.mp4", video(index), codec="mpeg4")
    found = score(folders["real"], tmp_path / "coded", TEN, extractor=extractor)
    (warning,) = [line for line in found.warnings if "lossy" in line]
    assert "FAKE went through a lossy codec (mpeg4 6)" in warning
    assert 10.0 < found.value("psnr") < 60.0
    both = score(tmp_path / "coded", tmp_path / "coded", TEN, extractor=extractor)
    assert both.warnings == ()


def test_videos_that_do_not_fit_are_named_and_left_out(folders, extractor, tmp_path):
    for index in range(3):
        write(tmp_path / f"{index}.mkv", video(index))
    write(tmp_path / "short.mkv", video(9, frames=5))
    (tmp_path / "broken.mkv").write_bytes((tmp_path / "0.mkv").read_bytes()[:-9000])
    found = score(folders["fake"], tmp_path, TEN, extractor=extractor)
    assert any("broken.mkv" in line for line in found.warnings)
    assert any("left out 1 of" in line and "shorter" in line for line in found.warnings)
    assert "6 + 6 clips" in found.figures["fvd"].protocol  # both sides as many as the smaller
    long = dataclasses.replace(TEN, rule=Rule(frames=30))
    with pytest.raises(InputError, match="REAL has 0 clips of 30 frames"):
        score(folders["fake"], tmp_path, long, extractor=extractor)
    write(tmp_path / "again" / "0.avi", video(0))
    write(tmp_path / "again" / "0.mkv", video(0))
    with pytest.raises(InputError, match="two videos are called 0"):
        score(folders["fake"], tmp_path / "again", TEN, extractor=extractor)


def test_pairs_of_other_sizes_have_no_scores_of_frames(folders, extractor, tmp_path):
    for index in range(6):
        write(tmp_path / f"{index}.mkv", video(index)[:, :, :SIZE])
    found = score(folders["real"], tmp_path, TEN, extractor=extractor)
    assert "psnr" not in found.figures
    assert any("no PSNR, SSIM, MSE or MAE" in line for line in found.warnings)
    square = dataclasses.replace(TEN, rule=Rule(frames=10, crop="center"))
    assert "psnr" in score(folders["real"], tmp_path, square, extractor=extractor).figures


@pytest.mark.parametrize("place", ["nothing_here", "empty"])
def test_places_without_videos_are_refused(folders, extractor, tmp_path, place):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=place):
        score(folders["real"], tmp_path / place, TEN, extractor=extractor)


def test_report_and_picture(folders, extractor, tmp_path):
    options = dataclasses.replace(TEN, rule=Rule(frames=9, hop=1))
    found = score(folders["real"], folders["fake"], options, extractor=extractor)
    assert [point.samples for point in found.by_samples] == [9, 18, 36, 72]
    content = json.loads(found.to_json())
    assert content["figures"]["fvd"]["value"] == found.value("fvd")
    assert content["figures"]["fvd"]["level"] == 0.95
    assert content["by_samples"][-1]["fvd"] == pytest.approx(found.value("fvd"))
    plot_by_samples(found, tmp_path / "plots" / "bias.png")
    with Image.open(tmp_path / "plots" / "bias.png") as picture:
        assert np.asarray(picture).std() > 10
