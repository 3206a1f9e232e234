"""Folders of this machine and of a store: the same calls, over TensorFlow's file system in memory.

gs:// goes the same way; pathlib would take it for a folder `gs:` here.
"""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from trivd_tf.base.errors import RunError
from trivd_tf.base.storage import (
    RemotePath,
    append,
    is_address,
    remove_leftovers,
    run_folder,
    whole_file,
    write_whole,
)


@pytest.fixture(params=["local", "remote"])
def folder(request, tmp_path):
    if request.param == "local":
        return run_folder(str(tmp_path / "run"))
    return run_folder(f"ram://{tmp_path.name}/run")


def test_files_are_written_read_and_listed(folder):
    inner = folder / "inner"
    inner.mkdir(parents=True, exist_ok=True)
    inner.mkdir(parents=True, exist_ok=True)
    file = inner / "a-1.txt"
    assert not file.is_file()
    with pytest.raises(FileNotFoundError):
        file.read_text()
    write_whole(file, "first\n")
    write_whole(file, "fräst\n")
    append(file, b"second\n")
    append(inner / "a-2.txt", b"new")
    assert file.read_text(encoding="utf-8") == "fräst\nsecond\n"
    assert (file.is_file(), file.exists(), file.is_dir()) == (True, True, False)
    assert (inner.is_file(), inner.exists(), inner.is_dir()) == (False, True, True)
    write_whole(inner / "b.txt", "")
    names = sorted(path.name for path in inner.glob("a-*.txt"))
    assert names == ["a-1.txt", "a-2.txt"]
    assert list((folder / "none").glob("*")) == []
    assert str(file.parent) == str(inner)


def test_names():
    assert run_folder("runs/a") == Path("runs/a")
    assert run_folder("~/a") == Path.home() / "a"
    store = run_folder("gs://bucket/run/")
    assert str(store) == "gs://bucket/run"
    assert run_folder(store) is store
    assert store == RemotePath("gs://bucket/run")
    assert [is_address(name) for name in ("gs://b/c", store, "gs:/b", Path("gs://b"))] == [
        True,
        True,
        False,
        False,
    ]
    with pytest.raises(TypeError):
        Path(store)  # would be a folder `gs:` of this machine


def fail(path, error: BaseException) -> None:
    with whole_file(path) as partial:
        partial.write_bytes(b"half")
        raise error


def listing(folder) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def test_a_file_appears_when_its_block_ends(folder):
    path = folder / "new" / "a.bin"
    write_whole(path, b"old")
    with whole_file(path) as partial:
        assert isinstance(partial, Path)
        partial.write_bytes(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    for error in (ValueError("no"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            fail(path, error)
    with pytest.raises(RunError, match=rf"^{re.escape(str(path))}: could not be .*\(disk full\)$"):
        fail(path, OSError(28, "disk full"))
    assert path.read_text() == "new"
    assert listing(folder / "new") == ["a.bin"]
    assert not list(folder.glob(".*"))


def test_the_partial_file_lies_where_it_was_asked_to(tmp_path):
    (tmp_path / "work").mkdir()
    with whole_file(tmp_path / "a", folder=tmp_path / "work") as partial:
        assert partial.parent == tmp_path / "work"
        partial.touch()
    assert listing(tmp_path) == ["a", "work"]


def test_a_link_to_the_file_itself_leaves_one_name(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"content")
    with whole_file(path) as partial:
        os.link(path, partial)
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_is_as_open_as_any_other(tmp_path):
    write_whole(tmp_path / "ours", "")
    (tmp_path / "other").touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "other")]
    assert modes[0] == modes[1]


def test_what_cannot_be_written_is_one_line_with_advice(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=rf"{tmp_path}/file/a: could not be written .*; go away$"):
        write_whole(tmp_path / "file" / "a", "", advice="go away")
    with pytest.raises(RunError, match=r"nowhere://a/b: could not be written .*nowhere"):
        write_whole("nowhere://a/b", "")


KILLED = """
import os, signal, sys
from trivd_tf.base.storage import whole_file
with whole_file(sys.argv[1]) as partial:
    partial.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_leaves_is_hidden_and_can_be_removed(tmp_path, repository):
    path = tmp_path / "a.txt"
    write_whole(path, "old")
    command = [sys.executable, "-c", KILLED, str(path)]
    assert subprocess.run(command, cwd=repository, check=False).returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    (left,) = set(os.listdir(tmp_path)) - {"a.txt"}
    assert left.startswith(".")
    others = [
        tmp_path / f".{socket.gethostname()}.{os.getpid()}.x.partial",
        tmp_path / ".elsewhere.1.x.partial",
        tmp_path / ".mine.partial",
    ]
    for other in others:
        other.touch()
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(["a.txt", *(other.name for other in others)])
    remove_leftovers("ram://nowhere")
