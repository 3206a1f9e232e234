"""mixed_bfloat16: float32 where it counts, and a forward close to float32's."""

import numpy as np
import pytest
import tensorflow as tf

from tests.training.conftest import tiny_experiment
from trivd_tf.base.pixels import float_tensor
from trivd_tf.training.loop import build_step

SEED = 7  # the shared set-up's, so that both begin with the same weights


@pytest.fixture(scope="module")
def steps(tiny_session):
    """A train step in bfloat16 and one in float32 with the same weights."""
    tiny_session.reset()
    mixed = tiny_experiment(precision="mixed_bfloat16")
    strategy = tf.distribute.get_strategy()
    return {
        "mixed_bfloat16": build_step(mixed, strategy, SEED),
        "float32": tiny_session.step,
    }


@pytest.fixture(scope="module")
def batch():
    video = np.random.default_rng(0).integers(0, 256, (2, 5, 16, 16, 3)).astype(np.uint8)
    return {"video": tf.constant(video), "label": tf.zeros([2], tf.int32)}


@pytest.fixture(scope="module")
def updates(steps, batch):
    """Metrics of one discriminator and one generator update, eager."""
    found = {}
    for precision, step in steps.items():
        number = tf.constant(0, tf.int64)
        found[precision] = step.update_discriminators(batch, number, tf.constant(0))
        found[precision] |= step.update_generator(batch, number)
    return found


def test_weights_statistics_and_spectral_vectors_are_float32(steps):
    step = steps["mixed_bfloat16"]
    for network in (step.generator, *step.discriminators):
        assert {str(variable.dtype) for variable in network.variables} == {"float32"}
        names = {variable.name for variable in network.variables}
        assert "spectral_u" in names
    assert {"standing_mean", "standing_variance"} <= {v.name for v in step.generator.variables}
    assert {average.dtype for average in step.average.averages} == {tf.float32}
    assert step.generator.compute_dtype == "bfloat16"


def test_output_scores_losses_and_singular_values_are_float32(steps, batch, updates):
    step = steps["mixed_bfloat16"]
    frames = step.predict(batch, tf.constant([1, 2], tf.int64))
    assert frames.dtype == tf.float32
    for model in step.discriminators:
        assert model(frames, seed=3).dtype == tf.float32
    assert {value.dtype for value in updates["mixed_bfloat16"].values()} == {tf.float32}
    assert {value.dtype for value in step.singular_values().values()} == {tf.float32}


def test_one_step_is_close_to_float32(updates):
    """bfloat16 has 8 bits: a few hundredths after three networks deep."""
    for name, exact in updates["float32"].items():
        mixed = float(updates["mixed_bfloat16"][name])
        assert np.isfinite(mixed)
        scale = max(1.0, abs(float(exact)))
        assert abs(mixed - float(exact)) < 0.1 * scale, (name, mixed, float(exact))
    assert any(
        float(updates["mixed_bfloat16"][name]) != float(value)
        for name, value in updates["float32"].items()
    )


def test_frames_are_close_to_float32(steps, batch):
    z = tf.random.stateless_normal([2, 128], [1, 2])
    given = float_tensor(batch["video"][:, :2])
    # Only the discriminators and one generator update of 1e-4 lie between the two.
    mixed, exact = (
        steps[name].generator(given, z, training=True) for name in ("mixed_bfloat16", "float32")
    )
    assert float(tf.reduce_mean(tf.abs(mixed - exact))) < 0.05
