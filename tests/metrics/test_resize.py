import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.metrics import resize_frames


def interpolate(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Bilinear samples of [H, W, C] at fractional rows and columns, clamped at the border."""

    def along(x: np.ndarray, positions: np.ndarray) -> np.ndarray:
        positions = np.clip(positions, 0, len(x) - 1)
        low = np.floor(positions).astype(int)
        high = np.minimum(low + 1, len(x) - 1)
        share = (positions - low).reshape(-1, *[1] * (x.ndim - 1))
        return x[low] * (1 - share) + x[high] * share

    image = along(image.astype(np.float64), rows)
    return along(image.transpose(1, 0, 2), columns).transpose(1, 0, 2)


@pytest.fixture
def videos() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (2, 3, 20, 31, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [7, 20, 33, 224])
def test_tf1_bilinear_samples_at_i_times_scale(videos, size):
    rows, columns = np.arange(size) * 20 / size, np.arange(size) * 31 / size
    expected = [[interpolate(frame, rows, columns) for frame in video] for video in videos]
    np.testing.assert_allclose(resize_frames(videos, "tf1_bilinear", size), expected, atol=1e-3)


@pytest.mark.parametrize("size", [7, 33])
def test_tf2_bilinear_samples_at_half_pixel_centres(videos, size):
    centres = np.arange(size) + 0.5
    rows, columns = centres * 20 / size - 0.5, centres * 31 / size - 0.5
    expected = [[interpolate(frame, rows, columns) for frame in video] for video in videos]
    np.testing.assert_allclose(resize_frames(videos, "tf2_bilinear", size), expected, atol=1e-3)


def test_antialiased_averages_where_frames_shrink():
    """Halving with a triangle of radius 2 weighs four neighbours 1, 3, 3, 1."""
    column = np.random.default_rng(0).integers(0, 256, 16).astype(np.uint8)
    video = np.broadcast_to(column[:, None, None], (1, 1, 16, 16, 3))
    resized = resize_frames(np.ascontiguousarray(video), "antialiased", 8)[0, 0, :, 0, 0]
    inner = [column[2 * i - 1 : 2 * i + 3] @ np.array([1, 3, 3, 1]) / 8 for i in range(1, 7)]
    np.testing.assert_allclose(resized[1:7], inner, atol=1e-3)


def test_rules_agree_where_nothing_is_to_do(videos):
    square = videos[:, :, :, :20]
    for rule in ("tf1_bilinear", "tf2_bilinear", "antialiased"):
        np.testing.assert_array_equal(resize_frames(square, rule, 20), square.astype(np.float32))


def test_shapes_stay_known_when_the_batch_is_not(videos):
    @tf.function(input_signature=[tf.TensorSpec([None, 3, 20, 31, 3], tf.uint8)])
    def run(x):
        resized = resize_frames(x, size=24)
        assert resized.shape.as_list() == [None, 3, 24, 24, 3]
        return resized

    np.testing.assert_array_equal(run(videos), resize_frames(videos, size=24))


def test_unknown_rule_and_shape_are_refused(videos):
    with pytest.raises(InputError, match=r"'bicubic'.*tf1_bilinear"):
        resize_frames(videos, "bicubic")
    with pytest.raises(InputError, match="received shape"):
        resize_frames(videos[0])
