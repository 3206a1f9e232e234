"""Every command that writes, in a folder of a user's files: none of them changes.

`Home` is the tool: it makes a tree of files that a user may have lying about, under the very names
that the commands write, runs a command, and compares everything that was there before, byte for
byte, links and empty folders included. What takes minutes (training, exporting a graph, scoring) is
replaced by something that writes the same files.
"""

import json
import os
import shutil
import types
from pathlib import Path

import pytest

from tests.cli.test_compare import ran
from tests.cli.test_predict import NoisyCopies
from tests.training.train_command import TINY
from trivd_tf import inference, scoring, training
from trivd_tf.base.storage import write_whole
from trivd_tf.cli.main import main
from trivd_tf.exporting import export, saved_model
from trivd_tf.runs.directory_state import reached_step
from trivd_tf.training.loop import LoopResult

__all__ = ["ran"]

# Names that some command writes, each of which a user may have used for something else.
NAMES = (
    *("bikes.gif", "bikes.png", "bikes_motion.png", "bikes_sample_1.mp4", "walk.gif"),
    *("config.gin", "run.json", "data.json", "losses.jsonl", "best.json", "report.json"),
    *("report.md", "tables.md", "tables.json", "views.png", "costs.json", "settings.json"),
    *("comparison.md", "comparison.json", "scores.png", "by_frame.png", "side_by_side.mp4"),
    *("compiled.json", "export.json", "README.md", "labels.txt", "foreign.tar.gz", "plan.json"),
    *("saved_model.pb", "evaluations/4/report.json", "evaluation_weights/4.npz"),
    *("checkpoints/notes.txt", "tensorboard/notes.txt", "foreign/saved_model.pb"),
    *("foreign/keep.txt", "cells/mine/notes.txt", "dataset_info.json", ".hidden"),
    *("score.json", "fvd_by_samples.png"),
)


class Home:
    """A tree of a user's files."""

    def __init__(self, folder: Path, clip: Path):
        self.folder = folder
        for name in NAMES:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f'{{"mine": "{name}"}}'.encode())
        for name in ("bikes.mp4", "walk.mp4", "clips/bikes.mp4"):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(clip, folder / name)
        (folder / "empty").mkdir()
        (folder / "link.mp4").symlink_to("walk.mp4")
        (folder / "clips" / "walk.mp4").symlink_to("../walk.mp4")
        os.link(folder / "walk.mp4", folder / "clips" / "hard.mp4")
        (folder / "dangling.md").symlink_to("nowhere")
        (folder / "tiny.gin").write_text(TINY)
        self._before = self.state()

    def state(self) -> dict[str, object]:
        """Content of every file, target of every link, and every folder."""
        found: dict[str, object] = {}
        for path in sorted(self.folder.rglob("*")):
            name = str(path.relative_to(self.folder))
            if path.is_symlink():
                found[name] = ("link", os.readlink(path))
            else:
                found[name] = path.read_bytes() if path.is_file() else "folder"
        return found

    def check(self) -> list[str]:
        """Names of what is new; fails where anything that was there has changed."""
        now = self.state()
        changed = [name for name, content in self._before.items() if now.get(name) != content]
        assert changed == []
        return [name for name in now if name not in self._before]


@pytest.fixture
def home(tmp_path, made_videos):
    return Home(tmp_path / "home", made_videos / "clip0.mp4")


@pytest.fixture
def quick(monkeypatch, restored, ran):
    """Replaces what takes minutes; the files that are written stay the same."""
    monkeypatch.setattr(inference, "load_predictor", lambda *a, **k: NoisyCopies())

    def train(experiment, *, model_dir, on_begin, **others):
        done, last = reached_step(model_dir), experiment.training.num_steps
        on_begin(done)
        write_whole(model_dir / "losses.jsonl", "{}\n")
        write_whole(model_dir / "checkpoints" / f"ckpt-{last}.index", "")
        return LoopResult(last, was_stopped=False)

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(export, "open_run", lambda *a, **k: restored)
    scored = types.SimpleNamespace(to_json=lambda: "{}")
    monkeypatch.setattr(scoring, "score", lambda *a, **k: scored)
    monkeypatch.setattr(scoring, "plot_by_samples", lambda result, path: path.write_bytes(b"new"))
    monkeypatch.setattr(
        saved_model, "save", lambda graph, path: (Path(path) / "saved_model.pb").write_bytes(b"new")
    )


TRAIN = "train --gin_file {home}/tiny.gin --model_dir"
COMPARE = "compare --gin_file table2_tsru_p_small --steps 5 --output"
DESCRIBE = "describe --summary --gin_file {home}/tiny.gin"
VIEWS = "describe --gin_file {home}/tiny.gin --views {home}/bikes.mp4 --output"

# Every way into the user's files: refused, with nothing new.
REFUSED = [
    "predict --model m {home}/bikes.mp4 --output {home}",
    "predict --model m {home}/clips/bikes.mp4 --output {home}/clips",
    "predict --model m {home}/clips/../clips/bikes.mp4 --output {home}/clips/.",
    "predict --model m {home}/clips/walk.mp4 --output {home}/clips",
    "predict --model m {home}/walk.mp4 --output {home}/clips",
    "predict --model m {home}/link.mp4 --output {home}",
    "predict --model m {home}/walk.mp4 --output {home}/bikes.png",
    "export --model_dir {run} --export_dir {home}",
    "export --model_dir {run} --export_dir {home}/foreign",
    "export --model_dir {run} --export_dir {home}/bikes.png",
    "export --model_dir {run} --export_dir {home}/clips",
    f"{TRAIN} {{home}}",
    f"{TRAIN} {{home}} --restart",
    f"{TRAIN} {{home}}/bikes.mp4",
    f"{COMPARE} {{home}}",
    f"{COMPARE} {{home}}/bikes.mp4",
    "report {runs} --output {home}",
    "report {runs} --output {home}/views.png",
    f"{DESCRIBE} --json {{home}}/costs.json",
    f"{DESCRIBE} --json {{home}}/tiny.gin",
    f"{DESCRIBE} --json {{home}}/clips",
    f"{VIEWS} {{home}}/views.png",
    f"{VIEWS} {{home}}/bikes.png",
    "compile --gin_file {home}/tiny.gin --output {home}",
    "evaluate --model_dir {run} --output {home}",
    "evaluate --model_dir {run} --output {home}/bikes.mp4",
    "score {home}/clips {home}/clips --output {home}",
    "score {home}/clips {home}/clips --output {home}/bikes.mp4",
    "score {home}/score.json {home}/clips --output {home}",
    "prepare folder --videos {home}/clips --output {home}",
    "prepare folder --videos {home}/clips --output {home}/bikes.mp4",
    "prepare folder --videos {home}/clips --output {home}/clips",
]

# Beside the user's files: done, and only new files appear.
DONE = [
    ("predict --model m {home}/bikes.mp4 --output {home}/new --num_samples 2", "new/bikes.mp4"),
    ("predict --model m {home}/clips/hard.mp4 --output {home}", "hard.mp4"),
    ("predict --model m {home}/bikes.mp4 {home}/clips/bikes.mp4 --output {home}/empty",
     "empty/bikes-2.mp4"),
    ("export --model_dir {run} --export_dir {home}/empty", "empty/saved_model.pb"),
    ("export --model_dir {run} --export_dir {home}/foreign-2", "foreign-2.tar.gz"),
    (f"{TRAIN} {{home}}/empty", "empty/run.json"),
    (f"{TRAIN} {{home}}/clips", "clips/config.gin"),
    ("report {runs} --output {home}/empty", "empty/tables.md"),
    ("score {home}/clips {home}/clips --output {home}/empty", "empty/score.json"),
    (f"{COMPARE} {{home}}/empty", "empty/comparison.md"),
]  # fmt: skip


@pytest.fixture
def words(home, tmp_path):
    """The words of a command; a run directory and runs with an evaluation for those that read."""
    run = tmp_path / "runs" / "table2_tsru_p"
    run.mkdir(parents=True)
    (run / "config.gin").write_text(TINY)
    report = {
        "protocol": {"protocol": "kinetics600_val", "step": 5},
        "rows": [{"name": "model, step 5", "fvd": 1.0, "inception_score": 2.0, "runs": []}],
    }
    folder = run / "evaluations" / "5" / "kinetics600_val"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(report))
    names = {"home": home.folder, "run": run, "runs": tmp_path / "runs"}
    return lambda line: line.format(**names).split()


@pytest.mark.parametrize("line", REFUSED)
def test_files_of_the_users_are_never_written_to(quick, home, words, capsys, line):
    assert main(words(line)) in (1, 2)
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("trivd: error: ")
    assert "--debug for the traceback" not in error
    # The reason is the place, and not something that is wrong with the command.
    assert str(home.folder) in error
    assert home.check() == []


@pytest.mark.parametrize(("line", "written"), DONE)
def test_beside_them_commands_do_their_work_twice(quick, home, words, capsys, line, written):
    for again in range(2):
        extra = ["--restart"] if again and line.startswith("train") else []
        assert main([*words(line), *extra]) == 0, capsys.readouterr().err
        assert written in home.check()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("bikes.mp4", lambda path: path.write_bytes(b"")),
        ("link.mp4", lambda path: path.unlink()),
        ("empty", lambda path: path.rmdir()),
        ("dangling.md", lambda path: (path.unlink(), path.write_text(""))),
    ],
)
def test_the_tool_finds_a_change(home, name, change):
    assert home.check() == []
    change(home.folder / name)
    with pytest.raises(AssertionError, match=name):
        home.check()
