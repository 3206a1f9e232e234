"""`trivd prepare`: the command line in front of the library, whose own tests make every layout."""

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.beam import NEEDS_BEAM
from tests.data.prepare import sources
from tests.data.prepare.test_prepare import files_of
from tests.data.videos import encode, numbered_frames
from trivd_tf.cli import main as cli
from trivd_tf.data import prepare as library

pytestmark = NEEDS_BEAM


def test_kinetics_is_prepared_told_and_then_left_alone(tmp_path, capsys):
    videos, annotations = sources.make_kinetics(tmp_path)
    command = ["prepare", "kinetics600", "--videos", videos, "--annotations", *annotations]
    command += ["--output", str(tmp_path / "out"), "--size", "32", "--encoding", "jpeg"]
    assert cli.main(command) == 0
    first = capsys.readouterr()
    assert "kinetics600: 5 videos written, 4 of 9 skipped" in first.out
    assert "train: 3 videos, " in first.out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["encoding"] == "jpeg"
    assert report["options"]["jpeg_quality"] == 95
    assert cli.main(command) == 0
    again = capsys.readouterr()
    assert again.out.splitlines()[0].endswith("out was finished before; nothing to do.")
    assert again.out.splitlines()[1:] == first.out.splitlines()
    assert cli.main([*command, "--jpeg_quality", "90"]) == 2
    assert "name another --output" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        (
            ["ucf101", "--videos", "v", "--annotations", "l"],
            {"kind": "ucf101", "videos": "v", "annotations": ["l"], "size": 64, "encoding": "raw"},
        ),
        (
            ["ucf101", "--tfds_dir", "d", "--official_split", "2"],
            {"tfds_dir": "d", "official_split": 2, "videos": None, "annotations": None},
        ),
        (["bair", "--videos", "v", "--camera", "image_aux1"], {"camera": "image_aux1"}),
        (["moving_mnist", "--tfds_dir", "d"], {"kind": "moving_mnist", "tfds_dir": "d"}),
        (
            ["folder", "--videos", "v", "--train_fraction", "0.5", "--videos_per_shard", "8"],
            {"train_fraction": 0.5, "videos_per_shard": 8, "beam_flags": []},
        ),
        (
            ["freedom_walks", "--frames", "768", "--rate", "35", "--seed", "3", "--size", "32"],
            {"frames": 768, "rate": 35.0, "seed": 3, "size": 32, "videos": None},
        ),
        (
            ["folder", "--videos", "v", "--runner", "FlinkRunner", "--flink_master=h:1"],
            {"beam_flags": ["--runner=FlinkRunner", "--flink_master=h:1"]},
        ),
    ],
)
def test_flags_reach_the_library(monkeypatch, capsys, flags, options):
    seen = {}

    def note(kind, **given):
        seen.update(given, kind=kind)
        splits = {"train": {"videos": 1, "frames": 2, "bytes": 3, "shards": 1}}
        content = {"kind": kind, "written": 1, "skipped": 0, "listed": 1, "splits": splits}
        return library.Report("out", content, False)

    monkeypatch.setattr(library, "prepare", note)
    assert cli.main(["prepare", *flags, "--output", "out"]) == 0
    assert {name: seen[name] for name in options} == options
    assert seen["output"] == "out"
    assert "1 videos written, 0 of 1 skipped\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["imagenet"], "invalid choice: 'imagenet'"),
        (["folder", "--videos", "v", "--vidoes", "w"], "unrecognized arguments: --vidoes w"),
        (["folder"], "folder takes --videos [--train_fraction]; received none"),
        (["bair", "--tfds_dir", "d", "--annotations", "x"], "bair takes --videos [--camera] or"),
        (["folder", "--videos", "missing"], "no such folder"),
        (["folder", "--videos", "v", "--size", "0"], "no size; give a side, or height x width"),
        (["folder", "--videos", "v", "--jpeg_quality", "101"], "must lie in 1 to 100"),
        (["kinetics600", "--videos", "v", "--annotations", "no.csv"], "no.csv: cannot be read"),
    ],
)
def test_wrong_flags_are_one_line_with_status_2(tmp_path, monkeypatch, capsys, flags, message):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["prepare", *flags, "--output", "out"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "out").exists()


def test_unknown_runner_is_told_by_name(tmp_path, made_videos, capsys):
    flags = ["folder", "--videos", str(made_videos), "--output", str(tmp_path / "out")]
    assert cli.main(["prepare", *flags, "--runner", "Foo", "--speed=3"]) == 2
    assert "--runner: Unexpected pipeline runner: Foo" in capsys.readouterr().err
    assert cli.main(["prepare", *flags]) == 0


SLOW = """
import signal, sys, time
from trivd_tf.cli import main as cli
from trivd_tf.cli.tensorflow_log import import_tensorflow

import_tensorflow(debug=False)

from trivd_tf.data.prepare import readers

def slow(job, items, read=readers.READERS["files"]):
    for result in read(job, items):
        yield result
        time.sleep(0.5)

readers.READERS["files"] = slow
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests were started from
sys.exit(cli.main(sys.argv[1:]))
"""


def test_signals_stop_it_in_one_line_and_the_same_command_goes_on(tmp_path, repository):
    for number in range(12):
        encode(tmp_path / "videos" / f"{number:02d}.mkv", numbered_frames(number, 20))

    def command(output):
        flags = ["--videos", str(tmp_path / "videos"), "--size", "32", "--videos_per_shard", "1"]
        return ["prepare", "folder", *flags, "--output", str(output)]

    notes = tmp_path / "stopped" / ".work" / "shards"
    for number, status, word in (
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGINT, 130, "interrupted"),
    ):
        before = len(list(notes.glob("*.json")))
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW, *command(tmp_path / "stopped")],
            cwd=repository,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while len(list(notes.glob("*.json"))) == before and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(number)
        output, errors = process.communicate(timeout=120)
        assert (process.returncode, output) == (status, ""), errors
        lines = [line for line in errors.splitlines() if not line.startswith("preparing: ")]
        assert lines == [
            f"trivd: {word}: {tmp_path / 'stopped'} is not finished; the same command resumes"
        ]
        assert before < len(list(notes.glob("*.json"))) < 12
    assert cli.main(command(tmp_path / "stopped")) == 0
    assert cli.main(command(tmp_path / "whole")) == 0
    assert files_of(tmp_path / "stopped") == files_of(tmp_path / "whole")
