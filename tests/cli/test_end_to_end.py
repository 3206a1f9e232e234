"""The four commands as a user runs them: fresh processes, video files in, pictures out."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_kill_training import Run, check_same

HANGS_AFTER = 1200  # seconds

TINY = """\
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
data.VideoFolder.train_fraction = 0.5
models.generator:
    channel_multiplier = 2
    recurrent_unit = "conv_gru"
models.discriminators:
    channel_multiplier = 2
    decomposition = "downsampled"
training.TrainingOptions:
    batch_size = 2
    num_steps = 100000
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


def start(*arguments: str | Path) -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    return subprocess.Popen(
        [sys.executable, "-m", "trivd_tf", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def finish(process: subprocess.Popen, status: int = 0) -> tuple[str, str]:
    """Waits for the end and returns (stdout, stderr); the limit only ends what hangs."""
    try:
        output, errors = process.communicate(timeout=HANGS_AFTER)
    finally:
        process.kill()
    assert process.returncode == status, errors
    return output, errors


def run(*arguments: str | Path, status: int = 0) -> tuple[str, str]:
    return finish(start(*arguments), status)


def wait_for_checkpoint(model: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + HANGS_AFTER
    while not list((model / "checkpoints").glob("*.index")):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"no checkpoint appeared: {process.communicate()[1]}")
        time.sleep(0.1)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory, made_videos) -> Path:
    """A model trained on video files: stopped by SIGTERM on the way, and gone on with."""
    folder = tmp_path_factory.mktemp("end_to_end")
    model, videos = folder / "model", folder / "videos"
    shutil.copytree(made_videos, videos)
    (videos / "notes.txt").write_text("about these videos")
    (videos / "broken.mp4").write_bytes((videos / "clip0.mp4").read_bytes()[:500])
    (folder / "tiny.gin").write_text(TINY)
    flags = ["--gin_bindings", f"data.VideoFolder.cache_dir = '{folder / 'cache'}'"]
    flags += ["--gin_file", folder / "tiny.gin", "--data_dir", videos]
    process = start("train", "--model_dir", model, *flags, "--seed", "3")
    wait_for_checkpoint(model, process)
    process.send_signal(signal.SIGTERM)
    _, errors = finish(process, status=143)
    skipped = [line for line in errors.splitlines() if "skipped" in line]
    assert [line.count(f"{videos}/") for line in skipped] == [1, 1, 0], errors
    assert "broken.mp4" in skipped[0]
    assert "notes.txt" in skipped[1]
    assert skipped[2] == f"trivd: warning: 2 of 5 files in {videos} skipped"
    stopped = int(re.search(r"stopped and saved at step (\d+) of 100000", errors).group(1))
    steps = f"training.TrainingOptions.num_steps = {stopped + 8}"
    output, errors = run("train", "--model_dir", model, "--gin_bindings", steps)
    changed = f"TrainingOptions.num_steps was 100000 and is now {stopped + 8}"
    assert f"trivd: changed: training.{changed}" in errors.splitlines()
    assert output == f"trained {stopped + 8} steps: {model}\n"
    return model


def test_the_run_directory_tells_what_was_run(model_dir):
    record = json.loads((model_dir / "run.json").read_text())
    assert record["seed"] == 3
    assert len(record["resumed"]) == 1
    assert record["versions"]["tensorflow"]
    assert "data.ClipSpec.num_predicted_frames = 2" in (model_dir / "config.gin").read_text()


def test_no_step_is_lost_or_done_twice(model_dir):
    lines = [json.loads(line) for line in (model_dir / "losses.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines]
    assert steps == list(range(1, len(steps) + 1))
    assert all(np.isfinite(value) for line in lines for value in line.values())


@pytest.mark.long
def test_a_run_killed_while_it_saves_ends_with_the_same_losses_and_weights(model_dir):
    """As one that was stopped at another step."""
    undisturbed = Run(model_dir)
    steps = undisturbed.saved()
    folder = model_dir.parent
    killed = Run(
        folder / "killed",
        *("--gin_file", folder / "tiny.gin", "--data_dir", folder / "videos"),
        *("--gin_bindings", f"data.VideoFolder.cache_dir = '{folder / 'cache'}'"),
        *("--gin_bindings", f"training.TrainingOptions.num_steps = {steps}"),
    )
    killed.kill("save", random.Random(0), 0.0)
    assert killed.saved() < steps
    killed.finish()
    check_same(killed, undisturbed, steps)


def test_another_model_is_refused(model_dir):
    wider = "models.generator.channel_multiplier = 4"
    _, errors = run("train", "--model_dir", model_dir, "--gin_bindings", wider, status=2)
    assert errors.count("\n") == 1
    assert "models.generator.channel_multiplier was 2 and is now 4" in errors


def test_evaluate_export_and_predict(model_dir, made_videos, tmp_path):
    table, _ = run("evaluate", "--model_dir", model_dir)
    for row in ("model", "copy of the last frame", "real against real"):
        assert re.search(rf"^{row}.*\d", table, re.M), table

    exported = tmp_path / "exported"
    run("export", "--model_dir", model_dir, "--export_dir", exported)
    assert (exported / "saved_model.pb").is_file()
    card = (exported / "README.md").read_text()
    for row in ("model, step", "copy of the last frame"):
        fvd = re.search(rf"^{row}.*?([\d.]+\.\d)\b", table, re.M).group(1)
        assert re.search(rf"^\| {row}[^|]* \| {re.escape(fvd)} \|", card, re.M), card

    clip, futures = made_videos / "clip0.mp4", tmp_path / "futures"
    output, errors = run("predict", "--model", exported, clip, "--output", futures)
    # Nothing but the weights and progress, which a slow machine gets to see: no log of TensorFlow.
    expected = ("predicting: ", "weights: ")
    assert [line for line in errors.splitlines() if not line.startswith(expected)] == []
    assert sorted(output.splitlines()) == sorted(str(path) for path in futures.glob("[!.]*"))
    with Image.open(futures / "clip0.png") as picture:
        assert np.asarray(picture).std() > 10
