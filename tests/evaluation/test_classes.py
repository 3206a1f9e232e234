"""A model with classes is scored with each clip's own label, where the data has its classes."""

import dataclasses
import sys

import numpy as np
import pytest

from trivd_tf.data import BouncingDigits
from trivd_tf.evaluation import Pictures, apply_protocol, evaluate, find_protocol
from trivd_tf.evaluation.evaluate import with_options
from trivd_tf.evaluation.partial import EvaluationStopped
from trivd_tf.inference import OpenedModel

from .conftest import NoisyCopy

ALL = Pictures(kinds=("truncation", "best_of", "motion"), best_of_clips=2)


class Labelled(BouncingDigits):
    """Every clip shows its label in the first pixel of its given frames."""

    num_classes = 4
    class_names = ("zero", "one", "two", "three")

    def _evaluation_batch(self, clip, split, indices):
        video, _ = super()._evaluation_batch(clip, split, indices)
        labels = (indices * 7 // 5 % 4).astype(np.int32)
        video[:, :, 0, 0] = labels[:, None, None] * 60
        return video, labels


class OtherNames(Labelled):
    class_names = ("one", "zero", "two", "three")


class WithClasses(NoisyCopy):
    """Remembers of each clip that it continued the label shown in it, and the one given with it."""

    num_classes = 4

    def __init__(self, level: float):
        super().__init__(level)
        self.shown, self.given = [], []

    def _run(self, conditioning, z, labels, with_motion):
        self.shown += (conditioning[:, -1, 0, 0, 0] // 60).tolist()
        self.given += labels.tolist()
        return super()._run(conditioning, z, labels, with_motion)


@pytest.fixture
def predictor(monkeypatch) -> WithClasses:
    """Scored in the place of whatever is asked for."""
    predictor = WithClasses(10.0)
    model = OpenedModel(4, "with classes", lambda seed: predictor, "as told")
    module = sys.modules["trivd_tf.evaluation.evaluate"]
    monkeypatch.setattr(module, "open_model", lambda *a, **k: model)
    return predictor


@pytest.fixture
def labelled(experiment):
    return dataclasses.replace(experiment, data=Labelled(), class_conditional=True)


def test_every_clip_is_continued_with_its_own_label(
    labelled, predictor, tiny_run, tmp_path, extractor
):
    asked = iter([False, False, False, False, True])  # in the first run, after 32 of 40 clips
    call = {"output": tmp_path, "pictures": ALL, "extractor": extractor}
    twice = with_options(labelled, num_runs=2)
    with pytest.raises(EvaluationStopped):
        evaluate(twice, tiny_run, should_stop=lambda: next(asked), **call)
    report = evaluate(twice, tiny_run, **call)
    # 40 clips by two runs, and by two more truncations; 100 futures of each of 2 clips; 4 clips
    # under three truncations, and once more with motion.
    assert len(predictor.given) == 4 * 40 + 2 * 100 + 4 * 3 + 4
    assert predictor.given == predictor.shown
    assert set(predictor.given) == {0, 1, 2, 3}
    assert report.protocol["classes"] == "each clip's own label, one of 4"


def test_data_of_other_classes_is_scored_as_class_0(
    labelled, predictor, tiny_run, tmp_path, extractor
):
    protocol = find_protocol("bouncing_digits")
    scoring = apply_protocol(protocol, labelled, changes={"num_samples": 20})
    report = evaluate(labelled, tiny_run, scoring=scoring, output=tmp_path, extractor=extractor)
    assert predictor.given == [0] * 20
    assert report.protocol["classes"] == (
        "class 0 for every clip: the classes of bouncing_digits are not the model's"
    )


@pytest.mark.parametrize(("source", "same"), [(Labelled, True), (OtherNames, False)])
def test_labels_count_where_they_mean_the_same(labelled, source, same):
    protocol = dataclasses.replace(find_protocol("bouncing_digits"), source=source)
    assert apply_protocol(protocol, labelled).experiment.class_conditional == same
    without = dataclasses.replace(labelled, class_conditional=False)
    assert not apply_protocol(protocol, without).experiment.class_conditional


def test_a_model_without_classes_gets_none(experiment, predictor, tiny_run, tmp_path, extractor):
    predictor.num_classes = 1
    predictor._run = lambda given, z, labels, motion: (
        np.repeat(given[:, -1:], 2, axis=1) if labels is None else None,
        None,
    )
    report = evaluate(experiment, tiny_run, output=tmp_path, extractor=extractor)
    assert "classes" not in report.protocol
