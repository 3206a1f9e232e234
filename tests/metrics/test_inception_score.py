import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.metrics import StreamedInceptionScore, inception_score, tfgan


def test_certain_and_balanced_predictions_score_the_number_of_classes():
    logits = np.repeat(1000.0 * np.eye(7), 3, axis=0)
    assert inception_score(logits) == pytest.approx((7.0, 0.0))


def test_equal_predictions_score_one():
    logits = np.tile(np.random.default_rng(0).normal(size=(1, 400)), (20, 1))
    assert inception_score(logits) == pytest.approx((1.0, 0.0))


def test_two_samples_in_closed_form():
    """p(y|x) = (3/4, 1/4) and (1/4, 3/4), p(y) = (1/2, 1/2): KL = 3/4 log 3/2 + 1/4 log 1/2."""
    logits = np.log([[3.0, 1.0], [1.0, 3.0]]) + [[5.0], [-2.0]]  # a shift changes no softmax
    score = np.exp(0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    assert inception_score(logits) == pytest.approx((score, 0.0))


def test_splits_are_scored_each_with_its_own_marginal():
    """The first half holds one class (score 1), the second three in turn (score 3)."""
    logits = 1000.0 * np.concatenate([np.eye(3)[[0] * 6], np.eye(3)[[0, 1, 2] * 2]])
    assert inception_score(logits, splits=2) == pytest.approx((2.0, 1.0))


def test_equals_tfgan():
    logits = np.random.default_rng(1).normal(size=(50, 400)).astype(np.float32) * 3.0
    expected = tfgan.classifier_metrics().classifier_score_from_logits(tf.constant(logits))
    assert inception_score(logits)[0] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("batch", [1, 4, 23])
@pytest.mark.parametrize("splits", [1, 3])
def test_streamed_equals_one_shot(batch, splits):
    logits = np.random.default_rng(2).normal(size=(23, 11)) * 4.0
    score = StreamedInceptionScore(23, splits, num_classes=11)
    for start in range(0, 23, batch):
        score.update(logits[start : start + batch])
    parts = [part for part in np.split(logits, [23 * k // splits for k in range(1, splits)])]
    by_part = [inception_score(part)[0] for part in parts]
    assert score.result() == pytest.approx((np.mean(by_part), np.std(by_part)), rel=1e-9)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="received shape"):
        inception_score(np.zeros(400))
    with pytest.raises(InputError, match="number of samples, 2; received 3"):
        inception_score(np.zeros((2, 400)), splits=3)
    with pytest.raises(InputError, match="NaN"):
        inception_score(np.full((2, 400), np.nan))
    score = StreamedInceptionScore(4)
    score.update(np.zeros((3, 400)))
    with pytest.raises(InputError, match="3 samples, 4 were expected"):
        score.result()
    with pytest.raises(InputError, match="5 samples, 4 were expected"):
        score.update(np.zeros((2, 400)))
    with pytest.raises(InputError, match="received"):
        score.update(np.zeros((1, 399)))
