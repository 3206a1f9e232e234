"""Where a run starts: finished runs, leftovers of others, other data, another process."""

import json
import os
import subprocess
import sys

import pytest

from tests.training.train_command import TINY
from trivd_tf import training
from trivd_tf.base.lock import FILE_NAME, _description, process_started
from trivd_tf.cli.main import main
from trivd_tf.data.bouncing_digits import BouncingDigits
from trivd_tf.runs.directory_state import reached_step
from trivd_tf.training.loop import LoopResult
from trivd_tf.training.losses_log import read_losses
from trivd_tf.training.summaries import Summaries

STEPS = "training.TrainingOptions.num_steps = {}"


def bound(*bindings):
    return [word for binding in bindings for word in ("--gin_bindings", binding)]


def tree(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def start(tmp_path, monkeypatch, capfd):
    """Runs the command with a training that only leaves files; status and stderr."""

    def instead(experiment, *, model_dir, on_begin, **others):
        done = reached_step(model_dir)
        last = experiment.training.num_steps
        if done >= last:
            return LoopResult(done, was_stopped=False)
        on_begin(done)
        (model_dir / "checkpoints").mkdir(exist_ok=True)
        (model_dir / "checkpoints" / f"ckpt-{last}.index").write_text("")
        with (model_dir / "losses.jsonl").open("a") as file:
            file.writelines(json.dumps({"step": n + 1}) + "\n" for n in range(done, last))
        return LoopResult(last, was_stopped=False)

    (tmp_path / "tiny.gin").write_text(TINY)
    monkeypatch.setattr(training, "train", instead)

    def run(model=tmp_path / "model", more=None, printed=None):
        more = ["--gin_file", tmp_path / "tiny.gin"] if more is None else more
        status = main(["train", "--model_dir", str(model), *map(str, more)])
        output = capfd.readouterr()
        if printed is not None:
            printed.extend(output.out.splitlines())
        return status, output.err.splitlines()

    return run


@pytest.fixture
def finished(start, tmp_path):
    """A run of two steps, finished."""
    more = ["--gin_file", tmp_path / "tiny.gin", *bound(STEPS.format(2))]
    assert start(more=more)[0] == 0
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("bindings", "status", "said"),
    [
        ((), 0, "already at step 2 of 2, nothing to do"),
        ((STEPS.format(1),), 0, "already at step 2, beyond num_steps = 1, nothing to do"),
        (("training.TrainingOptions.beta_2 = 0.9",), 0, "already at step 2 of 2, nothing to do"),
        (("data.ClipSpec.stride = 2",), 2, "data.ClipSpec.stride was 1 and is now 2"),
        (("data.ClipSpec.num_conditioning_frames = 3",), 2, "num_conditioning_frames was 2"),
        (("training.TrainingOptions.precision = 'float64'",), 2, "is a finished run"),
    ],
)
def test_a_finished_run_is_not_redescribed(start, finished, bindings, status, said):
    before = tree(finished)
    printed = []
    found, errors = start(more=bound(*bindings), printed=printed)
    assert found == status
    assert said in " ".join([*errors, *printed])
    assert "trained" not in " ".join(printed)
    assert tree(finished) == before


def test_a_second_process_is_named_and_the_first_is_not_disturbed(start, finished):
    holder = {**_description("trivd train"), "process": os.getppid()}
    holder["process_started"] = process_started(os.getppid())
    (finished / FILE_NAME).write_text(json.dumps(holder))
    before = tree(finished)
    status, errors = start(more=bound(STEPS.format(4)))
    assert status == 2
    assert f"process {os.getppid()}" in errors[-1]
    assert holder["since"] in errors[-1]
    assert tree(finished) == before


def test_a_dead_process_is_no_obstacle(start, finished):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    holder = {**_description("trivd train"), "process": dead.pid, "process_started": "1"}
    (finished / FILE_NAME).write_text(json.dumps(holder))
    assert start(more=bound(STEPS.format(4)))[0] == 0
    assert [row["step"] for row in read_losses(finished / "losses.jsonl")] == [1, 2, 3, 4]
    assert not (finished / FILE_NAME).exists()


@pytest.mark.parametrize("left", ["best.json", "best/ckpt-4.index", "evaluation_weights/4.npz",
                                  "evaluations/4/report.json"])  # fmt: skip
def test_results_of_another_run_are_not_taken_over(start, tmp_path, left):
    model = tmp_path / "model"
    (model / left).parent.mkdir(parents=True)
    (model / left).write_text("of an earlier run")
    (model / "notes.txt").write_text("mine")
    before = tree(model)
    status, errors = start()
    assert status == 2
    assert left.partition("/")[0] in errors[-1]
    assert "--restart" in errors[-1]
    assert tree(model) == before


def test_a_restart_moves_the_earlier_run_aside_and_loses_nothing(start, finished, tmp_path):
    (finished / "notes.txt").write_text("mine")
    (finished / "best.json").write_text("{}")
    before = tree(finished)
    more = ["--gin_file", tmp_path / "tiny.gin", "--restart", "--seed", 5, *bound(STEPS.format(2))]
    status, errors = start(more=more)
    assert status == 0
    (aside,) = (finished / "earlier").iterdir()
    assert str(aside) in errors[0]
    moved = tree(aside)
    assert moved == {name: content for name, content in before.items() if name != "notes.txt"}
    assert (finished / "notes.txt").read_text() == "mine"
    assert json.loads((finished / "run.json").read_text())["seed"] == 5
    assert not (finished / "best.json").exists()


def test_losses_of_a_run_without_checkpoints_are_kept_unless_it_is_the_same(start, finished):
    for path in (finished / "checkpoints").iterdir():
        path.unlink()
    # The same seed and configuration: a run that was killed before its first checkpoint.
    status, errors = start(more=["--seed", 3])
    assert status == 2
    assert "losses.jsonl" in errors[-1]
    assert start(more=[])[0] == 0


@pytest.mark.parametrize("name", ["config.gin", "run.json"])
def test_a_users_own_file_is_not_replaced_by_a_record(start, tmp_path, name):
    model = tmp_path / "model"
    model.mkdir()
    content = '{"mine": 1}' if name == "run.json" else 'include "runs/bouncing_digits.gin"\n'
    (model / name).write_text(content)
    status, errors = start()
    assert status == 2
    assert name in errors[-1]
    assert (model / name).read_text() == content


def test_a_configuration_that_is_replaced_is_kept(start, finished):
    before = (finished / "config.gin").read_text() + "# a note of mine\n"
    (finished / "config.gin").write_text(before)
    assert start(more=bound(STEPS.format(4)))[0] == 0
    assert (finished / "config_until_step_2.gin").read_text() == before


def test_other_data_are_reported_and_recorded(start, finished, monkeypatch):
    monkeypatch.setattr(BouncingDigits, "fingerprint", lambda self, clip, split: f"other {split}")
    monkeypatch.setattr(
        BouncingDigits, "inventory", lambda self, clip: {"a.mp4": "1", "b.mp4": "2"}
    )
    status, errors = start(more=bound(STEPS.format(4)))
    assert status == 0
    assert "the data changed since this run was last trained: 2 added (a.mp4, b.mp4)" in errors[1]
    (resumed,) = json.loads((finished / "run.json").read_text())["resumed"]
    assert resumed["data_changes"] == ["2 added (a.mp4, b.mp4)"]
    # And once only.
    status, errors = start(more=bound(STEPS.format(6)))
    assert "data changed" not in " ".join(errors)


def test_a_file_is_no_model_directory(start, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"mine")
    for model in (tmp_path / "clip.mp4", tmp_path / "clip.mp4" / "below"):
        status, errors = start(model=model)
        assert status == 2
        assert errors == [f"trivd: error: --model_dir {model}: {tmp_path / 'clip.mp4'} is a file; "
                          "give a directory"]  # fmt: skip


def test_samples_that_cannot_be_drawn_cost_no_step(train, tmp_path, monkeypatch):
    monkeypatch.setattr(BouncingDigits, "num_evaluation_clips", lambda self, clip, split: 0)
    due = bound(STEPS.format(2), "training.TrainingOptions.sample_every_steps = 2")
    status, errors = train(more=["--gin_file", tmp_path / "tiny.gin", *due])
    assert status == 0
    assert "sample videos of 0 clips" in errors[0]
    assert (tmp_path / "model/checkpoints/ckpt-2.index").is_file()


def test_summaries_that_fail_come_after_the_checkpoint_and_are_reported_once(
    train, tmp_path, monkeypatch
):
    saved = []

    def fails(self, *arguments):
        saved.append((tmp_path / "model/checkpoints/ckpt-2.index").is_file())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Summaries, "write", fails)
    more = ["--gin_file", tmp_path / "tiny.gin", *bound(STEPS.format(4))]
    status, errors = train(more=more)
    assert status == 0
    assert saved == [False, True, True, True]
    assert sum("summaries left out" in line for line in errors) == 1


SCORED = "training.TrainingOptions.evaluate_every_steps = 1"


def test_scores_of_clips_that_are_not_there_are_left_out_from_the_start(
    train, tmp_path, monkeypatch
):
    monkeypatch.setattr(BouncingDigits, "num_evaluation_clips", lambda self, clip, split: 1)
    wanted = bound(STEPS.format(2), SCORED)
    printed = []
    status, errors = train(more=["--gin_file", tmp_path / "tiny.gin", *wanted], printed=printed)
    assert status == 0
    assert errors[0].startswith("trivd: warning: this training is not scored and keeps no best")
    assert "holds 1 train clips" in errors[0]
    assert "evaluate_every_steps = 0" in errors[0]
    assert printed == [f"trained 2 steps: {tmp_path / 'model'}"]
    assert (tmp_path / "model/checkpoints/ckpt-2.index").is_file()


def test_wrong_weights_of_i3d_are_refused_before_a_run_begins_and_left_out_later(start, tmp_path):
    i3d = "evaluation.EvaluationOptions.i3d = '/nowhere'"
    more = ["--gin_file", tmp_path / "tiny.gin", *bound(STEPS.format(2))]
    status, errors = start(more=[*more, *bound(SCORED, i3d)])
    assert status == 2
    assert "/nowhere" in errors[-1]
    assert not (tmp_path / "model").exists()
    assert start(more=more)[0] == 0
    status, errors = start(more=bound(STEPS.format(4), SCORED, i3d))
    assert status == 0
    assert "this training is not scored" in errors[0]
    assert "/nowhere" in errors[0]
