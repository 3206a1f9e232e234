"""The weights that are predicted with, exported and scored are those that are stated.

The generator here is one number, which its standing statistics set from the training clips, their
number and the seed: what would take minutes with networks, and shows which weights were taken.
"""

import json
import pathlib
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.evaluation.conftest import NoisyCopy, stand_in
from trivd_tf import config
from trivd_tf.base.errors import InputError
from trivd_tf.cli.main import main
from trivd_tf.evaluation.evaluate import with_options
from trivd_tf.inference import open as opening_models
from trivd_tf.metrics import FeatureExtractor
from trivd_tf.runs import open as opening
from trivd_tf.runs import record as run_record
from trivd_tf.runs import weights
from trivd_tf.runs.stored_weights import StoredWeights, WeightsKey

TINY = """\
from __gin__ import dynamic_registration
from trivd_tf import data
from trivd_tf import evaluation

include "runs/folder.gin"

data.ClipSpec:
    num_conditioning_frames = 7
    num_predicted_frames = 2
    size = 16
data.VideoFolder.cache_dir = "CACHE"
evaluation.EvaluationOptions:
    num_samples = 2
    standing_batches = 3
    standing_batch_size = 2
"""


class OneNumber:
    """In the place of a generator."""

    def __init__(self, value=0.0):
        self.variables = (tf.Variable(value, dtype=tf.float64),)

    @property
    def value(self):
        return float(self.variables[0])


def estimate(experiment, generator, *, seed=None, strategy=None):
    """The number follows the checkpoint, the clips, how many there are, and the seed."""
    options = experiment.evaluation
    seed = options.seed if seed is None else seed
    clips = experiment.data.training_clips(
        experiment.clip, seed=seed, batch_size=options.standing_batch_size
    )
    batches = [np.asarray(batch["video"]).mean() for batch in clips.take(options.standing_batches)]
    generator.variables[0].assign_add(np.mean(batches))


def checkpoint(run, step, content):
    """A checkpoint's files; `content` stands for the weights."""
    folder = run / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("data-00000-of-00001", "index"):
        (folder / f"ckpt-{step}.{suffix}").write_text(content)


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "_build", lambda *a: OneNumber())
    monkeypatch.setattr(
        weights,
        "restore_generator",
        lambda _, prefix, *a: OneNumber(len(pathlib.Path(f"{prefix}.index").read_text())),
    )
    monkeypatch.setattr(weights, "estimate_from_training_data", estimate)
    monkeypatch.setattr(opening_models, "as_predictor", lambda one, *a, **k: NoisyCopy(one.value / 10))
    module = sys.modules["trivd_tf.evaluation.evaluate"]
    extractor = FeatureExtractor(stand_in, batch_size=16)
    monkeypatch.setattr(module, "make_extractor", lambda *a: extractor)


@pytest.fixture
def folders(made_videos, tmp_path):
    """Two folders of videos: A, and B of which every other frame is black."""
    from tests.conftest import write_clip

    b = tmp_path / "B"
    b.mkdir()
    for seed in range(3):
        write_clip(b / f"{seed}.mp4", frames=40, height=40, width=40, rate=25, seed=20 + seed)
    return made_videos, b


@pytest.fixture
def run(tmp_path, folders):
    """A run that was trained on A."""
    folder, gin_file = tmp_path / "run", tmp_path / "tiny.gin"
    gin_file.write_text(TINY.replace("CACHE", str(tmp_path / "frames")))
    parsed = config.parse([gin_file], data_dir=folders[0])
    experiment = parsed.build()
    experiment.data.prepare(experiment.clip)
    parsed.save(folder / "config.gin")
    run_record.write(folder, seed=0, argv=[], data=run_record.data_of(experiment))
    checkpoint(folder, 4, "seed 0")
    return folder


def exported(run):
    """The weights that `trivd export`, `trivd predict` and `trivd demo` take."""
    return opening.open_run(run).generator.value



def scored(run, *flags):
    assert main(["evaluate", "--model", str(run), *flags, "--figures"]) == 0
    return json.loads((run / "evaluations" / "4" / "report.json").read_text())["rows"][0]["fvd"]


def fresh(run):
    """As if nothing had been stored."""
    shutil.rmtree(run / "evaluation_weights", ignore_errors=True)
    return exported(run)


def test_a_quick_look_is_not_what_is_exported(run):
    expected = fresh(run)
    shutil.rmtree(run / "evaluation_weights")
    scored(run, "--standing_batches", "1", "--standing_batch_size", "1")
    restored = opening.open_run(run)
    assert restored.generator.value == expected
    assert restored.scores == {}  # those of the quick look are not these weights'
    assert (restored.weights.batches, restored.weights.batch_size) == (3, 2)
    quick = opening.open_run(run, standing_batches=1, standing_batch_size=1)
    assert quick.generator.value != expected
    assert "FVD" in quick.scores["model, step 4"]
    scored(run)
    assert opening.open_run(run).scores["model, step 4"]


def test_a_directory_that_was_trained_again_gives_its_own_weights(run):
    scored(run)
    first = exported(run)
    shutil.rmtree(run / "checkpoints")
    checkpoint(run, 4, "another seed")
    restored = opening.open_run(run)
    assert restored.generator.value == pytest.approx(first + len("another seed") - len("seed 0"))
    assert restored.scores == {}
    assert len(list((run / "evaluation_weights").iterdir())) == 1


def test_scores_on_other_data_do_not_depend_on_what_was_evaluated_before(run, folders, tmp_path):
    b = ["--data_dir", str(folders[1])]
    own = fresh(run)
    after_a = scored(run, *b)
    shutil.rmtree(run / "evaluation_weights")
    assert scored(run, *b) == after_a
    assert exported(run) == own


def test_clips_that_moved_are_known_again(run, folders, tmp_path, capsys):
    own = fresh(run)
    shutil.rmtree(run / "evaluation_weights")
    moved = tmp_path / "moved"
    shutil.copytree(folders[0], moved, copy_function=shutil.copy2)
    text = (run / "config.gin").read_text().replace(str(folders[0]), str(tmp_path / "gone"))
    (run / "config.gin").write_text(text)
    with pytest.raises(InputError, match="3 x 2 training clips with seed 0 yet.*gone: no such"):
        exported(run)
    with pytest.raises(InputError, match="trained on cannot be read"):
        weights.evaluation_generator(moved_experiment(run, folders[1]), run)
    generator, _ = weights.evaluation_generator(moved_experiment(run, moved), run)
    assert generator.value == own
    assert exported(run) == own
    assert "weights: averaged weights of step 4" in capsys.readouterr().err


def moved_experiment(run, folder):
    return config.parse([run / "config.gin"], data_dir=folder).build()


def test_clips_that_changed_are_reported(run, folders, capsys):
    old = fresh(run)
    text = (run / "config.gin").read_text().replace(str(folders[0]), str(folders[1]))
    (run / "config.gin").write_text(text)
    assert exported(run) == old
    assert "warning" not in capsys.readouterr().err
    assert fresh(run) != old
    assert "was trained on video_folder-train-" in capsys.readouterr().err


def test_every_part_of_the_key_counts(run):
    experiment = config.load_run(run)
    estimated = []

    def taken(changed=experiment, **options):
        before = len(list((run / "evaluation_weights").glob("*")))
        generator, key = weights.evaluation_weights(changed, run, **options)
        estimated.append(generator.value)
        return key, len(list((run / "evaluation_weights").glob("*"))) - before

    key, new = taken()
    assert (new, taken()[1]) == (1, 0)
    assert taken(with_options(experiment, standing_batches=1))[1] == 1
    assert taken(with_options(experiment, standing_batch_size=1))[1] == 1
    assert taken(seed=1)[1] == 0  # of another seed: not stored
    assert estimated[0] == estimated[1]
    assert len(set(estimated)) == 4
    others = {"step": 5, "checkpoint": "x", "batches": 9, "batch_size": 9, "seed": 9, "data": "x"}
    for name, value in others.items():
        other = WeightsKey(**{**key.to_json(), name: value})
        assert not key.matches(other)
        assert key.file_name != other.file_name


def test_a_damaged_file_is_estimated_again_and_few_are_kept(run):
    own = fresh(run)
    (path,) = (run / "evaluation_weights").iterdir()
    path.write_bytes(path.read_bytes()[:50])
    assert exported(run) == own
    for count in range(1, 7):
        opening.open_run(run, standing_batches=count)
    assert len(StoredWeights(run).keys(4)) == 3
