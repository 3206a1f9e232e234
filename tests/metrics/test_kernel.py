import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.metrics import kernel, kernel_distance, tfgan


def activations(seed: int, samples: int, dim: int = 20, mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(samples, dim)) + mean


def pair_by_pair(a: np.ndarray, b: np.ndarray) -> float:
    """The definition, written as loops over pairs."""

    def k(x, y):
        return (float(x @ y) / len(x) + 1.0) ** 3

    def within(x):
        pairs = [k(p, q) for i, p in enumerate(x) for j, q in enumerate(x) if i != j]
        return np.mean(pairs)

    return within(a) + within(b) - 2.0 * np.mean([k(p, q) for p in a for q in b])


def test_equals_the_definition_and_tfgan():
    a, b = activations(0, 13), activations(1, 9, mean=0.3)
    assert kernel_distance(a, b) == pytest.approx(pair_by_pair(a, b), rel=1e-9)
    reference = tfgan.classifier_metrics().kernel_classifier_distance_from_activations
    a, b = activations(0, 60, 400), activations(1, 40, 400, mean=0.3)
    expected = float(reference(tf.constant(a), tf.constant(b)))
    assert kernel_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_rows_at_a_time_do_not_change_it(monkeypatch):
    a, b = activations(0, 13), activations(1, 9)
    expected = kernel_distance(a, b)
    monkeypatch.setattr(kernel, "_ROWS", 4)
    assert kernel_distance(a, b) == pytest.approx(expected, rel=1e-12)


def test_its_mean_does_not_depend_on_the_number_of_samples():
    """Unlike that of FVD; and it is around 0 for samples of one distribution."""
    for mean in (0.0, 0.4):
        few = [kernel_distance(activations(s, 4), activations(s + 5000, 4, mean=mean))
               for s in range(600)]  # fmt: skip
        many = [kernel_distance(activations(s, 100), activations(s + 5000, 100, mean=mean))
                for s in range(30)]  # fmt: skip
        error = np.std(few) / np.sqrt(len(few)) + np.std(many) / np.sqrt(len(many))
        assert abs(np.mean(few) - np.mean(many)) < 3.0 * error
        assert (abs(np.mean(many)) < 0.02) == (mean == 0.0)


def test_a_set_against_itself_is_zero():
    for samples in (2, 7, 50):
        a = activations(0, samples)
        assert kernel_distance(a, a) == kernel_distance(a, a[::-1]) == 0.0


def test_pairs_do_not_meet():
    """The mean of pairs that are alike is that of sets which have nothing in common."""
    rng = np.random.default_rng(0)
    alike, apart = [], []
    for _ in range(300):
        a, other = rng.normal(size=(2, 8, 20))
        noise = 0.3 + 0.1 * rng.normal(size=(8, 20))
        alike.append(kernel_distance(a, a + noise, paired=True))
        apart.append(kernel_distance(a, other + noise))
    error = (np.std(alike) + np.std(apart)) / np.sqrt(300)
    assert abs(np.mean(alike) - np.mean(apart)) < 3.0 * error
    b = a + 0.3
    counts = rng.multinomial(8, np.full(8, 1 / 8), size=3)
    same = kernel.weighted_kernel_distances(a, a, counts, counts, paired=True)
    np.testing.assert_allclose(same, 0.0, atol=1e-12)
    cross = [(a[i] @ b[j] / 20 + 1) ** 3 for i in range(8) for j in range(8) if i != j]
    within = [
        np.mean([(x[i] @ x[j] / 20 + 1) ** 3 for i in range(8) for j in range(8) if i != j])
        for x in (a, b)
    ]
    expected = sum(within) - 2 * np.mean(cross)
    assert kernel_distance(a, b, paired=True) == pytest.approx(expected, rel=1e-9)


def test_copies_do_not_meet_each_other():
    """Bootstrap samples are not biased: their mean is the score."""
    a, b = activations(0, 15), activations(1, 12, mean=0.5)
    rng = np.random.default_rng(0)
    counts = [rng.multinomial(len(x), np.full(len(x), 1 / len(x)), size=4000) for x in (a, b)]
    resampled = kernel.weighted_kernel_distances(a, b, *counts)
    assert resampled.mean() == pytest.approx(kernel_distance(a, b), rel=0.05)
    # A sample in which each vector is there twice is the set itself.
    twice = kernel.weighted_kernel_distances(a, b, np.full((1, 15), 2), np.full((1, 12), 2))
    assert twice[0] == pytest.approx(kernel_distance(a, b), rel=1e-9)


def test_bad_activations_are_refused():
    a = activations(0, 5)
    with pytest.raises(InputError, match="received shapes"):
        kernel_distance(a, a[:1])
    with pytest.raises(InputError, match="NaN"):
        kernel_distance(a, a * np.nan)
