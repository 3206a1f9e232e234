"""`trivd_tf.train` and `trivd_tf.load`: what they refuse, before anything is written.

That they work is shown by the examples of docs/python.md (tests/docs).
"""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import trivd_tf
from trivd_tf import data, models, training
from trivd_tf.api import load as loading
from trivd_tf.base.errors import InputError
from trivd_tf.config.written import experiment_text
from trivd_tf.experiment import EvaluationOptions, Experiment, TrainingOptions
from trivd_tf.runs import record

CLIPS = tf.data.Dataset.from_tensor_slices(np.zeros((3, 2, 8, 8, 3), np.uint8))


def broken(clip):
    with tf.control_dependencies([tf.debugging.Assert(False, ["no such frame"])]):
        return tf.identity(clip)


@pytest.fixture
def experiment() -> Experiment:
    return Experiment(
        clip=data.ClipSpec(num_conditioning_frames=1, num_predicted_frames=1, size=8),
        data=data.DatasetClips(name="mine"),
        generator=models.generator(channel_multiplier=1),
        discriminators=models.discriminators(channel_multiplier=1),
        training=TrainingOptions(batch_size=2, num_steps=1),
        evaluation=EvaluationOptions(),
    )


@pytest.mark.parametrize(
    ("change", "options", "wanted"),
    [
        ({}, {}, "'mine' came from a tf.data.Dataset"),
        ({}, {"test_dataset": CLIPS}, "test_dataset and class_names belong to a dataset"),
        ({}, {"dataset": np.zeros(3)}, "must be a tf.data.Dataset; received ndarray"),
        ({}, {"dataset": CLIPS.map(lambda clip: clip[:1])}, "clips must be"),
        ({"generator": models.Generator(1)}, {"dataset": CLIPS}, "cannot be written to config.gin"),
        (
            {"class_conditional": True},
            {"dataset": CLIPS},
            "labelled data; mine has no labels",
        ),
        ({}, {"dataset": CLIPS.map(broken)}, "mine: its first train clip fails: .*no such frame"),
        ({}, {"seed": 1.5}, r"seed must be a whole number; received 1\.5"),
        ({}, {"strategy": "mirrored"}, "strategy must be a tf.distribute.Strategy; received 'mi"),
        ({}, {"class_names": "cat"}, "class_names must be a sequence of names; received 'cat'"),
        ({}, {"start_from": 3}, "start_from must be a path or the name of a model .*received 3"),
        ({}, {"stop": 3}, r"stop must be an object with is_set\(\); received 3"),
        (
            {},
            {"dataset": CLIPS, "start_from": "/nowhere"},
            "neither a model directory nor",
        ),
    ],
)
def test_wrong_calls_are_one_line_and_leave_nothing(experiment, tmp_path, change, options, wanted):
    changed = dataclasses.replace(experiment, **change)
    with pytest.raises(InputError, match=wanted) as caught:
        trivd_tf.train(changed, model_dir=tmp_path / "run", **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_scores_of_clips_that_are_not_there_are_left_out(experiment, tmp_path, monkeypatch, capsys):
    def train(experiment, *, on_score, **options):
        assert on_score is None
        return training.LoopResult(1, was_stopped=False)

    monkeypatch.setattr(training.loop, "train", train)
    monkeypatch.setattr("trivd_tf.api.train._keep_evaluation_weights", lambda *a: None)
    options = TrainingOptions(batch_size=2, evaluate_every_steps=1)
    scored = dataclasses.replace(experiment, training=options)
    trivd_tf.train(scored, model_dir=tmp_path / "run", dataset=CLIPS)
    assert "mine holds 3 train clips, the evaluation asks for 2048" in capsys.readouterr().err


def test_a_run_of_another_model_or_seed_is_not_resumed(experiment, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "checkpoint-1.index").touch()
    (tmp_path / "config.gin").write_text(experiment_text(experiment))
    record.write(tmp_path, seed=3)
    wider = dataclasses.replace(experiment, generator=models.generator(channel_multiplier=2))
    with pytest.raises(InputError, match=r"generator\.channel_multiplier was 1 and is now 2"):
        trivd_tf.train(wider, model_dir=tmp_path, dataset=CLIPS)
    with pytest.raises(InputError, match="began with seed 3"):
        trivd_tf.train(experiment, model_dir=tmp_path, dataset=CLIPS, seed=4)


def test_other_objects_are_no_experiment_and_no_path(experiment):
    with pytest.raises(
        InputError, match=r"experiment must be a trivd_tf.Experiment; received None"
    ):
        trivd_tf.train(None, model_dir="never")
    with pytest.raises(InputError, match="model_dir must be a path or an address; received 3"):
        trivd_tf.train(experiment, model_dir=3)
    with pytest.raises(InputError, match=r"load takes a path.* received int"):
        trivd_tf.load(3)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (TrainingOptions, {"batch_size": 1.5}, r"batch_size must be a whole number; it is 1\.5"),
        (TrainingOptions, {"num_steps": "a"}, "num_steps must be a whole number; it is 'a'"),
        (TrainingOptions, {"steps_per_loop": True}, "steps_per_loop must be a whole number"),
        (TrainingOptions, {"beta_1": None}, "beta_1 must be a number; it is None"),
        (TrainingOptions, {"recompute": 1}, "recompute must be True or False; it is 1"),
        (EvaluationOptions, {"seed": 1.5}, r"seed must be a whole number; it is 1\.5"),
        (EvaluationOptions, {"truncation": "a"}, "truncation must be None or a number; it is 'a'"),
    ],
)
def test_options_of_another_type_are_one_line(kind, options, message):
    with pytest.raises(InputError, match=rf"{kind.__name__}\.{message}"):
        kind(**options)
    kind(**({"beta_1": 0} if kind is TrainingOptions else {"truncation": np.float32(0.5)}))


def test_load_takes_each_kind_of_address(monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "ServerPredictor", lambda address, **options: (address, options))
    monkeypatch.setattr(loading, "load_predictor", lambda *arguments: arguments)
    assert trivd_tf.load("grpc://host:1/a", stride=2) == ("grpc://host:1/a", {"stride": 2})
    assert trivd_tf.load(tmp_path, step="best") == (tmp_path, "best")
    assert trivd_tf.load("https://hub/model") == ("https://hub/model", None)
    with pytest.raises(InputError, match="which has one step only"):
        trivd_tf.load("grpc://host:1", step=3)
    with pytest.raises(InputError, match="timeout: options of a server"):
        trivd_tf.load(tmp_path, timeout=3)
