"""The model with the best score on the training set is kept as `best`."""

import json

import pytest

from trivd_tf.base.errors import InputError
from trivd_tf.evaluation import TrainingScore, training_score
from trivd_tf.evaluation.evaluate import with_options
from trivd_tf.runs.best import BestRecord, StepScore, best_checkpoint, read_best, record_score
from trivd_tf.runs.weights import choose_checkpoint

from .conftest import noisy_model


def fake_checkpoint(model_dir, step, content="weights"):
    folder = model_dir / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    prefix = folder / f"ckpt-{step}"
    for suffix in (".data-00000-of-00001", ".index"):
        prefix.with_name(prefix.name + suffix).write_text(f"{step}{suffix}{content}")
    return str(prefix)


def record(model_dir, step, fvd):
    before = read_best(model_dir) or BestRecord({"samples": 8})
    return record_score(
        model_dir, fake_checkpoint(model_dir, step), before, StepScore(step, fvd, 1.5)
    )


def test_the_lowest_fvd_stays_the_best_when_its_checkpoint_is_gone(tmp_path):
    for step, fvd in ((10, 90.0), (20, 50.0), (30, 70.0), (40, float("nan"))):
        record(tmp_path, step, fvd)
    for file in (tmp_path / "checkpoints").iterdir():
        if "-40" not in file.name:
            file.unlink()
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == [
        "ckpt-20.data-00000-of-00001",
        "ckpt-20.index",
    ]
    assert choose_checkpoint(tmp_path, "best") == (str(tmp_path / "best" / "ckpt-20"), 20)
    assert choose_checkpoint(tmp_path, 20)[1] == 20
    assert choose_checkpoint(tmp_path)[1] == 40
    assert json.loads((tmp_path / "best.json").read_text())["best_step"] == 20
    with pytest.raises(InputError, match="it holds 20, 40"):
        choose_checkpoint(tmp_path, 30)


def test_a_step_scored_again_counts_once(tmp_path):
    record(tmp_path, 10, 50.0)
    record(tmp_path, 10, 40.0)
    record(tmp_path, 5, 40.0)
    found = read_best(tmp_path)
    assert [score.step for score in found.scores] == [5, 10]
    assert found.best.step == 5


def test_a_kill_between_files_leaves_the_old_best(tmp_path, monkeypatch):
    from trivd_tf.runs import best

    record(tmp_path, 10, 50.0)
    monkeypatch.setattr(best, "_write", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        record(tmp_path, 20, 40.0)
    assert best_checkpoint(tmp_path)[1] == 10
    monkeypatch.undo()
    record(tmp_path, 20, 40.0)
    assert best_checkpoint(tmp_path)[1] == 20
    assert not list((tmp_path / "best").glob("ckpt-10*"))


def test_no_best_model_is_told(tmp_path):
    fake_checkpoint(tmp_path, 3)
    with pytest.raises(InputError, match=r"holds no best model: .*evaluate_every_steps"):
        choose_checkpoint(tmp_path, "best")
    (tmp_path / "best.json").write_text("{")
    with pytest.raises(InputError, match=r"best\.json is not readable"):
        choose_checkpoint(tmp_path, "best")


def test_checkpoints_are_scored_on_the_training_set(
    experiment, tmp_path, extractor, capsys, monkeypatch
):
    def open_model(model_dir, *, step, experiment, strategy):
        (tmp_path / "evaluation_weights").mkdir(exist_ok=True)
        (tmp_path / "evaluation_weights" / f"{step}.npz").touch()
        return noisy_model(step, {2: 50.0, 4: 10.0, 6: 90.0}[step])

    monkeypatch.setattr(training_score, "open_model", open_model)
    experiment = with_options(experiment, num_samples=20)
    stop = [False]
    score = TrainingScore(experiment, tmp_path, extractor=extractor, should_stop=lambda: stop[0])
    score.check()
    for step in (2, 4, 6):
        fake_checkpoint(tmp_path, step)
        for file in (tmp_path / "checkpoints").glob(f"ckpt-{step - 2}.*"):
            file.unlink()  # the newest alone is kept
        stop[0] = True
        score(step)  # cut off: no score yet
        assert step not in [one.step for one in getattr(read_best(tmp_path), "scores", ())]
        stop[0] = False
        score(step)
    found = read_best(tmp_path)
    assert [one.step for one in found.scores] == [2, 4, 6]
    assert found.best.step == 4
    assert found.protocol["split"] == "train"
    assert choose_checkpoint(tmp_path, "best") == (str(tmp_path / "best" / "ckpt-4"), 4)
    assert not (tmp_path / "unfinished_training_score").exists()
    held = {path.stem for path in (tmp_path / "evaluation_weights").iterdir()}
    assert held == {"4", "6"}
    assert capsys.readouterr().out.count("on the training set") == 3
    score(4)  # done: nothing is printed, nothing changes
    assert capsys.readouterr().out == ""
    # The directory is trained again: what was scored is not this checkpoint.
    fake_checkpoint(tmp_path, 6, "other weights")
    score(6)
    assert "step 6" in capsys.readouterr().out
    (tmp_path / "best" / "ckpt-4.index").write_text("other weights")
    with pytest.raises(InputError, match="lacks the checkpoint of step 4"):
        choose_checkpoint(tmp_path, "best")
