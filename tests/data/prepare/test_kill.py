"""A preparation that is killed again and again ends with the data of an unbroken one."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.beam import NEEDS_BEAM
from tests.data.prepare import sources
from tests.data.prepare.stored import files_of

pytestmark = NEEDS_BEAM

KILLS = 10
PROGRAM = """
import sys, trivd_tf.data.prepare as p, trivd_tf.data.prepare.run, apache_beam
print("ready", flush=True)
p.prepare("bair", videos=sys.argv[1], output=sys.argv[2], videos_per_shard=2)
"""


def start(videos, folder, repository):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, videos, str(folder)],
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with process.stdout as output:
        assert output.readline() == b"ready\n"
    return process


@pytest.mark.long
def test_ten_kills_at_random_moments_change_nothing(tmp_path, repository):
    videos = sources.make_bair(tmp_path, train=40, test=6)
    unbroken = start(videos, tmp_path / "whole", repository)
    began = time.monotonic()
    assert unbroken.wait() == 0
    duration = time.monotonic() - began
    expected = files_of(tmp_path / "whole")
    rng = random.Random(0)
    kills, round_number = 0, 0
    while kills < KILLS:
        output = tmp_path / f"killed{round_number}"
        process = start(videos, output, repository)
        try:
            # Later than the whole run once in a while: then the set is finished and compared.
            process.wait(timeout=rng.uniform(0, 1.1 * duration))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            continue
        assert process.returncode == 0
        assert files_of(output) == expected
        round_number += 1
    output = tmp_path / f"killed{round_number}"
    assert start(videos, output, repository).wait() == 0
    assert files_of(output) == expected
