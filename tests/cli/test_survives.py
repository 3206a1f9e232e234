"""Two worker processes on loopback: signals, kills and a folder that is gone, as a user meets them.

Each job is compared with one that was never disturbed: the same losses to the last digit.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

HANGS_AFTER = 900  # seconds
LAST = 40

TINY = """\
from __gin__ import dynamic_registration
from trivd_tf import data
from trivd_tf import evaluation
from trivd_tf import models
from trivd_tf import training

include "runs/bouncing_digits.gin"

data.ClipSpec:
    num_conditioning_frames = 2
    num_predicted_frames = 1
    size = 16
models.generator:
    channel_multiplier = 1
    recurrent_unit = "conv_gru"
models.discriminators:
    channel_multiplier = 1
    decomposition = "cropped"
training.TrainingOptions:
    batch_size = 4
    num_steps = %d
    steps_per_loop = 2
    checkpoint_every_steps = 4
    summary_every_steps = 4
    sample_every_steps = 0
    evaluate_every_steps = 0
    save_patience_seconds = 4
"""


class Job:
    """Two `trivd train` processes that train together."""

    def __init__(self, folder: Path, steps: int = LAST):
        self.model = folder / "model"
        config = folder / "tiny.gin"
        config.write_text(TINY % steps)
        sockets = [socket.socket() for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        hosts = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
        for each in sockets:
            each.close()
        self.workers = [self._start(hosts, index, config) for index in range(2)]

    def _start(self, hosts: list[str], index: int, config: Path) -> subprocess.Popen:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
        cluster = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
        environment["TF_CONFIG"] = json.dumps(cluster)
        command = [sys.executable, "-m", "trivd_tf", "train", "--strategy", "multi_worker"]
        return subprocess.Popen(
            [*command, "--gin_file", str(config), "--model_dir", str(self.model), "--seed", "3"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def wait_for_checkpoint(self) -> None:
        deadline = time.monotonic() + HANGS_AFTER
        while not list((self.model / "checkpoints").glob("*.index")):
            ended = any(worker.poll() is not None for worker in self.workers)
            if ended or time.monotonic() > deadline:
                pytest.fail(f"no checkpoint appeared: {self.end()}")
            time.sleep(0.02)

    def end(self) -> list[tuple[int, str]]:
        """Status and stderr of each worker; the limit only ends what hangs."""
        try:
            said = [worker.communicate(timeout=HANGS_AFTER)[1] for worker in self.workers]
        finally:
            for worker in self.workers:
                worker.kill()
        return [(w.returncode, text) for w, text in zip(self.workers, said, strict=True)]

    def losses(self) -> list[str]:
        return (self.model / "losses.jsonl").read_text().splitlines()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> list[str]:
    job = Job(tmp_path_factory.mktemp("undisturbed"))
    ended = job.end()
    assert [status for status, _ in ended] == [0, 0], ended
    assert len(job.losses()) == LAST
    return job.losses()


def check_goes_on(folder: Path, undisturbed: list[str]) -> None:
    job = Job(folder)
    ended = job.end()
    assert [status for status, _ in ended] == [0, 0], ended
    assert job.losses() == undisturbed


@pytest.mark.long
def test_sigterm_to_one_worker_saves_and_stops_all(undisturbed, tmp_path):
    job = Job(tmp_path, steps=100_000)
    job.wait_for_checkpoint()
    job.workers[1].send_signal(signal.SIGTERM)
    ended = job.end()
    assert [status for status, _ in ended] == [143, 143], ended
    assert all("stopped and saved at step" in said for _, said in ended)
    if len(job.losses()) < LAST:  # it was quick enough to be compared
        check_goes_on(tmp_path, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_worker_ends_the_job_and_it_goes_on(undisturbed, tmp_path, victim):
    job = Job(tmp_path)
    job.wait_for_checkpoint()
    job.workers[victim].kill()
    ended = job.end()
    assert ended[victim][0] == -signal.SIGKILL
    assert ended[1 - victim][0] == 1, ended
    assert "a worker no longer answers after step" in ended[1 - victim][1]
    check_goes_on(tmp_path, undisturbed)


@pytest.mark.long
def test_a_checkpoint_folder_that_is_gone_ends_the_job_and_it_goes_on(undisturbed, tmp_path):
    job = Job(tmp_path)
    job.wait_for_checkpoint()
    checkpoints = job.model / "checkpoints"
    aside = job.model / "aside"
    # A file in its place: root writes wherever rights forbid it.
    checkpoints.rename(aside)
    checkpoints.write_text("in the way")
    ended = job.end()
    assert [status for status, _ in ended] == [1, 1], ended
    assert "trying again in" in ended[0][1]
    assert "cannot save to" in ended[0][1]
    assert "a worker no longer answers" in ended[1][1]
    checkpoints.unlink()
    aside.rename(checkpoints)
    check_goes_on(tmp_path, undisturbed)
