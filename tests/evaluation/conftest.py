"""A tiny run of bouncing digits with one checkpoint, and a stand-in for I3D."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf import config
from trivd_tf.inference import OpenedModel
from trivd_tf.inference.predictor_base import Predictor
from trivd_tf.metrics import FeatureExtractor
from trivd_tf.runs import record as run_record
from trivd_tf.training.checkpoints import Checkpoints, Counters
from trivd_tf.training.loop import build_step

TINY = """\
from __gin__ import dynamic_registration
from trivd_tf import data
from trivd_tf import evaluation
from trivd_tf import models
from trivd_tf import training

include "runs/bouncing_digits.gin"

data.ClipSpec:
    num_conditioning_frames = 7
    num_predicted_frames = 2
    size = 16
models.generator.channel_multiplier = 1
models.discriminators:
    channel_multiplier = 1
    decomposition = "downsampled"
training.TrainingOptions:
    batch_size = 2
    num_steps = 6
evaluation.EvaluationOptions:
    num_samples = 40
    batch_size = 16
    standing_batches = 2
    standing_batch_size = 4
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch) -> None:
    """Statistics of real clips do not come from an earlier test, nor from the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """None here: setting TensorFlow's seed throws its compiled functions away."""


def stand_in(videos: tf.Tensor) -> tf.Tensor:
    """[B, 9, 224, 224, 3] -> [B, 400]: a fixed random view of the coarse video."""
    coarse = tf.reduce_mean(tf.reshape(videos, [-1, 9, 4, 56, 4, 56, 3]), axis=(3, 5))
    weights = tf.random.stateless_normal([9 * 4 * 4 * 3, 400], [1, 2])
    return tf.reshape(coarse, [-1, 9 * 4 * 4 * 3]) @ weights


@pytest.fixture(scope="session")
def extractor() -> FeatureExtractor:
    """In the place of I3D, which takes a quarter of a second a clip."""
    return FeatureExtractor(stand_in, batch_size=16)


def save_checkpoint(experiment, model_dir: Path, step: int, seed: int = 0, keep: int = 3) -> None:
    """What `trivd train` saves, of weights that were not trained."""
    gan = build_step(experiment, tf.distribute.get_strategy(), seed)
    counters = Counters()
    counters.step.assign(step)
    Checkpoints(model_dir / "checkpoints", gan, counters, keep=keep).save()


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> Path:
    """A model directory with a checkpoint of step 4; read it, and write evaluations to it."""
    folder = tmp_path_factory.mktemp("evaluation") / "tiny"
    gin_file = folder.parent / "tiny.gin"
    gin_file.write_text(TINY)
    parsed = config.parse([gin_file])
    experiment = parsed.build()
    parsed.save(folder / "config.gin")
    run_record.write(folder, seed=0, argv=["trivd", "train", "--gin_file", str(gin_file)])
    save_checkpoint(experiment, folder, 4)
    return folder


@pytest.fixture
def experiment(tiny_run):
    """What `tiny_run` is a run of."""
    return config.load_run(tiny_run)


class NoisyCopy(Predictor):
    """Predicts the last frame, shifted and with noise that the latent decides: needs no tracing.

    Args:
        level: of the noise, in grey levels.
    """

    num_conditioning_frames, num_predicted_frames = 7, 2
    frame_size, latent_size, has_motion = 16, 128, True

    def __init__(self, level: float):
        self.level = level

    def _run(self, conditioning, z, labels, with_motion):
        noise = np.resize(z, (len(z), 2, 16, 16, 3)) * self.level
        frames = np.clip(np.roll(conditioning[:, -1:], 1, axis=3) + noise, 0, 255).astype(np.uint8)
        flow = np.ones((len(z), 2, 16, 16, 2), np.float32) if with_motion else None
        return frames, flow


def noisy_model(step: int, level: float) -> OpenedModel:
    """A model whose runs differ by their seed."""
    return OpenedModel(
        step, f"{step} {level}", lambda seed: NoisyCopy(level + 5.0 * seed), "2 x 4 training clips"
    )
