"""Experiments made in Python, as gin files."""

import dataclasses
import functools
import sys
import types
from pathlib import Path

import gin
import numpy as np
import pytest

from trivd_tf import config, data, models
from trivd_tf.base.errors import InputError
from trivd_tf.config.written import experiment_text
from trivd_tf.data.source import ClipSource
from trivd_tf.experiment import EvaluationOptions, Experiment, TrainingOptions


@pytest.fixture
def experiment() -> Experiment:
    return Experiment(
        clip=data.ClipSpec(num_predicted_frames=3, size=32),
        data=data.BouncingDigits(num_digits=2),
        generator=models.generator(channel_multiplier=4, unit_options={"kernel_size": 3}),
        discriminators=models.discriminators(channel_multiplier=np.int64(4)),
        training=TrainingOptions(num_steps=5),
        evaluation=EvaluationOptions(truncation=0.5),
        title='It\'s "mine", {braces} and ü',
    )


def parsed(text: str, folder: Path) -> config.ParsedConfig:
    path = folder / "mine.gin"
    path.write_text(text, encoding="utf-8")
    found = config.parse([path])
    return found


@pytest.mark.parametrize(
    "run", ["quickstart", "bouncing_digits", "table4_bair_original", "ucf101_trivd_gan_fp"]
)
def test_it_is_gins_own_text_of_experiments_from_gin_files(run):
    data_dir = None if run == "bouncing_digits" else "/clips"
    from_gin = config.parse([run], data_dir=data_dir)
    assert experiment_text(from_gin.build()) == from_gin.operative_text


def test_it_parses_back_to_an_equal_experiment(experiment, tmp_path):
    text = experiment_text(experiment)
    again = parsed(text, tmp_path).build()
    for name in ("clip", "training", "evaluation", "title", "class_conditional", "class_names"):
        assert getattr(again, name) == getattr(experiment, name)
    assert again.generator.keywords["unit_options"] == {"kernel_size": 3}
    assert again.discriminators.keywords["channel_multiplier"] == 4
    assert type(again.data) is data.BouncingDigits
    assert again.data.num_digits == 2
    assert experiment_text(again) == text


def test_gins_own_state_is_left_alone(experiment):
    gin.clear_config()
    gin.parse_config("some_macro = 3")
    experiment_text(experiment)
    assert "some_macro = 3" in gin.config_str()


def test_folders_are_written_absolute(experiment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = dataclasses.replace(experiment, data=data.VideoFolder(data_dir=Path("videos")))
    assert f"data.VideoFolder.data_dir = '{tmp_path}/videos'" in experiment_text(folder)


class OwnSource(ClipSource):
    """A source of a module of one's own."""

    def __init__(self, level, *, extra=None):
        self.level, self.extra = level, extra

    def prepare(self, clip):
        pass

    def num_evaluation_clips(self, clip, split):
        return 0

    def fingerprint(self, clip, split):
        return ""


def test_a_source_of_another_module_is_imported_from_there(experiment, tmp_path, monkeypatch):
    module = types.ModuleType("own_clips")
    module.OwnSource = type("OwnSource", (OwnSource,), {"__module__": "own_clips"})
    monkeypatch.setitem(sys.modules, "own_clips", module)
    source = module.OwnSource(3, extra=("a", 1.5))
    text = experiment_text(dataclasses.replace(experiment, data=source))
    assert "\nimport own_clips\n" in text
    again = parsed(text, tmp_path).build().data
    assert (again.level, again.extra) == (3, ("a", 1.5))
    assert isinstance(again, module.OwnSource)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"generator": lambda **_: None}, r"Experiment\.generator: <func.*models\.generator\("),
        (
            {"generator": functools.partial(models.Generator, frame_size=8)},
            r"Experiment\.generator: frame_size cannot be set here",
        ),
        ({"generator": models.generator(unit_options={"a": object()})}, r"unit_options: .*object"),
        ({"discriminators": models.Generator}, r"models\.discriminators\(\.\.\.\)"),
        ({"data": OwnSource(object())}, r"Experiment\.data\.level: <object.*cannot be written"),
        (
            {"data": type("Local", (OwnSource,), {"__module__": "__main__"})(1)},
            r"__main__\.Local cannot be named in config\.gin; define it .* trivd_tf\.train",
        ),
        ({"title": 3}, r"title = 3: expected str, received int"),
        ({"evaluation": EvaluationOptions(truncation=float("inf"))}, r"truncation: inf cannot"),
    ],
)
def test_what_cannot_be_written_is_one_line(experiment, change, wanted):
    with pytest.raises(InputError, match=wanted) as caught:
        experiment_text(dataclasses.replace(experiment, **change))
    assert "\n" not in str(caught.value)


def test_a_data_set_of_python_is_left_out_and_its_name_kept(experiment, tmp_path):
    import tensorflow as tf

    source = data.DatasetClips(tf.data.Dataset.range(3), name="mine", class_names=("a", "b"))
    text = experiment_text(dataclasses.replace(experiment, data=source))
    again = parsed(text, tmp_path).build()
    assert (again.data.name, again.data.class_names) == ("mine", ("a", "b"))
    with pytest.raises(InputError, match=r"'mine' came from a tf\.data\.Dataset .* --data_dir"):
        again.data.prepare(again.clip)
