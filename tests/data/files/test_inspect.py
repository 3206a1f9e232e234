"""`trivd inspect`: a line a video, JSON, and a contact sheet."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.data.files import makers
from tests.data.videos import encode, moving_frames
from trivd_tf.cli.main import main


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    turned = encode(folder / "a.mp4", moving_frames(20), codec="libx264", pixel_format="yuv420p")
    makers.set_matrix(turned, makers.MATRICES["clockwise"][0])
    encode(folder / "b.mkv", moving_frames(10, 48, 48), rate=10)
    (folder / "notes.txt").write_text("about these clips")
    pictures = folder / "frames"
    pictures.mkdir()
    for number, frame in enumerate(moving_frames(6)):
        Image.fromarray(frame).save(pictures / f"{number}.png")
    return folder


def test_a_line_a_video_and_a_sheet(clips, tmp_path, capsys):
    sheet, table = tmp_path / "new" / "sheet.png", tmp_path / "clips.json"
    status = main(
        ["inspect", str(clips), "--frames", "5", "--size", "16", "--output", str(sheet),
         "--json", str(table)]
    )  # fmt: skip
    out, err = capsys.readouterr()
    lines = {line.split(": ")[0].removeprefix(f"{clips}/"): line for line in out.splitlines()}
    assert status == 2  # for the text file
    assert "mov, h264; 64 x 48, pixels 1:1; 25 frames/s; 20 frames, 16 clips" in lines["a.mp4"]
    assert "turned by 90 degrees clockwise; resized to 16 x 16, 25% cropped" in lines["a.mp4"]
    assert "10 frames, 6 clips; resized to 16 x 16" in lines["b.mkv"]
    assert "cropped" not in lines["b.mkv"]
    assert "6 numbered pictures, png" in lines["frames"]
    assert lines["notes.txt"].endswith("skipped: not a video, or its header is damaged (Invalid "
                                       "data found when processing input)")  # fmt: skip
    assert "10 (1), 25 (1)" in err
    found = {one["path"].removeprefix(f"{clips}/"): one for one in json.loads(table.read_text())}
    assert found["a.mp4"]["rotation"] == "turned by 90 degrees clockwise"
    assert found["a.mp4"]["windows"] == 16
    assert found["notes.txt"]["skipped"]
    with Image.open(sheet) as image:
        picture = np.asarray(image)
    # Three rows of frames, of 8, 8 and 6 with blue borders.
    borders = (picture == (37, 99, 235)).all(-1)
    assert borders[:, 5].any()
    assert picture.shape[0] > 3 * 96


def test_a_target_rate_and_what_is_too_short(clips, capsys):
    status = main(["inspect", str(clips / "a.mp4"), "--frames", "9", "--fps", "5", "--json", "-"])
    out, err = capsys.readouterr()
    (one,) = json.loads(out)
    assert status == 2
    assert one["frames"] == 4
    assert "resampled to 5 frames/s" in one["done"]
    assert one["skipped"] == "too short, 4 frames where a clip takes 9"
    assert "skipped: too short" in err


@pytest.fixture
def array_files(tmp_path):
    """One of each format: name -> (start of its line, what it says besides)."""
    folder = tmp_path / "arrays"
    folder.mkdir()
    videos = np.stack([moving_frames(10, 24, 40) for _ in range(3)])
    np.save(folder / "videos.npy", videos)
    np.savez_compressed(folder / "channels.npz", clips=videos.transpose(0, 1, 4, 2, 3))
    np.save(folder / "grey.npy", np.concatenate([videos, videos])[..., 0].transpose(1, 0, 2, 3))
    np.save(folder / "floats.npy", videos / 255)
    with h5py.File(folder / "packed.h5", "w") as file:
        file["train_data"] = videos.reshape(30, 24, 40, 3)
        file["train_idx"] = np.array([0, 4, 24])
    return folder


def test_arrays_have_a_line_a_file(array_files, capsys, tmp_path):
    sheet = tmp_path / "sheet.png"
    status = main(
        ["inspect", str(array_files), f"{array_files / 'grey.npy'}:TNHW",
         f"{array_files / 'videos.npy'}[1]", "--frames", "5", "--size", "16", "--fps", "5",
         "--output", str(sheet), "--json", str(tmp_path / "found.json")]
    )  # fmt: skip
    out, _ = capsys.readouterr()
    lines = dict(
        line.removeprefix(f"{array_files}/").split(": ", 1) for line in out.splitlines()[:-1]
    )
    assert status == 2
    fitted = "resized to 16 x 16, 40% cropped"
    plain = f"40 x 24, pixels 1:1; no frame rate; 3 videos, 30 frames, 18 clips; {fitted}"
    assert lines["videos.npy"] == f"npy array, NTHWC of 3 x 10 x 24 x 40 x 3; {plain}"
    assert lines["channels.npz"] == f"npz array, NTCHW of 3 x 10 x 3 x 24 x 40; {plain}"
    assert "; 6 videos, 60 frames, 36 clips; " in lines["grey.npy:TNHW"]
    assert "; 10 frames, 6 clips; " in lines["videos.npy[1]"]
    # VideoGPT's: videos of 4, 20 and 6 frames.
    assert "h5 array, THWC of 30 x 24 x 40 x 3; " in lines["packed.h5"]
    assert f"3 videos, 30 frames, 18 clips; too short: 1 of them; {fitted}" in lines["packed.h5"]
    assert lines["grey.npy"].startswith("skipped: state the order of its axes (10, 6, 24, 40): ")
    assert lines["floats.npy"].startswith("skipped: holds float64, but frames are uint8")
    found = {
        Path(one["path"]).name: one for one in json.loads((tmp_path / "found.json").read_text())
    }
    assert found["videos.npy"]["videos"] == 3
    assert found["videos.npy"]["windows"] == 18
    with Image.open(sheet) as image:
        assert image.height > 5 * 96


def test_an_array_that_is_inspected_is_not_written_to(array_files, capsys):
    name = array_files / "grey.npy"
    assert main(["inspect", f"{name}:TNHW", "--json", str(name)]) == 2
    assert "choose another name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--output", "sheet.jpg"], "choose the name of a PNG"),
        (["--frames", "1"], "at least 2 frames"),
        (["--fps", "0"], "frames a second above 0"),
    ],
)
def test_wrong_flags_are_one_line(clips, capsys, flags, message):
    assert main(["inspect", str(clips / "a.mp4"), *flags]) == 2
    assert message in capsys.readouterr().err


def test_what_is_inspected_is_not_written_to(clips, capsys):
    before = (clips / "frames" / "0.png").read_bytes()
    place = str(clips / "frames" / "0.png")
    assert main(["inspect", str(clips), "--output", place]) == 2
    assert "choose another name" in capsys.readouterr().err
    assert (clips / "frames" / "0.png").read_bytes() == before
