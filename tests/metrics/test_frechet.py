import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.metrics import (
    StreamedMoments,
    frechet,
    frechet_distance,
    frechet_distance_from_moments,
    tfgan,
)


def activations(seed: int, samples: int, dim: int, mean: float = 0.0) -> np.ndarray:
    """Correlated Gaussian vectors, whose covariance has no zeros."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(samples, dim)) @ rng.normal(size=(dim, dim)) + mean + rng.normal(size=dim)
    )


def scipy_distance(a: np.ndarray, b: np.ndarray) -> float:
    covariance_a, covariance_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(covariance_a @ covariance_b)
    spread = np.trace(covariance_a) + np.trace(covariance_b) - 2 * np.trace(root).real
    return float(spread + np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2))


def moments_of(array: np.ndarray, batch: int) -> StreamedMoments:
    moments = StreamedMoments(array.shape[1])
    for start in range(0, len(array), batch):
        moments.update(array[start : start + batch])
    return moments


@pytest.mark.parametrize(("dim", "counts"), [(5, (40, 60)), (60, (300, 200)), (120, (500, 500))])
def test_frechet_distance_equals_scipy(dim, counts):
    a, b = activations(0, counts[0], dim), activations(1, counts[1], dim, mean=0.5)
    assert frechet_distance(a, b) == pytest.approx(scipy_distance(a, b), rel=1e-8)


def test_frechet_distance_of_one_dimension_in_closed_form():
    a, b = np.array([[0.0], [2.0]]), np.array([[1.0], [9.0]])  # N(1, 2) and N(5, 32)
    assert frechet_distance(a, b) == pytest.approx(16.0 + (np.sqrt(32.0) - np.sqrt(2.0)) ** 2)


@pytest.mark.parametrize("samples", [2, 16, 61, 90])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_a_set_against_itself_is_zero_and_never_below(samples, scale):
    """Also with fewer samples than dimensions, and at scales where a difference of sums is not."""
    a = activations(0, samples, 60) * scale
    shuffled = np.random.default_rng(1).permutation(a)
    for other in (a, a.copy(), shuffled):
        assert 0.0 <= frechet_distance(a, other) <= 1e-3
    moments = moments_of(a / scale, 7)
    assert 0.0 <= frechet_distance_from_moments(moments, moments) <= 1e-3


def test_constant_sets_have_a_distance():
    a, b = np.ones((5, 3)), np.full((4, 3), 3.0)
    assert frechet_distance(a, a) == 0.0
    assert frechet_distance(a, b) == pytest.approx(12.0)


@pytest.mark.parametrize(("dim", "counts"), [(60, (20, 35)), (60, (35, 200)), (60, (300, 200))])
def test_the_order_of_the_two_sets_does_not_matter(dim, counts):
    a, b = activations(0, counts[0], dim), activations(1, counts[1], dim, mean=0.5)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)


@pytest.mark.parametrize("counts", [(20, 35), (300, 200)])
def test_equals_tfgan(counts):
    a, b = activations(0, counts[0], 60), activations(1, counts[1], 60, mean=0.5)
    reference = tfgan.classifier_metrics().frechet_classifier_distance_from_activations
    expected = float(reference(tf.constant(a), tf.constant(b)))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("counts", [(20, 35), (300, 200)])
def test_the_biased_covariance_is_that_of_numpy(counts):
    a, b = activations(0, counts[0], 30), activations(1, counts[1], 30)
    spread = [np.cov(x, rowvar=False, bias=True) for x in (a, b)]
    root = scipy.linalg.sqrtm(spread[0] @ spread[1]).real
    expected = np.trace(spread[0] + spread[1] - 2 * root)
    expected += np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)
    assert frechet_distance(a, b, covariance="biased") == pytest.approx(expected, rel=1e-5)
    streamed = frechet_distance_from_moments(
        moments_of(a, 7), moments_of(b, 7), covariance="biased"
    )
    assert streamed == pytest.approx(expected, rel=1e-5)
    with pytest.raises(InputError, match="covariance 'sample'; choose one of unbiased, biased"):
        frechet_distance(a, b, covariance="sample")


@pytest.mark.parametrize("samples", [30, 90])
def test_counts_are_copies(samples, monkeypatch):
    """In pieces too, as vectors in a file are read."""
    a = activations(3, samples, 40)
    counts = np.random.default_rng(0).integers(0, 3, samples)
    expected = frechet.fit(np.repeat(a, counts, axis=0))
    for rows in (1000, 7):
        monkeypatch.setattr(frechet, "_ROWS", rows)
        found = frechet.fit(a, counts=counts)
        np.testing.assert_allclose(found.mean, expected.mean)
        covariances = [g.factor.T @ g.factor for g in (found, expected)]
        np.testing.assert_allclose(*covariances, atol=1e-9)


def test_the_quick_distance_is_the_distance():
    for counts in ((20, 35), (300, 200)):
        a, b = (
            frechet.fit(activations(0, counts[0], 60)),
            frechet.fit(activations(1, counts[1], 60)),
        )
        assert frechet.quick_distance(a, b) == pytest.approx(frechet.distance(a, b), rel=1e-9)
        assert frechet.quick_distance(a, a) == pytest.approx(0.0, abs=1e-8)


def test_float32_activations_are_computed_in_float64():
    a, b = (activations(seed, 300, 40).astype(np.float32) for seed in (0, 1))
    expected = scipy_distance(a.astype(np.float64), b.astype(np.float64))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_streamed_distance_equals_one_shot(batch):
    a, b = activations(0, 500, 60, mean=100.0), activations(1, 450, 60, mean=99.0)
    streamed = frechet_distance_from_moments(moments_of(a, batch), moments_of(b, batch))
    assert streamed == pytest.approx(frechet_distance(a, b), rel=1e-6)


def test_streamed_distance_of_fewer_samples_than_dimensions():
    a, b = activations(0, 16, 100), activations(1, 16, 100, mean=1.0)
    streamed = frechet_distance_from_moments(moments_of(a, 5), moments_of(b, 4))
    assert streamed == pytest.approx(frechet_distance(a, b), rel=1e-6)
    assert streamed == pytest.approx(scipy_distance(a, b), rel=1e-4)


def test_moments_equal_numpy_and_keep_their_digits_at_a_large_mean():
    a = activations(4, 200, 12, mean=1e6)
    moments = moments_of(a, 13)
    assert moments.count == 200
    np.testing.assert_allclose(moments.mean, a.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(moments.covariance, np.cov(a, rowvar=False), rtol=1e-6, atol=1e-6)


def test_merging_equals_seeing_everything():
    a = activations(5, 90, 8)
    left, right = moments_of(a[:31], 10), moments_of(a[31:], 7)
    left.merge(right)
    left.merge(StreamedMoments(8))
    np.testing.assert_allclose(left.mean, a.mean(axis=0))
    np.testing.assert_allclose(left.covariance, np.cov(a, rowvar=False))
    assert left.count == 90


def test_an_interrupted_stream_goes_on_from_its_file(tmp_path):
    a = activations(6, 50, 9)
    path = tmp_path / "new" / "moments.npz"
    moments_of(a[:20], 5).save(path)
    loaded = StreamedMoments.load(path)
    for start in range(20, 50, 5):
        loaded.update(a[start : start + 5])
    unbroken = moments_of(a, 5)
    np.testing.assert_array_equal(loaded.mean, unbroken.mean)
    np.testing.assert_array_equal(loaded.covariance, unbroken.covariance)
    loaded.save(path)
    assert StreamedMoments.load(path).count == 50
    assert [p.name for p in path.parent.iterdir()] == ["moments.npz"]


def test_damaged_and_unwritable_files_are_told(tmp_path):
    path = tmp_path / "moments.npz"
    StreamedMoments(3).save(path)
    path.write_bytes(path.read_bytes()[:100])
    for broken in (path, tmp_path / "absent.npz"):
        with pytest.raises(InputError, match=broken.name):
            StreamedMoments.load(broken)
    with pytest.raises(RunError, match="could not be written"):
        StreamedMoments(3).save(path / "below_a_file.npz")


def test_memory_does_not_grow_with_the_samples():
    few, many = moments_of(activations(0, 50, 20), 10), moments_of(activations(0, 5000, 20), 10)
    sizes = [sum(v.nbytes for v in vars(m).values() if hasattr(v, "nbytes")) for m in (few, many)]
    assert sizes[0] == sizes[1] == (20 + 20 * 20) * 8


def test_bad_activations_are_refused():
    good = activations(0, 10, 4)
    for bad in (good[:1], good[0], activations(0, 10, 5)):
        with pytest.raises(InputError, match="received shapes"):
            frechet_distance(good, bad)
    with pytest.raises(InputError, match="NaN"):
        frechet_distance(good, np.where(good > 0, np.nan, good))
    with pytest.raises(InputError, match="NaN"):
        StreamedMoments(4).update(good * np.inf)
    with pytest.raises(InputError, match="received shape"):
        StreamedMoments(5).update(good)
    with pytest.raises(InputError, match="at least 2 samples, received 1"):
        _ = moments_of(good[:1], 1).covariance
    with pytest.raises(InputError, match="dimension"):
        StreamedMoments(4).merge(StreamedMoments(5))
    with pytest.raises(InputError, match="dimensions"):
        frechet_distance_from_moments(StreamedMoments(4), StreamedMoments(5))


def test_tfgan_is_the_installed_file_and_leaves_no_module_behind():
    module = tfgan.classifier_metrics()
    assert module.__file__.endswith("tensorflow_gan/python/eval/classifier_metrics.py")
    assert tfgan.classifier_metrics() is module
    code = (
        "import sys; before = set(sys.modules); import tensorflow; "
        "from trivd_tf.metrics import tfgan; tfgan.classifier_metrics(); "
        "print([m for m in sys.modules "
        "if m.split('.')[0] in ('tensorflow_gan', 'tensorflow_probability', 'tf_keras')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_tfgan_covariance_is_the_biased_one():
    a = activations(0, 30, 6)
    np.testing.assert_allclose(
        tfgan._covariance(tf.constant(a)), np.cov(a, rowvar=False, bias=True), rtol=1e-12
    )


def test_tfgan_missing_is_told(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install tensorflow-gan"):
        tfgan.classifier_metrics.__wrapped__()
