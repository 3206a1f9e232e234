"""`trivd predict`: what it writes, and what bad clips get, with a predictor that needs no model."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trivd_tf import inference
from trivd_tf.cli.main import main

COPIES = 3


class NoisyCopies(inference.Predictor):
    """Repeats the last frame, each sample brightened by its latent; motion everywhere (1, 2)."""

    num_conditioning_frames = 4
    num_predicted_frames = COPIES
    frame_size = 16
    latent_size = 2
    has_motion = True
    stride = 1

    def _run(self, conditioning, z, labels, with_motion):
        brighter = np.clip(np.round(z[:, 0] * 20), -40, 40).astype(int)
        frames = conditioning[:, -1:].astype(int) + brighter[:, None, None, None, None]
        frames = np.clip(frames, 0, 255).astype(np.uint8).repeat(COPIES, axis=1)
        flow = np.ones((*frames.shape[:-1], 2), np.float32) * [1.0, 2.0]
        return frames, flow if with_motion else None


@pytest.fixture
def predict(monkeypatch, tmp_path):
    """Runs `trivd predict` into a folder of its own; returns its exit status and the folder."""
    monkeypatch.setattr(inference, "load_predictor", lambda path, step, **options: NoisyCopies())
    runs = iter(range(100))

    def run(*arguments):
        output = tmp_path / f"out{next(runs)}"
        words = [str(argument) for argument in arguments]
        return main(["predict", "--model", "m", "--output", str(output), *words]), output

    return run


@pytest.fixture
def clip(made_videos):
    return made_videos / "clip0.mp4"


def test_what_it_writes_is_listed(predict, clip, capsys):
    status, output = predict(clip, "--num_samples", 2)
    assert status == 0
    listed = capsys.readouterr().out.splitlines()
    assert sorted(listed) == sorted(str(path) for path in output.glob("[!.]*"))
    assert {path.suffix for path in output.glob("[!.]*")} == {".gif", ".mp4", ".png"}
    with Image.open(output / "clip0.gif") as animation:
        assert animation.n_frames == NoisyCopies.num_conditioning_frames + COPIES


def test_flags_reach_the_prediction(predict, clip, monkeypatch):
    calls = []
    monkeypatch.setattr(
        inference, "predict_files", lambda *args, **options: calls.append(options) or []
    )
    predict(clip)
    chosen = ["--num_samples", 2, "--truncation", 0.5, "--seed", 7, "--num_frames", 20]
    predict(clip, *chosen, "--window", "last")
    predict(clip, "--truncation", "inf")
    names = ("num_samples", "truncation", "seed", "num_frames", "window")
    assert [tuple(call[name] for name in names) for call in calls] == [
        (1, None, 0, None, "first"),
        (2, 0.5, 7, 20, "last"),
        (1, float("inf"), 0, None, "first"),
    ]


def test_bad_clips_are_named_and_the_others_predicted(predict, clip, tmp_path, capsys):
    text = tmp_path / "notes.mp4"
    text.write_text("not a video")
    short = tmp_path / "short.gif"
    frames = [Image.new("RGB", (16, 16), (40 * i, 0, 0)) for i in range(3)]
    frames[0].save(short, save_all=True, append_images=frames[1:])
    status, output = predict(text, clip, tmp_path / "none.mp4", short)
    assert status == 2
    errors = capsys.readouterr().err.splitlines()
    assert [line for line in errors if line.startswith("trivd: error: ")] == errors[:3]
    for line, part in zip(errors, ["notes.mp4", "none.mp4", "short.gif: holds 3"], strict=False):
        assert part in line
    assert errors[3] == "trivd: 1 of 4 clips predicted"
    assert (output / "clip0.gif").is_file()
    assert not (output / "short.gif").exists()


def test_an_output_that_is_a_file_is_refused(clip, tmp_path, capsys):
    file = tmp_path / "file"
    file.touch()
    assert main(["predict", "--model", "m", "--output", str(file), str(clip)]) == 2
    assert capsys.readouterr().err == f"trivd: error: --output {file} is a file; give a directory\n"


def test_clips_that_do_not_exist_are_refused_at_once(tmp_path, capsys):
    arguments = ["predict", "--model", "m", "--output", str(tmp_path / "o"), "a.mp4", "b.mp4"]
    assert main(arguments) == 2
    assert capsys.readouterr().err == "trivd: error: no such file: a.mp4, b.mp4\n"


@pytest.mark.parametrize("kind", ["missing", "empty folder", "file"])
def test_a_model_that_is_none_is_refused(clip, tmp_path, capsys, kind):
    model = tmp_path / "model"
    if kind == "empty folder":
        model.mkdir()
    elif kind == "file":
        model.touch()
    status = main(["predict", "--model", str(model), "--output", str(tmp_path / "o"), str(clip)])
    error = capsys.readouterr().err
    assert status == 2
    assert error.count("\n") == 1
    assert error.startswith(f"trivd: error: {model}: ")


def tree(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_users_video_is_never_replaced_by_its_prediction(predict, clip, tmp_path, capsys):
    videos = tmp_path / "videos"
    videos.mkdir()
    shutil.copy(clip, videos / "bikes.mp4")
    shutil.copy(clip, tmp_path / "walk.mp4")
    (videos / "walk.gif").write_bytes(b"my own")
    before = tree(videos)
    for given in (videos / "bikes.mp4", videos / ".." / "videos" / "bikes.mp4"):
        status, _ = predict(given, "--output", videos)
        assert status == 2
        assert "would replace the input" in capsys.readouterr().err
        assert tree(videos) == before
    status, _ = predict(tmp_path / "walk.mp4", "--output", videos)
    assert status == 2
    assert "walk.gif: exists and was not written by" in capsys.readouterr().err
    assert tree(videos) == before


def test_its_own_predictions_are_replaced(predict, clip, tmp_path):
    output = tmp_path / "futures"
    assert predict(clip, "--output", output)[0] == 0
    first = tree(output)
    assert predict(clip, "--output", output, "--seed", 5)[0] == 0
    assert tree(output)["clip0.mp4"] != first["clip0.mp4"]
    # And no prediction becomes the clip that it would itself be replaced by.
    assert predict(output / "clip0.mp4", "--output", output)[0] == 2


def test_clips_whose_files_would_share_a_name_are_told_apart(predict, clip, tmp_path):
    for name in ("a.mp4", "a_sample_1.mp4", "A.mp4", "a_motion.gif"):
        shutil.copy(clip, tmp_path / name)
    names = ("a.mp4", "a_sample_1.mp4", "A.mp4", "a_motion.gif")
    status, output = predict(*(tmp_path / name for name in names))
    assert status == 0
    written = [path.name for path in output.glob("[!.]*")]
    assert len(written) == 4 * 5
    assert len({name.casefold() for name in written}) == len(written)


@pytest.mark.parametrize(
    ("output", "status", "said"),
    [("/proc/o", 1, "could not be written"), ("gs://bucket/o", 2, "local folders only")],
)
def test_a_destination_is_tried_before_the_model_is_loaded(
    monkeypatch, clip, capsys, output, status, said
):
    loaded = []
    monkeypatch.setattr(inference, "load_predictor", lambda *a, **k: loaded.append(a))
    assert main(["predict", "--model", "m", str(clip), "--output", output]) == status
    assert said in capsys.readouterr().err
    assert loaded == []
    assert not Path("gs:").exists()
