"""The L1 prediction loss: what is added to the generator's loss, and of which draws."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.experiment import TrainingOptions
from trivd_tf.ops import losses


def predictions(step, batch, seeds):
    return [step.predict(batch, seed).numpy()[:, 2:] for seed in seeds]


@pytest.mark.parametrize("draws", [1, 3])
def test_the_difference_is_that_of_the_mean_draw(tiny, draws):
    options = dataclasses.replace(
        tiny.experiment.training, prediction_loss=1.0, prediction_draws=draws
    )
    step = dataclasses.replace(tiny.step, options=options)
    batch = next(iter(tiny.iterator()))
    seed = tf.constant([3, 5], tf.int64)
    videos = step.predict(batch, seed)
    seeds = tf.random.experimental.stateless_split(seed, draws)
    drawn = [videos.numpy()[:, 2:], *predictions(step, batch, seeds[1:])]
    assert all(np.abs(one - drawn[0]).max() > 1e-3 for one in drawn[1:])
    real = batch["video"].numpy()[:, 2:] / 127.5 - 1
    expected = np.abs(np.mean(drawn, axis=0) - real).mean()
    difference = step.prediction_difference(batch, videos, seed)
    np.testing.assert_allclose(difference, expected, rtol=1e-5)


def test_the_weighted_difference_is_added_to_the_loss(tiny):
    batch, number = next(iter(tiny.iterator())), tf.constant(0, tf.int64)
    plain = tiny.step.update_generator(batch, number)
    tiny.reset()
    options = dataclasses.replace(tiny.experiment.training, prediction_loss=20.0)
    step = dataclasses.replace(tiny.step, options=options)
    metrics = step.update_generator(batch, number)
    assert list(metrics) == step.generator_metrics
    assert "generator/prediction_loss" not in plain
    added = metrics["generator/loss"] - plain["generator/loss"]
    np.testing.assert_allclose(added, 20 * metrics["generator/prediction_loss"], rtol=1e-4)
    # Most of the gradient comes from the difference now.
    assert metrics["generator/gradient_norm"] != plain["generator/gradient_norm"]


def test_l1_by_hand():
    real, predicted = tf.constant([[0.0, 1.0]]), tf.constant([[0.5, -1.0]])
    assert float(losses.prediction_loss(real, predicted)) == 1.25


def test_draws_without_a_loss_are_refused():
    with pytest.raises(InputError, match="prediction_draws must be 1 where prediction_loss is 0"):
        TrainingOptions(prediction_draws=2)
    with pytest.raises(InputError, match="prediction_loss must be at least 0"):
        TrainingOptions(prediction_loss=-1.0)
