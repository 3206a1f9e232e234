"""`trivd_tf.train` and `trivd_tf.load`: what they refuse, before anything is written.

That they work is shown by the examples of docs/python.md (tests/docs).
"""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import trivd_tf
from trivd_tf import data, models
from trivd_tf.api import load as loading
from trivd_tf.base.errors import InputError
from trivd_tf.config.written import experiment_text
from trivd_tf.experiment import EvaluationOptions, Experiment, TrainingOptions
from trivd_tf.runs import record

CLIPS = tf.data.Dataset.from_tensor_slices(np.zeros((3, 2, 8, 8, 3), np.uint8))


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
        (
            {"training": TrainingOptions(batch_size=2, evaluate_every_steps=1)},
            {"dataset": CLIPS},
            "mine holds 3 train clips, the evaluation asks for 2048",
        ),
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
