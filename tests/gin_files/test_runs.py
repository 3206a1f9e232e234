"""Every gin file that comes with the package: it parses, builds in small, and trains a step."""

import re

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf import config, data
from trivd_tf.evaluation.paper_tables.paper_figures import PAPER_ROWS, describe, rows_of_run
from trivd_tf.evaluation.protocols import find_protocol
from trivd_tf.experiment import Experiment
from trivd_tf.training import train
from trivd_tf.training.distribution.batches import make_iterator
from trivd_tf.training.loop import build_step

RUNS = [path.stem for path in config.known_gin_files() if path.parts[0] == "runs"]
PARTS = [str(path) for path in config.known_gin_files() if path.parts[0] != "runs"]
REDUCED = [
    "models.generator.channel_multiplier = 1",
    "models.discriminators.channel_multiplier = 1",
    "data.ClipSpec.num_conditioning_frames = 1",
    "data.ClipSpec.num_predicted_frames = 1",
    "data.ClipSpec.size = 16",
    "models.discriminators.num_sampled_frames = 1",
    "training.TrainingOptions.batch_size = 2",
]


@pytest.fixture(scope="module")
def reduced(prepared_sets, made_videos, tmp_path_factory):
    """Builds the experiment of a gin file at a size that trains a step in a second."""
    cache = tmp_path_factory.mktemp("cache")

    def build(name, *bindings):
        text = config.find_gin_file(name).read_text()
        sets = "kinetics600|ucf101|bair|freedom_walks|video_folder"
        kind = re.search(f'include "data/({sets})', text)
        folder, more = None, []
        if kind:
            folder = prepared_sets.get(kind[1], made_videos)
        if kind and kind[1] == "video_folder":
            more = [f"data.VideoFolder.cache_dir = '{cache}'"]
        if "data.Mixture()" in text:
            more = [
                f"data.VideoFolder.cache_dir = '{cache}'",
                f"data.VideoFolder.data_dir = '{made_videos}'",
                f"data.FreedomWalks.data_dir = '{prepared_sets['freedom_walks']}'",
            ]
        if name.startswith("pretrained_"):  # block matching needs two
            more.append("data.ClipSpec.num_conditioning_frames = 2")
        lines = [
            "from trivd_tf import data",
            "from trivd_tf import models",
            "from trivd_tf import training",
            *REDUCED,
            *more,
            *bindings,
        ]
        return config.parse([name], lines, data_dir=folder).build()

    return build


def structure(experiment):
    """What decides the networks and the step; data sets differ in their pixels only."""
    options = experiment.training
    return (
        str(experiment.generator.keywords),
        str(experiment.discriminators.keywords),
        options.discriminator_steps,
        options.optimizer,
        options.precision,
    )


_networks: dict = {}


class Sharing(Experiment):
    """Builds equal networks once for all gin files, by an eager call, which is the quickest way."""

    def build_generator(self):
        key = str(self.generator.keywords)
        if key not in _networks:
            clip = self.clip
            generator = self.generator(
                num_predicted_frames=clip.num_predicted_frames,
                num_conditioning_frames=clip.num_conditioning_frames,
                frame_size=clip.size,
                name="generator",
            )
            frames = tf.zeros([1, clip.num_conditioning_frames, clip.size, clip.size, 3])
            generator(frames, tf.zeros([1, generator.latent_size]))
            _networks[key] = generator
        return _networks[key]

    def build_discriminators(self):
        key = str(self.discriminators.keywords)
        if key not in _networks:
            clip = self.clip
            models = self.discriminators(num_conditioning_frames=clip.num_conditioning_frames)
            for model in models:
                model(tf.zeros([1, clip.num_frames, clip.size, clip.size, 3]))
            _networks[key] = models
        return _networks[key]


def header_of(name):
    text = config.find_gin_file(name).read_text()
    return " ".join(re.match(r"(#.*\n)+", text)[0].replace("#", " ").split())


@pytest.mark.parametrize("name", [*RUNS, *PARTS])
def test_the_header_says_what_is_required_and_what_deviates(name):
    header = header_of(name)
    assert re.search(r"REQUIRED( of a run that includes it)?:", header)
    assert "Deviations:" in header
    if name in RUNS:
        assert "Reproduces:" in header
    rows = rows_of_run(name.removesuffix("_small"))
    for row in rows[:1] if name.endswith("_small") else rows:
        figures = describe(row).rpartition(": ")[2].replace("±", "+-").split(", ")
        assert all(figure in header for figure in figures), header


@pytest.mark.parametrize("name", PARTS)
def test_shared_parts_parse_over_a_run(name):
    config.parse(
        ["bouncing_digits", name], data_dir="x" if "data_dir = %" in text_of(name) else None
    )


def text_of(name):
    return config.find_gin_file(name).read_text()


def test_every_row_has_its_run_and_its_small_run():
    rows = {row.run for row in PAPER_ROWS if row.run is not None}
    small = {f"{row}_small" for row in rows if not row.startswith(("table4", "ucf101"))}
    assert {*rows, *small} <= set(RUNS)


_stepped: dict = {}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_builds_and_trains_a_step(name, reduced):
    experiment = reduced(name)
    assert experiment.title
    table, _, row = name.removesuffix("_small").partition("_")
    unit, decomposition = "recurrent_unit", "decomposition"
    if table == "table1":
        assert experiment.discriminators.keywords[decomposition] == row
    if table == "table2":
        assert experiment.generator.keywords[unit] == row
        assert experiment.discriminators.keywords[decomposition] == "dvd_gan_fp_faster"
    experiment.data.prepare(experiment.clip)
    strategy = tf.distribute.get_strategy()
    iterator = make_iterator(experiment, strategy, 0, 0)
    batch = next(iterator)
    frames = 3 if name.startswith("pretrained_") else 2
    assert batch["video"].shape == (2, frames, 16, 16, 3)
    key = structure(experiment)
    if key not in _stepped:
        _stepped[key] = step_of(Sharing(**vars(experiment)), batch)
    assert all(np.isfinite(value) for value in _stepped[key].values()), _stepped[key]


def step_of(experiment, batch):
    """The losses of one eager step that moves every network."""
    step = build_step(experiment, tf.distribute.get_strategy(), 0)
    networks = [step.generator, *step.discriminators]
    before = [network.get_weights() for network in networks]
    number = tf.constant(0, tf.int64)
    losses = dict(step.update_discriminators(batch, number, tf.constant(0)))
    losses |= step.update_generator(batch, number)
    for network, weights in zip(networks, before, strict=True):
        after = network.get_weights()
        assert any(np.any(a != b) for a, b in zip(weights, after, strict=True)), network.name
    return losses


@pytest.mark.long
@pytest.mark.parametrize("name", RUNS)
def test_a_run_trains_a_compiled_step(name, reduced, tmp_path):
    every = [
        f"training.TrainingOptions.{cadence} = 1" for cadence in ("num_steps", "steps_per_loop")
    ]
    experiment = reduced(name, *every)
    key = ("compiled", *structure(experiment))
    if key not in _stepped:
        _stepped[key] = train(experiment, model_dir=tmp_path).step
    assert _stepped[key] == 1


def test_test_splits_are_those_of_the_tables(reduced):
    splits = {
        "table1_clip": "validation",
        "table2_tsru_p": "validation",
        "table3_trivd_gan_fp": "test",
    }
    for name, split in splits.items():
        source = reduced(name).data
        assert isinstance(source, data.Kinetics600)
        assert source._splits["test"] == split


def test_runs_of_the_paper_score_as_many_clips_as_their_protocols():
    protocols = {"kinetics600": "kinetics600_val", "ucf101": "ucf101"}
    protocols |= {name: name for name in ("bair_original", "bair_balanced")}
    checked = 0
    for name in RUNS:
        text = text_of(name)
        if 'include "training/paper.gin"' not in text:
            continue
        kind = re.search(r'include "data/(\w+)\.gin"', text)[1]
        scored = config.parse([name], data_dir="nowhere").build().evaluation.num_samples
        assert scored == find_protocol(protocols[kind]).options.num_samples, name
        checked += 1
    assert checked > 20
