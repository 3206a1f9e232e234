"""Leaving at once: one line and the status, though something in the process would not end."""

import subprocess
import sys
import time

import pytest

from trivd_tf.base.errors import RunError
from trivd_tf.cli.failures import leaving_at_once

PROGRAM = """
import threading, time
from trivd_tf.cli.failures import leaving_at_once
from trivd_tf.cli.signals import Terminated
from trivd_tf.base.errors import InputError, RunError
threading.Thread(target=time.sleep, args=(60,)).start()  # Python would wait for it
print("said before")
with leaving_at_once(wanted=True, debug=False):
    raise {error}
"""


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        ("RunError('a worker is\\n gone')", 1, "trivd: error: a worker is gone"),
        ("InputError('no such video')", 2, "trivd: error: no such video"),
        ("KeyboardInterrupt", 130, "trivd: interrupted"),
        ("Terminated", 143, "trivd: terminated"),
    ],
)
def test_the_process_ends_with_its_line_whatever_still_runs(error, status, line):
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(error=error)],
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert time.monotonic() - started < 55
    assert (done.returncode, done.stderr, done.stdout) == (status, line + "\n", "said before\n")


def test_alone_an_error_passes():
    with pytest.raises(RunError, match="full"), leaving_at_once(wanted=False, debug=False):
        raise RunError("full")
