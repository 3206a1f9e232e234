"""Directories that are replaced whole, whenever a writer is killed."""

import ctypes
import os
import signal
import socket
import subprocess
import sys

import pytest

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.base.shipped import find_model
from trivd_tf.base.storage import interrupted_copy, put_back, whole_directory


@pytest.fixture(params=["one step", "two renames"])
def way(request, monkeypatch):
    """Both ways of replacing a directory; the second is that of other systems."""
    if request.param == "two renames":
        monkeypatch.setattr(ctypes, "CDLL", lambda *a, **k: None)


def write(path, name):
    with whole_directory(path) as partial:
        (partial / name).touch()


def test_a_directory_is_replaced_whole(way, tmp_path):
    path = tmp_path / "run"
    with whole_directory(path) as partial:
        (partial / "a").touch()
        assert not path.exists()
    with pytest.raises(RunError, match=f"{path}: could not be written"), whole_directory(path):
        raise OSError(28, "full")
    assert os.listdir(path) == ["a"]
    write(path, "b")
    assert os.listdir(path) == ["b"]
    assert os.listdir(tmp_path) == ["run"]


KILLED = """
import ctypes, os, pathlib, signal, sys
from trivd_tf.base.storage import whole_directory
path = pathlib.Path(sys.argv[1])
rename, moment = pathlib.Path.rename, sys.argv[2]
def killed_before(self, target):
    if moment == "between" and target == path:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
pathlib.Path.rename = killed_before
ctypes.CDLL = lambda *a, **k: None
with whole_directory(path) as partial:
    (partial / "new").touch()
    if moment == "within":
        os.kill(os.getpid(), signal.SIGKILL)
"""


def kill(path, moment, repository):
    command = [sys.executable, "-c", KILLED, str(path), moment]
    assert subprocess.run(command, cwd=repository, check=False).returncode == -signal.SIGKILL


def test_the_next_writer_removes_what_a_killed_one_had_begun(tmp_path, repository):
    path = tmp_path / "run"
    write(path, "old")
    kill(path, "within", repository)
    assert os.listdir(path) == ["old"]
    living = tmp_path / f".run.{socket.gethostname()}.{os.getpid()}.x.partial"
    elsewhere = tmp_path / ".run.elsewhere.1.x.partial"
    for other in (living, elsewhere):
        other.mkdir()
    assert len(os.listdir(tmp_path)) == 4
    write(path, "newer")
    assert sorted(os.listdir(tmp_path)) == sorted(["run", living.name, elsewhere.name])


def test_a_directory_that_a_kill_took_away_is_named_and_put_back(tmp_path, repository):
    path = tmp_path / "run"
    write(path, "old")
    kill(path, "between", repository)
    assert not path.exists()
    copy = interrupted_copy(path)
    assert os.listdir(copy) == ["old"]
    with pytest.raises(InputError, match=f"left the earlier one as {copy}"):
        find_model(path)
    assert put_back(path) == copy
    assert find_model(path) == path
    assert os.listdir(path) == ["old"]
    assert put_back(path) is None
    # The writer itself puts it back, too.
    kill(path, "between", repository)
    with pytest.raises(RunError), whole_directory(path):
        raise OSError(28, "full")
    assert os.listdir(tmp_path) == ["run"]
    assert os.listdir(path) == ["old"]
