"""The lock of a directory: living and dead processes, of this machine and of others."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.locks import HOLD, held
from trivd_tf.base import lock
from trivd_tf.base.errors import InputError, RunError
from trivd_tf.base.lock import FILE_NAME, directory_lock


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock of `tmp_path`."""
    with held(tmp_path) as process:
        yield process


def content(folder):
    return json.loads((folder / FILE_NAME).read_text())


def test_a_living_holder_is_named(tmp_path, other):
    with pytest.raises(InputError) as refused, directory_lock(tmp_path, "me"):
        pass
    found = content(tmp_path)
    for part in ("trivd train", found["host"], f"process {other.pid}", found["since"]):
        assert part in str(refused.value)
    assert content(tmp_path)["token"] == found["token"]


def test_a_killed_holder_is_no_obstacle_even_before_its_parent_waits_for_it(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    while lock.process_started(other.pid) != "ended":
        time.sleep(0.01)
    with directory_lock(tmp_path, "me"):
        assert content(tmp_path)["process"] == os.getpid()
    assert not (tmp_path / FILE_NAME).exists()


def test_a_number_that_went_to_another_process_is_no_obstacle(tmp_path, other):
    held = content(tmp_path)
    held["process"], held["process_started"] = os.getppid(), "1"
    (tmp_path / FILE_NAME).write_text(json.dumps(held))
    with directory_lock(tmp_path, "me"):
        pass


@pytest.mark.parametrize("damage", ["", "{", "[1]", '{"machine": 3}'])
def test_a_damaged_lock_of_no_process_is_no_obstacle(tmp_path, damage, monkeypatch):
    monkeypatch.setattr(lock, "_BEATS_MISSED", 1)
    (tmp_path / FILE_NAME).write_text(damage)
    with directory_lock(tmp_path, "me", beat=0.1):
        pass


def of_another_machine(folder):
    held = {**lock._description("trivd train"), "machine": "another boot", "host": "node7"}
    (folder / FILE_NAME).write_text(json.dumps(held))


def test_a_silent_lock_of_another_machine_is_taken_over(tmp_path, capsys):
    of_another_machine(tmp_path)
    with directory_lock(tmp_path, "me", beat=0.1):
        assert content(tmp_path)["process"] == os.getpid()
    assert "node7" in capsys.readouterr().err


def test_a_lock_that_another_machine_touches_is_respected(tmp_path):
    of_another_machine(tmp_path)
    ended = threading.Event()

    def touch():
        while not ended.wait(0.05):
            os.utime(tmp_path / FILE_NAME)

    toucher = threading.Thread(target=touch)
    toucher.start()
    try:
        with (
            pytest.raises(InputError, match="node7"),
            directory_lock(tmp_path, "me", beat=0.2, report=lambda line: None),
        ):
            pass
    finally:
        ended.set()
        toucher.join()


def test_whoever_was_taken_over_learns_of_it(tmp_path):
    lost = threading.Event()
    with directory_lock(tmp_path, "me", beat=0.02, on_lost=lambda line: lost.set()):
        of_another_machine(tmp_path)
        assert lost.wait(10)
    # What is there now belongs to the other.
    assert content(tmp_path)["host"] == "node7"


def test_it_is_held_twice_by_one_process_and_leaves_no_folder(tmp_path):
    folder = tmp_path / "deep" / "new"
    with directory_lock(folder, "outer"):
        with directory_lock(folder, "inner"):
            assert content(folder)["command"] == "outer"
        assert (folder / FILE_NAME).exists()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with (
            pytest.raises(RunError, match=f"{folder}: could not be written"),
            directory_lock(folder, "me"),
        ):
            pass


def test_only_one_of_many_gets_it(tmp_path):
    """Four processes take over the lock of a dead one at once; exactly one of them gets it."""
    dead = {**lock._description("trivd train"), "process": 2**22 + 1}
    (tmp_path / FILE_NAME).write_text(json.dumps(dead))
    code = HOLD.replace("time.sleep(600)", "sys.stdin.read()")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), "trivd train"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(4)
    ]
    first = []
    for process in processes:
        thread = threading.Thread(target=lambda p=process: first.append(p.stdout.readline()))
        thread.start()
        thread.join(5)
    # Losers end at once; the winner waits for its stdin.
    time.sleep(0.5)
    running = [process for process in processes if process.poll() is None]
    assert len(running) == 1
    for process in processes:
        process.communicate()


def test_a_store_is_locked_too(tmp_path):
    address = f"ram://{tmp_path.name}/run"
    with directory_lock(address, "me"):
        found = json.loads((lock.run_folder(address) / FILE_NAME).read_text())
        assert found["process"] == os.getpid()
    assert not (lock.run_folder(address) / FILE_NAME).exists()
    other = {**lock._description("trivd train"), "process": os.getppid()}
    other["process_started"] = lock.process_started(os.getppid())
    lock.write_whole(lock.run_folder(address) / FILE_NAME, json.dumps(other))
    with pytest.raises(InputError, match="in use"), directory_lock(address, "me"):
        pass
