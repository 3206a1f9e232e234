"""TensorFlow's chatter is kept off stderr; errors are not."""

import os
import subprocess
import sys

import pytest

from trivd_tf.cli import tensorflow_log
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


@pytest.mark.parametrize(
    ("has_driver", "visible", "expected"),
    [(True, None, 1), (True, "0", 1), (True, "", 0), (True, "-1", 0), (False, None, 0)],
)
def test_a_gpu_without_libraries_is_one_warning(
    has_driver, visible, expected, monkeypatch, tmp_path, capsys
):
    driver = tmp_path / "version"
    if has_driver:
        driver.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54\n")
    monkeypatch.setattr(tensorflow_log, "NVIDIA_DRIVER", str(driver))
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    tensorflow_log._warn_of_an_unused_gpu()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == expected
    assert all(line.startswith("trivd: warning: this machine has an NVIDIA GPU") for line in lines)


def test_memory_of_a_gpu_grows_as_needed(monkeypatch):
    for given, expected in ((None, "true"), ("false", "false")):
        monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
        if given:
            monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", given)
        tensorflow_log.import_tensorflow(debug=True)
        assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == expected
