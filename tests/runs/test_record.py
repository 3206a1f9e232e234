"""run.json says what a run came from, and keeps its seed."""

import dataclasses
import json
import subprocess
import sys
import types
from importlib import metadata

import pytest

from trivd_tf.runs import record as run_record
from trivd_tf.cli.commands import train
from trivd_tf.base.errors import InputError


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_record_names_versions_seed_command_and_host(tmp_path):
    path = run_record.write(tmp_path / "run", seed=7, argv=["trivd", "train"])
    record = json.loads(path.read_text())
    assert record["seed"] == 7
    assert record["argv"] == ["trivd", "train"]
    assert record["versions"]["tensorflow"] == metadata.version("tensorflow")
    assert record["versions"]["python"].split(".")[0] == str(sys.version_info.major)
    assert record["started"].endswith("+00:00")
    assert record["host"]["cpu_count"] > 0


def test_a_later_start_is_added_and_the_first_stays(tmp_path):
    run_record.write(tmp_path, seed=7, argv=["first"])
    run_record.write(tmp_path, seed=7, argv=["second"])
    record = run_record.read(tmp_path)
    assert record["argv"] == ["first"]
    assert [start["argv"] for start in record["resumed"]] == [["second"]]
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_a_start_that_came_to_nothing_is_replaced(tmp_path):
    run_record.write(tmp_path, seed=7, argv=["first"])
    run_record.write(tmp_path, seed=8, argv=["second"], resume=False)
    record = run_record.read(tmp_path)
    assert (record["seed"], record["argv"], "resumed" in record) == (8, ["second"], False)


def test_a_run_keeps_its_seed(tmp_path):
    assert run_record.choose_seed(tmp_path, None) == 0
    assert run_record.choose_seed(tmp_path, 5) == 5
    run_record.write(tmp_path, seed=5)
    assert run_record.choose_seed(tmp_path, None) == 5
    assert run_record.choose_seed(tmp_path, 5) == 5
    with pytest.raises(InputError, match=r"--seed 6: .* began with seed 5"):
        run_record.choose_seed(tmp_path, 6)


def test_a_broken_record_is_named(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json is not readable JSON"):
        run_record.read(tmp_path)


def test_git_state_of_a_checkout(tmp_path):
    assert run_record.git_state(tmp_path) is None
    git(tmp_path, "init", "-q")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "one")
    revision = git(tmp_path, "rev-parse", "HEAD")
    assert run_record.git_state(tmp_path) == {"revision": revision, "dirty": False}
    (tmp_path / "file").write_text("two")
    assert run_record.git_state(tmp_path) == {"revision": revision, "dirty": True}


@dataclasses.dataclass
class Labelled:
    """What the command looks at of an experiment."""

    class_names: tuple | None = None
    class_conditional: bool = True
    data: types.SimpleNamespace = dataclasses.field(
        default_factory=lambda: types.SimpleNamespace(name="sports", class_names=("a", "b"))
    )

    @property
    def labels(self):
        return self.class_names or self.data.class_names


def test_a_run_keeps_the_classes_it_began_with(tmp_path):
    assert run_record.with_classes(Labelled(), tmp_path) == Labelled()
    assert run_record.class_names_of(Labelled(class_conditional=False)) == ()
    run_record.write(tmp_path, seed=5, class_names=run_record.class_names_of(Labelled()))
    run_record.write(tmp_path, seed=5)
    again = run_record.with_classes(Labelled(), tmp_path)
    assert again.class_names == ("a", "b")
    assert run_record.class_names_of(again) == ("a", "b")
    again.data.class_names = ("b", "a")
    with pytest.raises(InputError, match="classes of sports are not those that the run began with"):
        run_record.class_names_of(again)
