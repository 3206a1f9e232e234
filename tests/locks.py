"""Another process that holds the lock of a directory."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# Holds the lock of the first argument for the command that the second names.
HOLD = """
import sys, time
from trivd_tf.base.lock import directory_lock
with directory_lock(sys.argv[1], sys.argv[2]):
    print("held", flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def held(folder: Path, purpose: str = "trivd train") -> Iterator[subprocess.Popen]:
    """The process that holds the lock of `folder`, which is made; it is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), purpose], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
