"""Frames that are not square: views, shapes, and the symmetry of height and width."""

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.models import DECOMPOSITIONS, Generator, make_discriminators
from trivd_tf.models.discriminators import as_seed

TC, T, HEIGHT, WIDTH = 1, 1, 16, 24


def _transposed(name: str, value: np.ndarray) -> np.ndarray:
    """A weight of the model that sees height and width exchanged."""
    if "affine" in name:
        shape = (*value.shape[:-1], HEIGHT // 8, WIDTH // 8, -1)
        return np.swapaxes(value.reshape(shape), -3, -2).reshape(value.shape)
    if value.ndim == 4:
        value = value.swapaxes(0, 1)
    if "/third/" in name:  # the taps of a warp, row by row
        value = value.reshape(*value.shape[:-1], 3, 3).swapaxes(-1, -2).reshape(value.shape)
    return value


def test_a_tall_frame_is_a_wide_one_on_its_side():
    """Height and width play the same part: exchange them in everything, and all is exchanged."""
    wide, tall = (
        Generator(1, "ptsru_s", T, num_conditioning_frames=TC, frame_size=size)
        for size in ((HEIGHT, WIDTH), (WIDTH, HEIGHT))
    )
    frames = tf.random.stateless_uniform((1, TC, HEIGHT, WIDTH, 3), (1, 2), -1.0, 1.0)
    turned = tf.transpose(frames, [0, 1, 3, 2, 4])
    z = tf.random.stateless_normal((1, 128), (3, 4))
    tall(turned, z)  # makes its variables
    predicted, flow = wide.predict_with_motion(frames, z, training=True)
    for ours, theirs in zip(wide.variables, tall.variables, strict=True):
        theirs.assign(_transposed(ours.path, ours.numpy()))
    on_its_side = tall.predict_with_motion(turned, z, training=True)
    assert predicted.shape == (1, T, HEIGHT, WIDTH, 3)
    assert flow.shape == (1, T, HEIGHT, WIDTH, 2)
    assert float(tf.math.reduce_std(predicted)) > 0.01
    expected = tf.transpose(on_its_side[0], [0, 1, 3, 2, 4])
    np.testing.assert_allclose(predicted, expected, atol=2e-5)
    # (dy, dx) become (dx, dy).
    expected = tf.transpose(on_its_side[1], [0, 1, 3, 2, 4])[..., ::-1]
    np.testing.assert_allclose(flow, expected, atol=2e-5)


def test_a_square_may_be_written_as_a_pair():
    pair = Generator(1, frame_size=(16, 16)).get_config()
    assert pair["frame_size"] == 16
    assert Generator(1, frame_size=(HEIGHT, WIDTH)).get_config()["frame_size"] == (HEIGHT, WIDTH)


@pytest.mark.parametrize("frame_size", [(16, 20), (20, 16), (16, 0)])
def test_both_sides_are_multiples_of_8(frame_size):
    with pytest.raises(ValueError, match="multiple of 8"):
        Generator(1, frame_size=frame_size)


@pytest.mark.parametrize("name", sorted(DECOMPOSITIONS))
def test_views_of_a_rectangle(name):
    """Windows of H / s x W / s, or averages of s x s, as NumPy cuts and averages them."""
    videos = np.random.default_rng(1).normal(size=(2, 16, 32, 48, 3)).astype(np.float32)
    for model in make_discriminators(name, channel_multiplier=1):
        choices = model.draw(2, 16, (32, 48), as_seed(5))
        view = model.view(tf.constant(videos), choices)
        expected = videos
        if "frames" in choices:
            expected = np.stack(
                [video[row] for video, row in zip(videos, choices["frames"].numpy(), strict=True)]
            )
        if model.crop_factor > 1:
            corners = choices["corners"].numpy()
            assert (corners <= [16, 24]).all()
            expected = np.stack(
                [
                    video[:, top : top + 16, left : left + 24]
                    for video, (top, left) in zip(expected, corners, strict=True)
                ]
            )
        if model.downsample_factor > 1:
            expected = expected.reshape(*expected.shape[:2], 16, 2, 24, 2, 3).mean(axis=(3, 5))
        np.testing.assert_allclose(view, expected, atol=1e-6)


def test_discriminators_judge_rectangles():
    frames, video = make_discriminators(
        "dvd_gan_fp_faster", channel_multiplier=1, num_conditioning_frames=2, num_sampled_frames=2
    )
    videos = tf.random.stateless_uniform((2, 4, 32, 48, 3), (1, 2), -1.0, 1.0)
    assert frames(videos, seed=1).shape == (2, 2, 2)
    assert video(videos, seed=1).shape == (2, 2, 1)
