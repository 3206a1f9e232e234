"""What may be written: inputs never, files of other origin never, one's own output again."""

import json
import os

import pytest

from trivd_tf.base import outputs
from trivd_tf.base.errors import InputError, RunError
from trivd_tf.base.outputs import LEDGER, check_writable, claimed, set_aside_edited


def write(paths, text="ours", inputs=()):
    with claimed(paths, inputs=inputs):
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def test_own_output_is_replaced_and_an_edited_one_is_not(tmp_path):
    file = tmp_path / "new" / "table.md"
    write([file], "first")
    write([file], "second")
    assert file.read_text() == "second"
    file.write_text("second, with my notes")
    with pytest.raises(InputError, match=r"table\.md: exists and was not written by"):
        write([file], "third")
    assert file.read_text() == "second, with my notes"


@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "folder"])
def test_files_of_others_are_refused_before_anything_is_written(tmp_path, kind):
    foreign = tmp_path / "b.txt"
    if kind == "file":
        foreign.write_text("mine")
    elif kind == "folder":
        foreign.mkdir()
    else:
        foreign.symlink_to(tmp_path / ("gone" if "dangling" in kind else "elsewhere"))
        if kind == "link":
            (tmp_path / "elsewhere").write_text("mine")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"b\.txt"):
        write([tmp_path / "a.txt", foreign])
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("way", ["same", "other path", "link", "hard link", "linked folder"])
def test_an_input_is_never_an_output(tmp_path, way):
    source = tmp_path / "clips" / "a.mp4"
    source.parent.mkdir()
    source.write_text("mine")
    output = {
        "same": source,
        "other path": tmp_path / "clips" / ".." / "clips" / "a.mp4",
        "link": tmp_path / "link.mp4",
        "hard link": tmp_path / "hard.mp4",
        "linked folder": tmp_path / "folder" / "a.mp4",
    }[way]
    if way == "link":
        output.symlink_to(source)
    elif way == "hard link":
        os.link(source, output)
    elif way == "linked folder":
        output.parent.symlink_to(source.parent)
    with pytest.raises(InputError, match="would replace the input"):
        write([output], inputs=[source])
    # Also where a ledger says that this command wrote it once: an output used as an input.
    (output.parent / LEDGER).write_text(json.dumps({"files": {output.name: "begun"}}))
    with pytest.raises(InputError, match="would replace the input"):
        write([output], inputs=[source])
    assert source.read_text() == "mine"


def test_a_name_planned_twice_is_refused_in_any_spelling(tmp_path):
    for twin in ("a.png", "A.PNG", "sub/../a.png"):
        (tmp_path / "sub").mkdir(exist_ok=True)
        with pytest.raises(InputError, match="two outputs"):
            write([tmp_path / "a.png", tmp_path / twin])
    composed, decomposed = "caf\u00e9.png", "cafe\u0301.png"
    with pytest.raises(InputError, match="two outputs"):
        write([tmp_path / composed, tmp_path / decomposed])


def test_what_a_killed_command_left_is_its_own(tmp_path):
    file = tmp_path / "a.txt"
    killed = claimed([file])
    killed.__enter__()
    file.write_text("half of the work")  # and the process dies here
    write([file], "all of it")
    assert file.read_text() == "all of it"


def test_a_failure_leaves_no_folder_and_no_false_record(tmp_path):
    file = tmp_path / "new" / "a.txt"
    with pytest.raises(ZeroDivisionError), claimed([file]):
        raise ZeroDivisionError
    assert not file.parent.exists()
    kept = tmp_path / "a.txt"
    write([kept], "first")
    with pytest.raises(ZeroDivisionError), claimed([kept]):
        raise ZeroDivisionError
    write([kept], "second")
    assert kept.read_text() == "second"


@pytest.mark.parametrize("damage", ["", "[]", '{"files": 3}', "{"])
def test_a_damaged_ledger_protects_everything(tmp_path, damage):
    file = tmp_path / "a.txt"
    write([file])
    (tmp_path / LEDGER).write_text(damage)
    with pytest.raises(InputError, match="not written by"):
        write([file])


def test_destinations_are_tried(tmp_path):
    with pytest.raises(RunError, match="could not be written"):
        check_writable("/proc/o/p")
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(RunError, match="Not a directory"):
        check_writable(file / "below")
    check_writable(tmp_path / "deep" / "folder")
    assert sorted(tmp_path.iterdir()) == [file]


def test_two_commands_that_write_beside_each_other_keep_both_records(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    with claimed([first]):
        first.write_text("1")
        write([second])
    assert set(outputs._read(tmp_path)) == {"a", "b"}


def test_what_was_edited_is_set_aside_and_nothing_else_is(tmp_path):
    edited, own, foreign = (tmp_path / name for name in ("a.txt", "b.txt", "c.txt"))
    write([edited, own])
    edited.write_text("notes of mine")
    foreign.write_text("mine")
    (tmp_path / "c-earlier-1.txt").write_text("of an earlier time")
    renamed = set_aside_edited([edited, own, foreign, tmp_path / "absent.txt"])
    assert renamed == {
        edited: tmp_path / "a-earlier-1.txt",
        foreign: tmp_path / "c-earlier-2.txt",
    }
    assert (tmp_path / "a-earlier-1.txt").read_text() == "notes of mine"
    assert (tmp_path / "c-earlier-1.txt").read_text() == "of an earlier time"
    assert (tmp_path / "c-earlier-2.txt").read_text() == "mine"
    write([edited, own, foreign])  # nothing is in the way now
