"""tools/batch_predict.py: one output an input, whatever some of them are and whenever it stops."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.beam import NEEDS_BEAM

pytestmark = NEEDS_BEAM

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "batch_predict.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("batch_predict", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def videos(made_videos: Path, tmp_path: Path) -> Path:
    """Six files: four good ones in two folders, one of text, one too short."""
    folder = tmp_path / "videos"
    for number in range(4):
        target = folder / ("a" if number % 2 else "b/c") / f"clip{number}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made_videos / f"clip{number % 3}.mp4", target)
    (folder / "a" / "notes.mp4").write_text("not a video")
    (folder / "a" / "empty.mp4").touch()
    return folder


GOOD = {"a/clip1.mp4", "a/clip3.mp4", "b/c/clip0.mp4", "b/c/clip2.mp4"}


def outputs(folder: Path, end: str) -> set[str]:
    return {str(path.relative_to(folder))[: -len(end)] for path in folder.rglob(f"*{end}")}


def test_videos(tool, videos, export_dir, exported, tmp_path, capsys) -> None:
    from trivd_tf.data.files.decode import decode_frames

    out = tmp_path / "out"
    command = [str(videos / "**" / "*.mp4"), "--model", str(export_dir), "--output", str(out)]
    command += ["--group_size", "2", "--num_samples", "2", "--num_frames", "3"]
    assert tool.main(command) == 2  # two inputs are bad
    printed = capsys.readouterr()
    assert "4 of 6 predicted" in printed.out
    assert "a/notes.mp4: " in printed.err
    assert outputs(out, ".predicted.mp4") == GOOD
    report = json.loads((out / "report.json").read_text())
    assert (report["inputs"], report["predicted"]) == (6, 4)
    assert set(report["failed"]) == {"a/notes.mp4", "a/empty.mp4"}
    frames = list(decode_frames(out / "a/clip1.mp4.predicted.mp4"))
    assert len(frames) == 2 + 3
    assert frames[0].shape == (16, 32, 3)  # two samples side by side
    # Again: what is there stays as it is; what was mended is made, what was lost comes back.
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.predicted.mp4")}
    shutil.copy(videos / "a" / "clip1.mp4", videos / "a" / "notes.mp4")
    lost = out / "b/c/clip2.mp4.predicted.mp4"
    content = lost.read_bytes()
    lost.unlink()
    assert tool.main(command) == 2
    assert outputs(out, ".predicted.mp4") == GOOD | {"a/notes.mp4"}
    assert lost.read_bytes() == content  # in another group than before
    del before[lost]
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    assert set(json.loads((out / "report.json").read_text())["failed"]) == {"a/empty.mp4"}
    # With other options the outputs would not fit each other.
    assert tool.main([*command, "--seed", "1"]) == 2
    assert "was started with other seed" in capsys.readouterr().err


def test_records(tool, videos, export_dir, exported, tmp_path) -> None:
    from trivd_tf.batch.outputs import parse_record
    from trivd_tf.pictures.video_io import read_clip

    out = tmp_path / "out"
    command = [f"file://{videos}/*/*.mp4", "--model", str(export_dir), "--output", f"file://{out}"]
    command += ["--format", "records", "--group_size", "2", "--truncation", "0"]
    assert tool.main(command) == 2
    files = sorted(out.glob("*.tfrecord"))
    assert [file.name for file in files] == [
        f"predictions-0000{number}-of-00002.tfrecord" for number in range(2)
    ]
    files[0].unlink()
    assert tool.main(command) == 2  # the bad inputs of the file that stayed are still told
    assert json.loads((out / "report.json").read_text())["predicted"] == 2
    records = [
        parse_record(record)
        for file in files
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    ]
    assert [record["name"] for record in records] == ["a/clip1.mp4", "a/clip3.mp4"]
    clip = read_clip(videos / "a/clip3.mp4", num_conditioning_frames=2, size=16, stride=2)
    np.testing.assert_array_equal(records[1]["conditioning"], clip.conditioning)
    expected = exported.predict_samples(clip.conditioning[None], num_samples=1, truncation=0)
    np.testing.assert_allclose(records[1]["frames"], expected[0], atol=1)
    assert records[1]["label"] == -1


def test_an_inputs_future_depends_on_its_name_and_the_seed_alone(exported) -> None:
    from trivd_tf.batch.inputs import Given
    from trivd_tf.batch.pipeline import BatchOptions, _futures

    rng = np.random.default_rng(0)
    given = [
        Given(name, rng.integers(0, 256, (2, 16, 16, 3), np.uint8), 10.0) for name in ("a", "b")
    ]
    options = BatchOptions("m", num_samples=2)
    together = _futures(given, exported, options)
    np.testing.assert_allclose(_futures(given[1:], exported, options)[0], together[1], atol=1)
    other = _futures(given[1:], exported, BatchOptions("m", num_samples=2, seed=1))
    assert np.abs(other[0].astype(int) - together[1]).max() > 1


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ([], "give either PATTERNs"),
        (["nowhere/*.mp4", "--data_dir", "d"], "give either PATTERNs"),
        (["nowhere/*.mp4"], "nowhere/*.mp4: matches no file"),
        (["--data_dir", "nowhere"], "nowhere: no prepared data set"),
        (["a.mp4", "--num_sample=3"], "--num_sample=3; Apache Beam's flags need --runner"),
        (["--data_dir", "d", "--runner=Foo", "-speed"], "'-speed' is no flag"),
    ],
)
def test_wrong_flags(tool, words, named, export_dir, tmp_path, capsys) -> None:
    words = [*words, "--model", str(export_dir), "--output", str(tmp_path / "o")]
    assert tool.main(words) == 2
    # Where the model was opened before, its weights are named first.
    *weights, error = capsys.readouterr().err.splitlines()
    assert named in error
    assert all(line.startswith("weights: ") for line in weights)
    assert not (tmp_path / "o").exists()


def test_an_unknown_runner_is_named(tool, videos, export_dir, tmp_path, capsys) -> None:
    words = [str(videos / "a" / "*.mp4"), "--model", str(export_dir), "--output"]
    assert tool.main([*words, str(tmp_path / "o"), "--runner=Foo", "--speed=3"]) == 2
    assert "--runner: Unexpected pipeline runner: Foo" in capsys.readouterr().err


def test_a_prepared_data_set(tool, made_videos, export_dir, tmp_path) -> None:
    from trivd_tf.batch.outputs import parse_record
    from trivd_tf.data import prepare

    prepare.prepare(  # every video has 60 frames
        "folder", output=str(tmp_path / "set"), videos=str(made_videos), size=16
    )
    out = tmp_path / "out"
    command = ["--data_dir", str(tmp_path / "set"), "--split", "train", "--format", "records"]
    assert tool.main([*command, "--model", str(export_dir), "--output", str(out)]) == 0
    report = json.loads((out / "report.json").read_text())
    records = [
        parse_record(record)
        for file in sorted(out.glob("*.tfrecord"))
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    ]
    assert len(records) == report["inputs"] == report["predicted"] > 0
    assert records[0]["name"] == "train-000000000"
    assert records[0]["frames"].shape == (1, 2, 16, 16, 3)


@pytest.mark.long
def test_a_thousand_clips_killed_half_way(made_videos, export_dir, tmp_path) -> None:
    """Exactly one output each, also when killed half-way and run again."""
    from tests.conftest import write_clip

    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(20):
        write_clip(folder / f"{number}.mp4", frames=8, height=24, width=32, rate=25, seed=number)
    for number in range(20, 1000):
        os.link(folder / f"{number % 20}.mp4", folder / f"{number}.mp4")
    (folder / "500.mp4").unlink()
    (folder / "500.mp4").write_text("not a video")
    out = tmp_path / "out"
    command = [sys.executable, str(SCRIPT), str(folder / "*.mp4"), "--model", str(export_dir)]
    command += ["--output", str(out)]
    begun = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while len(outputs(out, ".predicted.mp4")) < 400:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    half = outputs(out, ".predicted.mp4")
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("*.predicted.mp4")}
    assert 400 <= len(half) < 999
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "999 of 1000 predicted" in done.stdout
    expected = {f"{number}.mp4" for number in range(1000)} - {"500.mp4"}
    assert outputs(out, ".predicted.mp4") == expected
    assert len(list(out.rglob("*.mp4"))) == 999
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    assert list(json.loads((out / "report.json").read_text())["failed"]) == ["500.mp4"]
    print(f"killed after {len(half)} of 1000; {time.monotonic() - begun:.0f} s in all")
