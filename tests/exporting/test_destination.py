"""An export replaces an unchanged export, and nothing of the user's."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.exporting import export, saved_model
from trivd_tf.exporting.destination import check_destination


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def quick(restored, monkeypatch):
    """Exports without tracing: only the files matter here."""

    def save(graph, path):
        (Path(path) / "saved_model.pb").write_bytes(b"new")
        for folder in ("variables", "assets"):
            (Path(path) / folder).mkdir()
        (Path(path) / "variables" / "variables.index").write_bytes(b"index")

    monkeypatch.setattr(saved_model, "save", save)
    return lambda directory, **options: export.export_restored(restored, directory, **options)


@pytest.fixture
def older(quick, tmp_path):
    """An export and its archive."""
    quick(tmp_path / "mine")
    before = (tmp_path / "mine" / "export.json").read_text()
    assert "saved_model.pb" in before
    return tmp_path / "mine"


def test_an_unchanged_export_and_its_archive_are_replaced(older, quick):
    made = (older / "saved_model.pb").stat().st_ino
    quick(older)
    assert (older / "saved_model.pb").stat().st_ino != made
    metadata = json.loads((older / "export.json").read_text())
    assert set(metadata["files"]) | {"export.json"} == set(tree(older))
    with tarfile.open(older.with_name("mine.tar.gz")) as packed:
        assert packed.extractfile("saved_model.pb").read() == b"new"


@pytest.mark.parametrize(
    ("added", "content"),
    [
        ("notes.txt", b"mine"),
        ("evaluations/12/report.json", b"{}"),
        ("variables/notes.txt", b"mine"),
        (".hidden", b""),
        ("README.md", b"a model card that I completed"),
        ("labels.txt", b"my own names"),
    ],
)
def test_files_that_were_added_or_edited_stay(older, quick, added, content):
    (older / added).parent.mkdir(parents=True, exist_ok=True)
    (older / added).write_bytes(content)
    before = tree(older.parent)
    with pytest.raises(InputError, match=r"Nothing was changed"):
        quick(older)
    assert tree(older.parent) == before


def test_an_empty_folder_that_was_added_is_refused(older, quick):
    (older / "mine").mkdir()
    with pytest.raises(InputError, match="mine"):
        quick(older)


def test_another_saved_model_is_no_export(tmp_path, quick):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "saved_model.pb").write_bytes(b"another")
    (foreign / "keep.txt").write_text("keep")
    before = tree(tmp_path)
    with pytest.raises(InputError, match=r"something else than an export"):
        quick(foreign)
    assert tree(tmp_path) == before


def test_an_export_of_an_earlier_version_is_left_alone(older, quick):
    metadata = json.loads((older / "export.json").read_text())
    del metadata["files"]
    (older / "export.json").write_text(json.dumps(metadata))
    with pytest.raises(InputError, match="earlier version"):
        quick(older)


def archive_with(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("kind", ["no archive", "another archive", "more in it", "link", "folder"])
def test_an_archive_of_others_is_left_alone(tmp_path, quick, older, kind):
    target = tmp_path / "new.tar.gz"
    if kind == "no archive":
        target.write_bytes(b"a disk image")
    elif kind == "another archive":
        archive_with(target, {"thesis.tex": b"\\begin"})
    elif kind == "more in it":
        archive_with(target, {**tree(older), "thesis.tex": b"\\begin"})
    elif kind == "link":
        target.symlink_to(tmp_path / "mine.tar.gz")
    else:
        target.mkdir()
    before = tree(tmp_path)
    with pytest.raises(InputError, match=r"new\.tar\.gz"):
        quick(tmp_path / "new")
    assert tree(tmp_path) == before
    if kind not in ("link", "folder"):
        quick(tmp_path / "new", archive=False)
        assert target.read_bytes() == before["new.tar.gz"]


def test_a_file_that_appears_while_it_exports_stays(older, restored, monkeypatch):
    def save(graph, path):
        (Path(path) / "saved_model.pb").write_bytes(b"newer")
        (older / "notes.txt").write_text("put there meanwhile")

    monkeypatch.setattr(saved_model, "save", save)
    with pytest.raises(InputError, match=r"notes\.txt"):
        export.export_restored(restored, older)
    assert (older / "notes.txt").read_text() == "put there meanwhile"
    assert (older / "saved_model.pb").read_bytes() == b"new"
    assert [path.name for path in older.parent.iterdir() if path.name.startswith(".")] == []


def test_a_place_that_cannot_be_written_is_found_before_any_work():
    with pytest.raises(RunError, match="could not be written"):
        check_destination(Path("/proc/o/1"))


def test_an_export_that_a_kill_took_away_counts(older, quick):
    """Between two renames of a file system that cannot exchange directories."""
    (older / "notes.txt").write_text("mine")
    hidden = older.with_name(".mine.old.x")
    hidden.mkdir()
    older.rename(hidden / "mine")
    with pytest.raises(InputError, match=r"notes\.txt"):
        quick(older)
    assert (older / "notes.txt").read_text() == "mine"
    assert not hidden.exists()
