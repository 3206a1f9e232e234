"""The picture of what each discriminator sees."""

import numpy as np
import pytest

from trivd_tf import data, evaluation, models, training
from trivd_tf.description import pixels_seen, views_sheet
from trivd_tf.experiment import Experiment
from trivd_tf.models import make_discriminators
from trivd_tf.pictures.drawing import BORDER, LINE, cell


def experiment(decomposition):
    return Experiment(
        clip=data.ClipSpec(size=32),
        data=data.BouncingDigits(),
        generator=models.generator(channel_multiplier=1),
        discriminators=models.discriminators(channel_multiplier=1, decomposition=decomposition),
        training=training.TrainingOptions(),
        evaluation=evaluation.EvaluationOptions(),
    )


@pytest.mark.parametrize(
    ("decomposition", "pixels"),
    [
        # K H W + T H W / s^2, and (K + T) H W / s^2 (paper, Sec. 3.1)
        ("dvd_gan_fp", 8 * 64 * 64 + 16 * 64 * 64 // 4),
        ("dvd_gan_fp_faster", (8 + 16) * 64 * 64 // 4),
        ("dvd_gan_fp_stronger", (8 + 16 + 16) * 64 * 64 // 4),
        ("clip", 16 * 64 * 64),
    ],
)
def test_pixels_are_those_of_the_paper(decomposition, pixels):
    discriminators = make_discriminators(decomposition, channel_multiplier=1)
    assert sum(pixels_seen(model, 16, 64) for model in discriminators) == pixels


def test_pixels_of_a_rectangle_are_counted_by_side():
    discriminators = make_discriminators("dvd_gan_fp_stronger", channel_multiplier=1)
    seen = [pixels_seen(model, 16, (96, 160)) for model in discriminators]
    assert sum(seen) == (8 + 16 + 16) * 48 * 80


def test_rectangles_keep_their_aspect_in_the_picture():
    """Each view, and the window outlined in the clip, is half as high and half as wide."""
    clip = np.full((16, 32, 64, 3), 90, np.uint8)
    sheet = views_sheet(experiment("cropped"), clip, frame_side=64)
    top, left = 10 + LINE + BORDER, 10 + BORDER
    assert np.all(sheet[top + 63, left + 127] == 90)
    view = top + cell(64) + LINE
    assert np.all(sheet[view : view + 32, left : left + 64] == 90)
    assert not np.any(np.all(sheet[view, left + 64 :: cell(128)] == 90, axis=-1))
    first = sheet[top : top + 64, left : left + 128].astype(int)
    rows, columns = np.nonzero((first != 90).any(axis=-1))
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (32, 64)


def test_views_are_drawn_below_the_frames_they_come_from():
    time = np.arange(16)[:, None, None, None]
    clip = np.broadcast_to(40 + 10 * time, (16, 32, 32, 3)).astype(np.uint8)
    sheet = views_sheet(experiment("dvd_gan_fp_stronger"), clip, frame_side=64)
    width, top = cell(64), 10 + LINE
    for column in range(16):
        left = 10 + column * width + BORDER
        assert np.all(sheet[top + BORDER + 32 - 8, left] == 40 + 10 * column)
        # The two video rows have every frame, half as large.
        for row in (2, 3):
            middle = top + row * (LINE + width) + BORDER + 16
            assert np.all(sheet[middle, left + 16] == 40 + 10 * column)
            assert np.all(sheet[middle, left + 40] == 255)
    frames = [
        sheet[top + LINE + width + BORDER + 16, 10 + column * width + BORDER + 16]
        for column in range(16)
    ]
    drawn = [column for column, pixel in enumerate(frames) if not np.all(pixel == 255)]
    assert len(drawn) == 8
    assert min(drawn) >= 5
    assert all(np.all(frames[column] == 40 + 10 * column) for column in drawn)


def test_the_seed_moves_the_crop():
    clip = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)
    sheets = [views_sheet(experiment("cropped"), clip, seed=seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(sheets[0], sheets[1])
    assert np.any(sheets[0] != sheets[2])
