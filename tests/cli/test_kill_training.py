"""`trivd train` killed with -9 and started again ends as a run that nothing disturbed.

The same losses, positions in the data, random vectors of spectral norm, optimisers, averages and
weights, to the last bit, whenever the kill comes: while it starts (imports, decoding, tracing),
between two checkpoints, or while one is written. test_end_to_end.py has one kill for every day.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from trivd_tf.training.losses_log import read_losses

HANGS_AFTER = 900  # seconds
STEPS = 300

TINY = """\
from __gin__ import dynamic_registration
from trivd_tf import data
from trivd_tf import models
from trivd_tf import training

include "runs/folder.gin"

data.ClipSpec:
    num_conditioning_frames = 2
    num_predicted_frames = 1
    size = 16
data.VideoFolder.cache_dir = "{cache}"
models.generator.channel_multiplier = 1
models.discriminators:
    channel_multiplier = 1
    decomposition = "cropped"
training.TrainingOptions:
    batch_size = 2
    num_steps = {steps}
    ema_start_step = 2
    steps_per_loop = 4
    checkpoint_every_steps = 3
    summary_every_steps = 3
    sample_every_steps = 0
"""


class Run:
    """One run directory and the command that fills it, however often it is cut off."""

    def __init__(self, model: Path, *flags: str | Path):
        self.model = model
        self.checkpoints = model / "checkpoints"
        words = ["train", "--model_dir", model, *flags, "--seed", "3"]
        self._command = [sys.executable, "-m", "trivd_tf", *map(str, words)]

    def start(self) -> subprocess.Popen:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
        return subprocess.Popen(
            self._command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )

    def finish(self) -> float:
        """Runs to the end and returns the seconds until the first checkpoint was there."""
        started = time.monotonic()
        process = self.start()
        try:
            _wait(process, lambda: self.saved() > 0)
            starting = time.monotonic() - started
            _, errors = process.communicate(timeout=HANGS_AFTER)
        finally:
            process.kill()
        assert process.returncode == 0, errors
        return starting

    def saved(self) -> int:
        """Step of the newest checkpoint."""
        steps = [int(p.stem.rpartition("-")[2]) for p in self.checkpoints.glob("*.index")]
        return max(steps, default=0)

    def half_written(self) -> set[tuple[str, int]]:
        """Folders of checkpoints that are being written, or were when the process was killed."""
        found = set()
        for path in self.checkpoints.glob("*_temp*"):
            with contextlib.suppress(FileNotFoundError):
                found.add((path.name, path.stat().st_mtime_ns))
        return found

    def kill(self, moment: str, rng: random.Random, starting: float) -> bool:
        """Starts it and kills the whole process group at a random time of the given phase.

        Returns:
            Whether a checkpoint was left half written.

        Args:
            moment: "start", before the first step is through; "loop", some time after a new
                checkpoint; "save", as soon as a checkpoint is seen being written.
            rng: draws the time.
            starting: seconds within which "start" falls.
        """
        before, left_over = self.saved(), self.half_written()
        process = self.start()
        if moment == "start":
            _wait(process, lambda: False, rng.uniform(0, starting))
        else:
            _wait(process, lambda: self.saved() > before)
            if moment == "loop":
                _wait(process, lambda: False, rng.uniform(0, 0.3))
            else:
                _wait(process, lambda: self.half_written() - left_over)
                _wait(process, lambda: False, rng.choice([0, 0.002]))
        running = process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        _, errors = process.communicate()
        assert running, f"it ended before it was killed: {errors}"
        assert process.returncode == -signal.SIGKILL
        is_cut = bool(self.half_written() - left_over)
        print(f"killed ({moment}) with step {self.saved()} saved, {is_cut=}")
        return is_cut

    def stop(self, number: signal.Signals) -> None:
        """Starts it and sends a signal that has to save first, some steps after a checkpoint."""
        before = self.saved()
        process = self.start()
        _wait(process, lambda: self.saved() > before)
        process.send_signal(number)
        _, errors = process.communicate(timeout=HANGS_AFTER)
        assert process.returncode == 128 + number, errors
        assert f"stopped and saved at step {self.saved()} of" in errors

    def files(self) -> list[str]:
        """Names of what is kept of checkpoints."""
        return sorted(path.name for path in self.checkpoints.iterdir())

    def state(self) -> tuple[list[dict[str, float]], dict[str, np.ndarray]]:
        """Losses of every step, and all of the newest checkpoint."""
        import tensorflow as tf

        reader = tf.train.load_checkpoint(str(self.checkpoints))
        tensors = {
            name: reader.get_tensor(name)
            for name in reader.get_variable_to_shape_map()
            # How often was saved depends on when a run was stopped.
            if "OBJECT_GRAPH" not in name and not name.startswith("save_counter")
        }
        return read_losses(self.model / "losses.jsonl"), tensors


def _wait(process: subprocess.Popen, until, seconds: float = HANGS_AFTER) -> None:
    deadline = time.monotonic() + seconds
    while not until() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.0005)


def check_same(killed: Run, unbroken: Run, steps: int) -> None:
    losses, tensors = killed.state()
    expected_losses, expected_tensors = unbroken.state()
    assert [row["step"] for row in losses] == list(range(1, steps + 1))
    assert losses == expected_losses
    assert tensors.keys() == expected_tensors.keys()
    different = [n for n in tensors if not np.array_equal(tensors[n], expected_tensors[n])]
    assert different == []
    # Three batches of two clips a step: where the stream of clips goes on.
    for name, count in {"step": steps, "clips": steps * 3 * 2}.items():
        assert int(tensors[f"variables/{name}/.ATTRIBUTES/VARIABLE_VALUE"]) == count


def make_run(folder: Path, videos: Path) -> Run:
    folder.mkdir()
    config = folder / "tiny.gin"
    config.write_text(TINY.format(cache=folder / "cache", steps=STEPS))
    return Run(folder / "model", "--gin_file", config, "--data_dir", videos)


@pytest.mark.long
def test_ten_kills_at_random_moments_change_nothing(tmp_path, sample_videos):
    unbroken = make_run(tmp_path / "unbroken", sample_videos)
    starting = unbroken.finish()
    killed = make_run(tmp_path / "killed", sample_videos)
    rng = random.Random(0)
    moments = ["start", "loop", "save"] * 3 + ["loop"]
    rng.shuffle(moments)
    cut = [killed.kill(moment, rng, starting) for moment in moments]
    assert any(cut)
    killed.stop(signal.SIGINT)
    killed.stop(signal.SIGTERM)
    killed.finish()
    check_same(killed, unbroken, STEPS)
    assert killed.files() == unbroken.files()
