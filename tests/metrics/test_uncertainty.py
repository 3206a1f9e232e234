import numpy as np
import pytest

from trivd_tf.metrics import frechet_distance, inception_score, kernel_distance
from trivd_tf.metrics.inception_score import inception_scores_of_samples
from trivd_tf.metrics.uncertainty import (
    Estimate,
    Resampling,
    estimate_fvd,
    estimate_inception_score,
    estimate_kvd,
    estimate_mean,
    interval,
)

DIM = 12
SHIFT = 0.7


def draw(rng, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of which the distance of infinitely many samples is DIM * SHIFT^2."""
    return rng.normal(size=(count, DIM)), rng.normal(size=(count, DIM)) + SHIFT


def each(count: int, **kwargs) -> Resampling:
    return Resampling(np.arange(count), np.arange(count), **kwargs)


def test_intervals_hold_the_mean_score_of_such_samples():
    """19 of 20 should; 40 draws of 40 samples, whose mean score is known from 200 others."""
    rng = np.random.default_rng(0)
    scores = [frechet_distance(*draw(rng, 40)) for _ in range(200)]
    expected = np.mean(scores)
    hits = widths = 0
    for _ in range(40):
        found = estimate_fvd(*draw(rng, 40), each(40, replicates=40)).fvd
        assert found.low <= found.value <= found.high
        hits += found.low <= expected <= found.high
        widths += (found.high - found.low) / 40
    assert hits >= 33  # 38 wanted; 33 is 3.6 deviations below
    assert widths == pytest.approx(2 * 1.96 * np.std(scores), rel=0.3)


def test_extrapolation_removes_most_of_the_bias():
    rng = np.random.default_rng(1)
    found = [estimate_fvd(*draw(rng, 60), each(60, replicates=20)) for _ in range(20)]
    true = DIM * SHIFT**2
    bias = np.mean([one.fvd.value for one in found]) - true
    left = np.mean([one.infinite.value for one in found]) - true
    assert bias > 1.0
    assert abs(left) < 0.25 * bias
    inside = [one.infinite.low <= true <= one.infinite.high for one in found]
    assert sum(inside) >= 15


def test_the_value_is_the_score_itself():
    a, b = draw(np.random.default_rng(2), 20)
    assert estimate_fvd(a, b, each(20, replicates=5)).fvd.value == frechet_distance(a, b)
    assert estimate_kvd(a, b, each(20, replicates=5)).value == kernel_distance(a, b)
    assert estimate_inception_score(b, each(20, replicates=5)).value == inception_score(b)[0]
    same = estimate_fvd(a, a, each(20, paired=True, replicates=20)).fvd
    assert (same.value, same.low, same.high) == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)


def test_the_seed_decides():
    a, b = draw(np.random.default_rng(3), 20)
    found = [estimate_fvd(a, b, each(20, seed=seed, replicates=20)) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


def test_clips_of_one_video_are_drawn_together():
    videos = np.repeat(np.arange(5), 3)
    for counts in Resampling(videos, videos, replicates=20).samples():
        for count in counts:
            assert (count.reshape(5, 3) == count.reshape(5, 3)[:, :1]).all()
            assert count.sum() == 15
    # Ten copies of each vector tell no more than one does.
    values = np.random.default_rng(0).normal(size=30)
    alone = estimate_mean(values, each(30))
    copies = np.repeat(np.arange(30), 10)
    copied = estimate_mean(np.repeat(values, 10), Resampling(copies, copies))
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=1e-9)


def test_pairs_are_drawn_together():
    for first, second in each(9, paired=True, replicates=10).samples():
        np.testing.assert_array_equal(first, second)
    unpaired = each(9, replicates=10).samples()
    assert any((first != second).any() for first, second in unpaired)
    with pytest.raises(ValueError, match="same videos"):
        Resampling([0, 1], [0, 2], paired=True)


def test_halves_share_no_video():
    videos = np.array([0, 0, 1, 2, 2, 3, 4])
    (a, _), (b, _) = Resampling(videos, videos).halves(None, 0)
    assert not set(videos[a > 0]) & set(videos[b > 0])
    assert len(set(videos[a > 0])) == len(set(videos[b > 0])) == 2


def test_one_video_gives_no_interval():
    a, b = draw(np.random.default_rng(0), 6)
    found = estimate_fvd(a, b, Resampling(np.zeros(6), np.arange(6)))
    assert (found.fvd.low, found.fvd.high, found.infinite) == (None, None, None)
    assert found.fvd.text(1) == f"{found.fvd.value:.1f}"


def test_two_videos_give_finite_numbers():
    a, b = draw(np.random.default_rng(0), 2)
    found = estimate_fvd(a, b, each(2))
    assert np.isfinite([found.fvd.value, found.fvd.low, found.fvd.high]).all()
    assert np.isfinite([*vars(estimate_kvd(a, b, each(2))).values()]).all()


def test_scores_of_bootstrap_samples_are_those_of_copies():
    logits = np.random.default_rng(0).normal(size=(10, 6)) * 3
    counts = np.random.default_rng(1).integers(0, 3, (4, 10))
    expected = [inception_score(np.repeat(logits, count, axis=0))[0] for count in counts]
    np.testing.assert_allclose(inception_scores_of_samples(logits, counts), expected)


def test_an_interval_is_moved_to_the_score():
    found = interval(5.0, np.linspace(10.0, 20.0, 201))
    assert (found.low, found.high) == pytest.approx((0.25, 9.75))
    assert interval(1.0, np.linspace(10.0, 20.0, 201), lowest=0.0).low == 0.0
    assert found.text(2) == "5.00 [0.25, 9.75]"
    assert Estimate(-1e-9, -1e-9, 1e-9).text(2) == "0.00 [0.00, 0.00]"  # no "-0.00"
