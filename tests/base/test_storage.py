"""Folders of this machine and of a store: the same calls, over TensorFlow's file system in memory.

gs:// goes the same way; pathlib would take it for a folder `gs:` here.
"""

from pathlib import Path

import pytest

from trivd_tf.base.storage import RemotePath, append, is_address, run_folder, write_whole


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
