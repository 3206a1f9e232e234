"""Wrong devices are refused in one line; what several workers need, with one."""

import subprocess
import sys
import time

import pytest
import tensorflow as tf

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.training.checkpoints import Checkpoints
from trivd_tf.training.distribution.strategy import make_strategy, replica_batch_size
from trivd_tf.training.distribution.workers import Watchdog, Workers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "many"}, "--strategy must be one of one_device"),
        ({"name": "mirrored", "tpu": "local"}, "--tpu local needs --strategy tpu"),
        ({"name": "multi_worker"}, "needs the environment variable TF_CONFIG"),
    ],
)
def test_wrong_devices_are_refused(monkeypatch, arguments, message):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(InputError, match=message):
        make_strategy(**arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "TF_CONFIG is wrong"),
        ("{}", "no 'cluster'"),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
            "index is not",
        ),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "chief and worker"),
    ],
)
def test_a_wrong_tf_config_is_refused(monkeypatch, text, message):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=message):
        make_strategy("multi_worker")


def test_a_batch_that_cannot_be_shared_is_refused():
    class Three:
        num_replicas_in_sync = 3

    assert replica_batch_size(Three(), 6) == 2
    with pytest.raises(InputError, match=r"make TrainingOptions\.batch_size a multiple of 3"):
        replica_batch_size(Three(), 4)


def test_one_process_agrees_with_itself():
    workers = Workers(tf.distribute.get_strategy())
    assert (workers.count, workers.is_chief) == (1, True)
    assert workers.any(True)
    assert not workers.any(False)


def test_a_lost_worker_is_told_in_one_line():
    workers = Workers(tf.distribute.get_strategy())
    with pytest.raises(tf.errors.UnavailableError), workers.reporting_losses(lambda: 7):
        raise tf.errors.UnavailableError(None, None, "gone")
    workers.count = 2
    with (
        pytest.raises(RunError, match=r"no longer answers after step 7.*\(task 1 is gone\)"),
        workers.reporting_losses(lambda: 7),
    ):
        raise tf.errors.UnavailableError(None, None, "Graph execution error:\n\ntask 1 is gone")


def test_a_stuck_worker_ends_the_process():
    code = (
        "import time, types; from trivd_tf.training.distribution.workers import Watchdog\n"
        "watchdog = Watchdog(types.SimpleNamespace(count=2), shortest=0.2, first=30)\n"
        "with watchdog.watching(1): pass\n"
        "with watchdog.watching(6): time.sleep(60)\n"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=55)
    assert done.returncode == 1, done.stderr
    assert "a worker no longer answers after step 6" in done.stderr
    assert time.monotonic() - started < 55


def test_alone_nobody_is_watched():
    with Watchdog(Workers(tf.distribute.get_strategy()), shortest=0.0, first=0.0).watching(1):
        time.sleep(0.05)


def test_a_folder_that_cannot_be_written_for_a_while_is_waited_for(tiny, tmp_path):
    # A file in its place stops root too, which rights do not.
    folder = tmp_path / "checkpoints"
    folder.write_text("in the way")
    said = []

    def report(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            folder.unlink()

    checkpoints = Checkpoints(folder, tiny.step, tiny.counters, patience=30.0)
    assert checkpoints.save_patiently(report)
    assert len(said) == 2
    assert all("trying again in" in line for line in said)
    assert checkpoints.restore() == 0


def test_patience_ends(tiny, tmp_path):
    folder = tmp_path / "checkpoints"
    folder.write_text("in the way")
    checkpoints = Checkpoints(folder, tiny.step, tiny.counters, patience=0.3)
    said = []
    with pytest.raises(RunError, match="cannot save to"):
        checkpoints.save_patiently(said.append)
    assert said
