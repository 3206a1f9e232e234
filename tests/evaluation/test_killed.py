"""`trivd evaluate` killed again and again ends with the report of one that was left alone."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from trivd_tf.evaluation.partial import SAVE_EVERY

HANGS_AFTER = 600  # seconds
SAMPLES = 3 * SAVE_EVERY

# In the place of I3D's weights: a module as the hub has it, quick to run.
WRITE_MODULE = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
from test_i3d_hub import write_module
write_module(pathlib.Path(sys.argv[2]))
"""


def start(run: Path, module: Path, folder: Path) -> subprocess.Popen:
    """An evaluation of two runs with every picture, and a cache of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    environment["XDG_CACHE_HOME"] = str(folder / "cache")
    command = [sys.executable, "-m", "trivd_tf", "evaluate", "--model_dir", str(run)]
    command += ["--num_samples", str(SAMPLES), "--num_runs", "2", "--best_of_clips", "32"]
    command += ["--figures", "all", "--output", str(folder / "report")]
    command += ["--gin_bindings", f"evaluation.EvaluationOptions.i3d = '{module}'"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def finished(process: subprocess.Popen) -> str:
    output, errors = process.communicate(timeout=HANGS_AFTER)
    assert process.returncode == 0, errors
    return output


def done_so_far(folder: Path) -> int:
    """Clips in all files of unfinished sums."""
    total = 0
    for file in [*folder.glob("cache/**/*.npz"), *folder.glob("report/unfinished/*.npz")]:
        with np.load(file) as stored:
            total += int(stored["done"])
    return total


@pytest.mark.long
def test_an_evaluation_killed_again_and_again_gives_the_same(tiny_run, tmp_path):
    module, whole, killed = (tmp_path / name for name in ("module", "whole", "killed"))
    metrics = Path(__file__).parent.parent / "metrics"
    subprocess.run([sys.executable, "-c", WRITE_MODULE, metrics, module], check=True)
    expected = finished(start(tiny_run, module, whole))
    rng, kills, before = random.Random(0), [], 0
    while True:
        process = start(tiny_run, module, killed)
        deadline = time.monotonic() + HANGS_AFTER
        while process.poll() is None and done_so_far(killed) == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 1))
        process.send_signal(signal.SIGKILL)
        output, errors = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors
        if (killed / "report" / "report.json").is_file():  # everything was done, but for leaving
            output = finished(start(tiny_run, module, killed))
            break
        assert done_so_far(killed) > before, "went back"
        before = done_so_far(killed)
        kills.append(before)
    print(f"killed after {kills} clips in all")
    assert len(kills) >= 5
    assert output == expected
    reports = [json.loads((f / "report" / "report.json").read_text()) for f in (whole, killed)]
    assert reports[0] == reports[1]
    assert not (killed / "report" / "unfinished").exists()
