"""Views of videos against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.ops import video


@pytest.fixture
def videos():
    return np.random.default_rng(0).normal(size=(3, 7, 8, 6, 2)).astype(np.float32)


def test_fold_and_unfold(videos):
    folded = video.fold_time(tf.constant(videos))
    np.testing.assert_array_equal(folded, videos.reshape(21, 8, 6, 2))
    np.testing.assert_array_equal(video.unfold_time(folded, 3), videos)


def test_downsample_is_the_mean_of_blocks(videos):
    expected = videos.reshape(3, 7, 4, 2, 3, 2, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(video.downsample(tf.constant(videos), 2), expected, atol=1e-6)
    with pytest.raises(ValueError, match="divisible by 4"):
        video.downsample(tf.constant(videos), 4)


def test_crop_takes_one_window_for_all_frames(videos):
    corners = np.array([[0, 0], [3, 2], [5, 3]], np.int32)
    cropped = video.crop(tf.constant(videos), tf.constant(corners), 3)
    for index, (top, left) in enumerate(corners):
        expected = videos[index, :, top : top + 3, left : left + 3]
        np.testing.assert_array_equal(cropped[index], expected)


def test_corners_are_uniform_over_all_places():
    corners = video.draw_corners(4000, 8, 4, tf.constant([1, 2])).numpy()
    counts = np.bincount(corners[:, 0] * 5 + corners[:, 1], minlength=25)
    assert corners.min() == 0
    assert corners.max() == 4
    assert counts.min() > 100  # 160 expected at each of the 25 places


def test_corners_in_a_rectangle_are_uniform_and_independent_on_both_axes():
    corners = video.draw_corners(6000, (8, 14), (4, 7), tf.constant([1, 2])).numpy()
    counts = np.histogram2d(corners[:, 0], corners[:, 1], bins=[range(6), range(9)])[0]
    assert counts.sum() == 6000  # none outside
    assert counts.min() > 100  # 150 expected at each of the 5 x 8 places
    square = video.draw_corners(50, (8, 8), (4, 4), tf.constant([1, 2]))
    np.testing.assert_array_equal(square, video.draw_corners(50, 8, 4, tf.constant([1, 2])))


def test_crop_of_a_rectangle(videos):
    cropped = video.crop(tf.constant(videos), tf.constant([[1, 2]] * 3, tf.int32), (4, 2))
    np.testing.assert_array_equal(cropped, videos[:, :, 1:5, 2:4])


def test_drawn_frames_are_different_never_conditioning_and_uniform():
    indices = video.draw_frame_indices(3000, 4, 16, 5, tf.constant([3, 4])).numpy()
    assert indices.shape == (3000, 4)
    assert (np.diff(indices, axis=1) > 0).all()
    counts = np.bincount(indices.ravel(), minlength=16)
    assert (counts[:5] == 0).all()
    assert (np.abs(counts[5:] / (3000 * 4 / 11) - 1) < 0.15).all()
    assert len(np.unique(indices, axis=0)) > 200  # drawn for each sample by itself


def test_too_many_frames_are_refused():
    with pytest.raises(ValueError, match="at most 3"):
        video.draw_frame_indices(1, 4, 8, 5, tf.constant([0, 0]))


def test_take_frames(videos):
    indices = np.array([[0, 6], [2, 3], [5, 5]], np.int32)
    taken = video.take_frames(tf.constant(videos), tf.constant(indices))
    np.testing.assert_array_equal(taken[1], videos[1, [2, 3]])
    np.testing.assert_array_equal(taken[2], videos[2, [5, 5]])
