"""TensorFlow's chatter is kept off stderr; errors are not."""

import os
import subprocess
import sys

import pytest

from trivd_tf.cli.tensorflow_log import held_back_stderr


def test_what_is_written_meanwhile_is_dropped(capfd):
    with held_back_stderr():
        os.write(2, b"chatter\n")
    os.write(2, b"real\n")
    assert capfd.readouterr().err == "real\n"


def test_after_an_exception_everything_is_shown(capfd):
    def fail():
        with held_back_stderr():
            os.write(2, b"the reason\n")
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    os.write(2, b"real\n")
    assert capfd.readouterr().err == "the reason\nreal\n"


def test_importing_tensorflow_and_running_it_prints_nothing():
    code = (
        "from trivd_tf.cli.tensorflow_log import import_tensorflow; import_tensorflow()\n"
        "import sys, tensorflow as tf; tf.function(lambda x: x + 1)(tf.ones(2))\n"
        "print('mine', file=sys.stderr)"
    )
    # A clean environment: what the test session sets to be quiet must not help.
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("TF_", "CU"))
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=clean
    )
    assert done.returncode == 0
    assert done.stderr == "mine\n"
