import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from trivd_tf.base.errors import InputError
from trivd_tf.metrics import best_of, copy_last_frame, mae_sum, mse_sum, psnr, ssim
from trivd_tf.metrics import frames as frames_module


def pair(height: int, width: int, noise: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Smooth moving pictures and noisy, darker copies, [2, 3, H, W, 3]."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:height, :width]
    phase = np.arange(6).reshape(2, 3, 1, 1, 1) + np.arange(3)
    real = 128 + 100 * np.sin(x[..., None] / 5 + phase) * np.cos(y[..., None] / 7)
    predicted = 0.8 * real + rng.integers(0, noise, real.shape) * (phase > 3)
    return real.astype(np.uint8), np.clip(predicted, 0, 255).astype(np.uint8)


def per_frame(score, real, predicted) -> np.ndarray:
    return np.array([[score(*f) for f in zip(a, b)] for a, b in zip(real, predicted)])  # noqa: B905


@pytest.mark.parametrize("size", [(11, 11), (64, 64), (32, 47)])
def test_psnr_equals_scikit_image(size):
    real, predicted = pair(*size)
    expected = per_frame(peak_signal_noise_ratio, real, predicted)
    np.testing.assert_allclose(psnr(real, predicted), expected, rtol=1e-10)


def test_psnr_of_equal_frames_is_infinite_unless_a_ceiling_is_given():
    real, predicted = pair(16, 16)
    predicted[0, 1] = real[0, 1]
    scores = psnr(real, predicted)
    assert scores[0, 1] == math.inf
    assert np.isfinite(np.delete(scores.ravel(), 1)).all()
    assert psnr(real, predicted, ceiling=99.0)[0, 1] == 99.0
    assert psnr(real * 0, real * 0 + 255).max() == 0.0  # no wrap-around in uint8


@pytest.mark.parametrize("size", [(11, 11), (64, 64), (32, 47)])
def test_ssim_equals_scikit_image(size):
    real, predicted = pair(*size)

    def expected(a, b):
        return structural_similarity(
            a,
            b,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=-1,
        )

    scores = ssim(real, predicted)
    np.testing.assert_allclose(scores, per_frame(expected, real, predicted), atol=2e-5)
    assert scores.max() < 0.999
    np.testing.assert_allclose(ssim(real, real), 1.0, atol=1e-6)


def test_ssim_in_small_chunks_is_the_same(monkeypatch):
    real, predicted = pair(24, 24)
    whole = ssim(real, predicted)
    monkeypatch.setattr(frames_module, "_CHUNK_PIXELS", 4 * 24 * 24)
    np.testing.assert_allclose(ssim(real, predicted), whole, atol=1e-6)


def test_best_of_takes_whole_draws_by_their_mean():
    scores = np.array([[[1.0, 2.0], [9.0, 0.0]], [[2.0, 0.5], [4.0, 4.0]]])
    np.testing.assert_array_equal(best_of(scores), [[1.0, 2.0], [9.0, 0.0]])
    np.testing.assert_array_equal(best_of(scores[1:]), scores[1])


def test_best_of_never_falls_with_more_draws():
    scores = np.random.default_rng(0).normal(size=(100, 13, 11))
    means = [best_of(scores[:draws]).mean() for draws in (1, 2, 5, 10, 20, 50, 100)]
    assert means == sorted(means)
    assert means[0] < means[-1]
    expected = scores.mean(axis=2).max(axis=0)
    np.testing.assert_allclose(best_of(scores).mean(axis=1), expected)


def test_copy_last_frame():
    conditioning = np.arange(2 * 3 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 4, 3)
    copies = copy_last_frame(conditioning, 5)
    assert copies.shape == (2, 5, 4, 4, 3)
    assert copies.dtype == np.uint8
    for step in range(5):
        np.testing.assert_array_equal(copies[:, step], conditioning[:, 2])


def test_bad_input_is_refused():
    real, predicted = pair(16, 16)
    for score in (psnr, ssim):
        with pytest.raises(InputError, match="differ in shape"):
            score(real, predicted[:, :2])
        with pytest.raises(InputError, match="received float32"):
            score(real.astype(np.float32), predicted)
    with pytest.raises(InputError, match="at least 11 x 11"):
        ssim(real[:, :, :8], predicted[:, :, :8])
    with pytest.raises(InputError, match="NaN"):
        best_of(np.full((2, 3, 4), np.nan))
    with pytest.raises(InputError, match="received shape"):
        best_of(np.zeros((3, 4)))
    with pytest.raises(InputError, match="received"):
        copy_last_frame(real[0], 3)
    with pytest.raises(InputError, match="at least 0; received -1"):
        copy_last_frame(real, -1)


def test_summed_errors_are_openstl_s():
    """np.mean over videos and frames, then the sum over the rest, of frames in [0, 1]."""
    rng = np.random.default_rng(0)
    real, predicted = (rng.integers(0, 256, (2, 3, 5, 4, 3), np.uint8) for _ in range(2))
    difference = real / 255.0 - predicted / 255.0
    expected = np.mean(difference**2, axis=(0, 1)).sum()
    assert mse_sum(real, predicted).mean() == pytest.approx(expected)
    expected = np.mean(np.abs(difference), axis=(0, 1)).sum()
    assert mae_sum(real, predicted).mean() == pytest.approx(expected)
    assert mse_sum(real, predicted).shape == (2, 3)
    assert mae_sum(real, real).max() == 0.0
    with pytest.raises(InputError, match="differ in shape"):
        mse_sum(real, predicted[:1])
