"""`trivd compare`: the grid with cells made by hand, and, as a long test, with real ones."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from trivd_tf.base.errors import RunError
from trivd_tf.cli.commands import compare
from trivd_tf.cli.main import main
from trivd_tf.comparison import CellResult
from trivd_tf.comparison.cell import SAMPLES
from trivd_tf.comparison.facts import differences
from trivd_tf.data.bouncing_digits import BouncingDigits
from trivd_tf.evaluation.reporting.report import Row

FILES = ["table2_conv_gru_small", "table2_tsru_p_small"]
ADDED = "table2_k_traj_gru_small"


def flags(output, *more, files=FILES):
    named = [part for name in files for part in ("--gin_file", name)]
    return ["compare", "--output", str(output), *named, *more]


class Cells(list):
    """The cells that were run, and the function that notes them."""


@pytest.fixture
def ran(monkeypatch):
    """Replaces training by results made up; the list of cells that were run."""
    cells = Cells()

    def run(args, cell, label):
        cells.append((cell.name, cell.seed))
        if (cell.name, cell.seed) == getattr(run, "fails", None):
            raise RunError("cut off")
        cell.directory.mkdir(parents=True, exist_ok=True)
        by_frame = {"psnr": [20.0, 18.0], "ssim": [0.8, 0.6]}
        fvd = 50.0 + len(cell.name) + cell.seed
        rows = [
            Row("model", fvd, 2.0, by_frame),
            Row("copy of the last frame", 99.0, 1.0, by_frame),
        ]
        title = cell.name.removesuffix("_small")
        CellResult(cell.name, title, cell.seed, "5 steps", 5, 0.0, 1000, rows, {}).save(
            cell.directory
        )
        frames = np.full((1, 3, 16, 16, 3), 99, np.uint8)
        np.savez(cell.directory / SAMPLES, real=frames, predicted=frames[:, 1:])

    monkeypatch.setattr(compare, "_run_in_a_process", run)
    cells.run = run
    return cells


@pytest.fixture
def grown(ran, tmp_path, monkeypatch, capsys):
    """A comparison whose data changed before a third configuration is added; its directory."""
    assert main(flags(tmp_path, "--steps", "5")) == 0
    ran.clear()
    monkeypatch.setattr(BouncingDigits, "fingerprint", lambda self, clip, split: f"more {split}")
    capsys.readouterr()
    return tmp_path


def test_cells_of_other_data_are_set_apart(ran, grown, capsys):
    assert main(flags(grown, "--steps", "5", files=[*FILES, ADDED])) == 0
    assert ran == [(ADDED, 0)]
    printed = capsys.readouterr().out
    assert f"set apart: {FILES[0]}, seed 0, FVD {50 + len(FILES[0])}.0: other data" in printed
    stored = json.loads((grown / "comparison.json").read_text())
    assert list(stored["configurations"]) == stored["order"] == [ADDED]
    assert len(stored["set_apart"]) == 2
    report = (grown / "comparison.md").read_text()
    table, _, apart = report.partition("Set apart")
    assert FILES[0] not in table
    assert FILES[0] in apart


def test_again_runs_them_again_and_keeps_the_earlier_ones(ran, grown):
    before = (grown / "cells" / FILES[0] / "seed_0" / "result.json").read_bytes()
    report = (grown / "comparison.md").read_bytes()
    assert main(flags(grown, "--steps", "5")) == 2  # no cell of today at all
    assert (grown / "comparison.md").read_bytes() == report
    assert main(flags(grown, "--steps", "5", "--again")) == 0
    assert ran == [(FILES[0], 0), (FILES[1], 0)]
    kept = grown / "cells" / FILES[0] / "seed_0-earlier-1" / "result.json"
    assert kept.read_bytes() == before


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"data": {"train": "1"}}, ["other data"]),
        ({"code": "other"}, ["other code of this package"]),
        ({"evaluation": {"num_samples": 8}}, ["another evaluation (num_samples)"]),
        ({}, []),
    ],
)
def test_what_differs_between_cells_is_named(changed, reason):
    facts = {"data": {"train": "0"}, "evaluation": {"num_samples": 4}, "code": "this"}
    assert differences(facts | changed, facts) == reason
    assert differences(None, facts) == ["data, evaluation and code were not recorded"]


@pytest.mark.parametrize("name", ["comparison.md", "settings.json"])
def test_a_users_own_file_is_found_before_any_cell_is_run(ran, tmp_path, capsys, name):
    (tmp_path / name).write_text('{"mine": 1}')
    assert main(flags(tmp_path, "--steps", "5")) == 2
    assert name in capsys.readouterr().err
    assert ran == []
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == '{"mine": 1}'


def test_a_grid_is_run_once_and_can_grow(ran, tmp_path, capsys):
    assert main(flags(tmp_path, "--steps", "5")) == 0
    assert ran == [(FILES[0], 0), (FILES[1], 0)]
    assert "table2_conv_gru" in capsys.readouterr().out
    assert main(flags(tmp_path, "--steps", "5", "--seeds", "0", "1")) == 0
    assert ran[2:] == [(FILES[0], 1), (FILES[1], 1)]
    files = sorted(path.name for path in tmp_path.glob("[!.]*") if path.is_file())
    assert files == [
        "by_frame.png",
        "comparison.json",
        "comparison.md",
        "scores.png",
        "settings.json",
        "side_by_side.gif",
        "side_by_side.mp4",
        "side_by_side.png",
    ]
    stored = json.loads((tmp_path / "comparison.json").read_text())
    assert stored["configurations"][FILES[1]]["seeds"] == [0, 1]


def test_a_cell_that_failed_is_run_again_and_the_finished_ones_not(ran, tmp_path, capsys):
    ran.run.fails = (FILES[1], 0)
    assert main(flags(tmp_path, "--steps", "5")) == 1
    assert "cut off" in capsys.readouterr().err
    ran.run.fails = None
    ran.clear()
    assert main(flags(tmp_path, "--steps", "5")) == 0
    assert ran == [(FILES[1], 0)]


@pytest.mark.parametrize(
    ("more", "files", "expected"),
    [
        (["--steps", "6"], FILES, "holds a comparison of 5 steps, not of 6 steps"),
        (["--steps", "5"], [FILES[0], FILES[0]], "is repeated"),
        (["--steps", "5", "--minutes", "1"], FILES, "not allowed with"),
        ([], FILES, "one of the arguments --steps --minutes is required"),
        (["--minutes", "nan"], FILES, "not a number of minutes"),
        (["--steps", "5"], [FILES[0], "quickstart"], "give --data_dir"),
    ],
)
def test_mistakes_are_one_line(ran, tmp_path, capsys, more, files, expected):
    (tmp_path / "settings.json").write_text('{"budget": "5 steps"}')
    assert main(flags(tmp_path, *more, files=files)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert expected in error
    assert not ran


def test_different_data_or_evaluation_is_refused(ran, tmp_path, capsys):
    other = tmp_path / "other.gin"
    other.write_text(
        'include "runs/table2_tsru_p_small.gin"\n'
        "from __gin__ import dynamic_registration\n"
        "from trivd_tf import evaluation\n"
        "evaluation.EvaluationOptions.num_samples = 8\n"
    )
    assert main(flags(tmp_path / "out", "--steps", "5", files=[FILES[0], str(other)])) == 2
    assert "EvaluationOptions.num_samples is 8 and 256" in capsys.readouterr().err


TINY = """\
from __gin__ import dynamic_registration
from trivd_tf import data
from trivd_tf import evaluation
from trivd_tf import models
from trivd_tf import training

include "runs/table2_{unit}_small.gin"

data.ClipSpec:
    num_conditioning_frames = 7
    num_predicted_frames = 2
    size = 16
models.generator.channel_multiplier = 1
models.discriminators:
    channel_multiplier = 1
    num_sampled_frames = 2
training.TrainingOptions:
    batch_size = 2
    ema_start_step = 1
    steps_per_loop = 2
    checkpoint_every_steps = 2
    summary_every_steps = 2
    sample_every_steps = 0
evaluation.EvaluationOptions:
    num_samples = 4
    batch_size = 4
    standing_batches = 1
    standing_batch_size = 4
"""


def command(folder, *more):
    named = [
        part for unit in ("conv_gru", "tsru_p") for part in ("--gin_file", folder / f"{unit}.gin")
    ]
    arguments = ["compare", "--output", folder / "out", *named, "--seeds", "0", "1", *more]
    return [sys.executable, "-m", "trivd_tf", *map(str, arguments)]


@pytest.mark.long
@pytest.mark.parametrize("budget", [("--steps", "6"), ("--minutes", "0.05")])
def test_two_configurations_and_seeds_with_a_kill(tmp_path, budget):
    for unit in ("conv_gru", "tsru_p"):
        (tmp_path / f"{unit}.gin").write_text(TINY.format(unit=unit))
    first = tmp_path / "out" / "cells" / "conv_gru" / "seed_0"
    process = subprocess.Popen(command(tmp_path, *budget), start_new_session=True)
    while not list((first / "checkpoints").glob("*.index")):
        assert process.poll() is None
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    # The orphaned cell notices, saves and leaves.
    time.sleep(20)
    done = subprocess.run(command(tmp_path, *budget), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    again = subprocess.run(command(tmp_path, *budget), capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("finished before") == 4
    stored = json.loads((tmp_path / "out" / "comparison.json").read_text())
    for found in stored["configurations"].values():
        assert found["seeds"] == [0, 1]
        assert np.isfinite(found["scores"]["fvd"]["mean"])
        if budget[0] == "--steps":
            assert found["steps"] == [6, 6]
        else:
            assert all(minutes >= 0.05 for minutes in found["minutes"])
