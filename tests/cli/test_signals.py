"""Signals: a loop is asked to stop once, and made to leave the second time."""

import os
import signal
import subprocess
import sys
import time

import pytest

from trivd_tf.cli.signals import StopSignal, Terminated, raise_on_sigterm


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_first_signal_is_noted(capsys, number, status):
    with StopSignal() as stop:
        assert not stop.is_set()
        assert stop.exit_status == 0
        os.kill(os.getpid(), number)
        assert stop.is_set()
        assert stop.exit_status == status
    assert capsys.readouterr().err.startswith("trivd: stopping: the run is saved")


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)]
)
def test_the_second_signal_leaves_at_once(number, error):
    with StopSignal():
        os.kill(os.getpid(), number)
        with pytest.raises(error):
            os.kill(os.getpid(), number)


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with raise_on_sigterm(), StopSignal():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_sigterm_ends_a_command_with_its_status(tmp_path):
    ready = tmp_path / "ready"
    code = (
        "import sys, time, types; from pathlib import Path; from trivd_tf.cli import main as cli\n"
        "def run(args):\n"
        f"    Path({str(ready)!r}).touch(); time.sleep(60)\n"
        "real = cli.command_module('export')\n"
        "fake = types.SimpleNamespace(__doc__='Wait.', add_flags=real.add_flags, run=run)\n"
        "cli.command_module = lambda name: fake\n"
        "cli.COMMANDS = ('export',)\n"
        "sys.exit(cli.main(['export', '--model_dir', 'a', '--export_dir', 'b']))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 143
    assert errors == "trivd: terminated\n"
