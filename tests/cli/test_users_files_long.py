"""The real commands, one after the other, in a folder of a user's files: none of them changes.

test_users_files.py tries every way into those files with stand-ins for what takes minutes; here
nothing is replaced but the weights of I3D.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.beam import NEEDS_BEAM
from tests.cli.test_users_files import Home
from trivd_tf.base.lock import FILE_NAME
from trivd_tf.cli.main import main

pytestmark = [*NEEDS_BEAM, pytest.mark.long]

REAL = """\
from __gin__ import dynamic_registration
from trivd_tf import data
from trivd_tf import evaluation
from trivd_tf import models
from trivd_tf import training

include "runs/folder.gin"

data.ClipSpec:
    num_conditioning_frames = 7
    num_predicted_frames = 2
    size = 16
data.VideoFolder:
    data_dir = "{clips}"
    train_fraction = 0.5
models.generator:
    channel_multiplier = 2
    recurrent_unit = "conv_gru"
models.discriminators:
    channel_multiplier = 2
    decomposition = "downsampled"
training.TrainingOptions:
    batch_size = 2
    num_steps = 2
    ema_start_step = 1
    steps_per_loop = 1
    checkpoint_every_steps = 1
    summary_every_steps = 1
    sample_every_steps = 2
    evaluate_every_steps = 2
evaluation.EvaluationOptions:
    num_samples = 4
    batch_size = 4
    standing_batches = 1
    standing_batch_size = 4
    i3d = "{i3d}"
"""

# What a user may do in this order, and a file that has to be there afterwards.
COMMANDS = [
    ("prepare folder --videos {home}/clips --output {home}/prepared --size 16",
     "prepared/report.json"),
    ("describe --summary --gin_file {home}/real.gin --json {home}/described.json",
     "described.json"),
    ("describe --gin_file {home}/real.gin --views {home}/bikes.mp4 --output {home}/drawn.png",
     "drawn.png"),
    ("score {home}/clips {home}/clips --output {home}/scored --i3d {i3d} --clip_length 9",
     "scored/score.json"),
    ("train --gin_file {home}/real.gin --model_dir {home}/empty", "empty/best.json"),
    ("train --model_dir {home}/empty", "empty/losses.jsonl"),
    ("evaluate --model_dir {home}/empty", "empty/evaluations/2/report.json"),
    ("evaluate --model_dir {home}/empty --output {home}/clips", "clips/report.md"),
    ("evaluate --model_dir {home}/empty --output {home}/clips", "clips/report.json"),
    ("export --model_dir {home}/empty --export_dir {home}/exported", "exported.tar.gz"),
    ("predict --model {home}/exported {home}/link.mp4 --output {home}/clips --num_samples 2",
     "clips/link.mp4"),
    ("predict --model {home}/empty {home}/bikes.mp4 --output {home}/exported-2",
     "exported-2/bikes.mp4"),
    ("report {home}/empty --output {home}/clips", "clips/tables.md"),
    ("compare --gin_file {home}/real.gin --steps 1 --output {home}/compared",
     "compared/comparison.md"),
]  # fmt: skip

WRITE_MODULE = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
from test_i3d_hub import write_module
write_module(pathlib.Path(sys.argv[2]))
"""


@pytest.fixture
def names(tmp_path, made_videos, monkeypatch):
    """The folder of the user's files, and what the commands read besides."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder, module = tmp_path / "home", tmp_path / "i3d"
    home = Home(folder, made_videos / "clip0.mp4")
    metrics = Path(__file__).parent.parent / "metrics"
    subprocess.run([sys.executable, "-c", WRITE_MODULE, metrics, module], check=True)
    return {"tool": home, "home": folder, "i3d": module}


def test_real_commands_change_no_file_of_the_users(names, capfd):
    tool, home = names["tool"], names["home"]
    (home / "real.gin").write_text(REAL.format(clips=home / "clips", i3d=names["i3d"]))
    for line, written in COMMANDS:
        started = time.monotonic()
        status = main(line.format(**names).split())
        output = capfd.readouterr()
        assert status == 0, f"{line}\n{output.out}{output.err}"
        new = tool.check()
        assert written in new, line
        assert not [name for name in new if name.endswith(FILE_NAME)], line
        with capfd.disabled():
            print(f"{time.monotonic() - started:6.1f} s  {line.partition(' ')[0]}")
    best = json.loads((home / "empty" / "best.json").read_text())
    assert best["best_step"] == 2


def test_two_preparations_at_once_end_as_one(names, capfd):
    home, output = names["home"], names["home"] / "prepared"
    line = f"prepare folder --videos {home}/clips --output {output} --size 16".split()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    first = subprocess.Popen(
        [sys.executable, "-m", "trivd_tf", *line], env=environment, stdout=subprocess.PIPE
    )
    try:
        while not (output / FILE_NAME).exists():
            assert first.poll() is None
            time.sleep(0.01)
        assert main(line) == 2
        assert f"process {first.pid}" in capfd.readouterr().err
    finally:
        printed, _ = first.communicate(timeout=300)
    assert first.returncode == 0
    assert b"6 videos written, 0 of 6 skipped" in printed
    assert main(line) == 0
    assert "was finished before" in capfd.readouterr().out
    names["tool"].check()
