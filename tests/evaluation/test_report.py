"""The report: what it prints, saves and says of its protocol."""

import dataclasses
import json

import numpy as np
import pytest

from trivd_tf import data, evaluation
from trivd_tf.base.errors import InputError
from trivd_tf.evaluation import Report, Row, Scoring
from trivd_tf.evaluation.real_features import cache_key
from trivd_tf.evaluation.reporting.report import describe_scoring


@dataclasses.dataclass(frozen=True)
class _Tiny:
    clip: data.ClipSpec
    data: data.BouncingDigits
    evaluation: evaluation.EvaluationOptions
    title: str = "a title"


@pytest.fixture
def experiment():
    """Of the parts that a report looks at only."""
    return _Tiny(
        data.ClipSpec(num_conditioning_frames=2, num_predicted_frames=8, size=32),
        data.BouncingDigits(),
        evaluation.EvaluationOptions(num_samples=12),
    )


@pytest.fixture
def report(experiment):
    rows = [
        Row("model, step 3", 12.34, 1.5, {"psnr": [20.0, 10.0], "ssim": [0.5, 0.25]}),
        Row("copy of the last frame", 56.0, 1.25, {"psnr": [30.0, 20.0], "ssim": [1.0, 0.5]}),
    ]
    return Report(rows, describe_scoring(Scoring(experiment), 3, "as told"))


def test_the_table_names_scores_samples_and_rules(report):
    lines = str(report).splitlines()
    assert lines[1].split() == ["model,", "step", "3", "12.3", "1.50", "15.00", "0.375"]
    assert len({len(line) for line in lines[:3]}) == 1
    for said in ("samples: 12", "tf1_bilinear", "conditioning frames included", "split: test"):
        assert said in lines[-1]


def test_intervals_stand_beside_fvd(report):
    sure = {"fvd_interval": (10.0, 15.25), "fvd_infinite": 7.5, "fvd_infinite_interval": (5.0, 9.0)}
    rows = [dataclasses.replace(report.rows[0], **sure), report.rows[1]]
    lines = str(dataclasses.replace(report, rows=rows)).splitlines()
    assert "FVD, infinitely many" in lines[0]
    assert "12.3  [10.0, 15.2]        7.5 [5.0, 9.0]" in lines[1]
    assert len({len(line) for line in lines[:3]}) == 1
    stored = json.loads(json.dumps(dataclasses.asdict(rows[0])))
    assert Row(**stored) == rows[0]


def test_saved_reports_can_be_read_back(report, tmp_path):
    report.save(tmp_path)
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored["rows"][1]["by_frame"]["psnr"] == [30.0, 20.0]
    assert stored["protocol"]["samples"] == 12
    assert "| model, step 3 | 12.3 | 1.50 | 15.00 | 0.375 |" in (tmp_path / "report.md").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]


def test_the_key_of_real_statistics_changes_with_all_they_depend_on(experiment):
    keys = {cache_key(experiment)}
    for change in (
        {"num_samples": 13},
        {"split": "train"},
        {"resize": "antialiased"},
        {"i3d": "x"},
    ):
        options = dataclasses.replace(experiment.evaluation, **change)
        keys.add(cache_key(dataclasses.replace(experiment, evaluation=options)))
    clip = dataclasses.replace(experiment.clip, size=64)
    keys.add(cache_key(dataclasses.replace(experiment, clip=clip)))
    keys.add(cache_key(dataclasses.replace(experiment, data=data.BouncingDigits(num_digits=2))))
    assert len(keys) == 7
    unchanged = dataclasses.replace(experiment.evaluation, seed=5, truncation=0.5)
    assert cache_key(dataclasses.replace(experiment, evaluation=unchanged)) in keys


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 1}, "num_samples must be at least"),
        ({"split": "valid"}, "split must be train or test"),
        ({"resize": "lanczos"}, "resize must be one of"),
        ({"truncation": -1.0}, "truncation must be"),
        ({"truncation": float("nan")}, "truncation must be"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        evaluation.EvaluationOptions(**options)


def test_mean_is_over_predicted_frames(report):
    assert report.row("copy").mean("ssim") == np.mean([1.0, 0.5])
