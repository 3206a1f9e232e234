import dataclasses
import fractions

import numpy as np
import pytest
from PIL import Image

from trivd_tf.base.errors import InputError
from trivd_tf.data import clips
from trivd_tf.data.clips import ClipSpec


def test_clip_covers_its_frames_and_the_gaps_between_them():
    clip = ClipSpec(num_conditioning_frames=2, num_predicted_frames=3, stride=4)
    assert clip.num_frames == 5
    assert clip.span == len(range(0, 17))
    assert [clip.num_windows(n) for n in (0, 16, 17, 20)] == [0, 0, 1, 4]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_conditioning_frames", 0),
        ("num_predicted_frames", -1),
        ("size", 60),
        ("size", "64"),
        ("size", (64, 60)),
        ("size", (64, 64, 64)),
        ("stride", 0),
        ("stride", 1.5),
        ("stride", True),
    ],
)
def test_clip_refuses_what_makes_no_sense(field, value):
    with pytest.raises(InputError, match=f"{field}.*received"):
        ClipSpec(**{field: value})


@pytest.mark.parametrize("shape", [(48, 64), (64, 48), (720, 1280), (7, 1000), (64, 64), (3, 3)])
def test_smallest_side_becomes_the_size_and_the_aspect_stays(shape):
    height, width = clips.resized_shape(*shape, 32)
    assert min(height, width) == 32
    assert abs(height / width - shape[0] / shape[1]) <= 0.02 * max(height / width, 1)


def test_clips_of_a_rectangle_are_another_kind_and_a_pair_of_equal_sides_is_a_square():
    clip = ClipSpec(size=(96, 160))
    assert (clip.height, clip.width) == (96, 160)
    assert clip != ClipSpec(size=(160, 96))
    assert ClipSpec(size=(64, 64)) == ClipSpec()
    assert dataclasses.asdict(ClipSpec(size=(64, 64)))["size"] == 64


@pytest.mark.parametrize("size", [32, (32, 32), (24, 40), (40, 24), (8, 400)])
@pytest.mark.parametrize("shape", [(48, 64), (64, 48), (720, 1280), (7, 100), (24, 40), (3, 3)])
def test_frames_are_resized_by_the_least_factor_that_covers(shape, size):
    """Against exact fractions: the factor is the larger of the two sides' ratios."""
    sides = size if isinstance(size, tuple) else (size, size)
    factor = max(
        fractions.Fraction(side, length) for side, length in zip(sides, shape, strict=True)
    )
    resized = clips.resized_shape(*shape, size)
    for got, length, side in zip(resized, shape, sides, strict=True):
        assert got >= side
        assert abs(got - factor * length) <= fractions.Fraction(1, 2)
    assert any(got == side for got, side in zip(resized, sides, strict=True))


def test_a_rectangle_is_cut_at_the_place_drawn_on_each_axis():
    frames = np.random.default_rng(0).integers(0, 256, (6, 20, 27, 3), np.uint8)
    clip = ClipSpec(num_conditioning_frames=1, num_predicted_frames=3, size=(16, 24))
    cut = clips.cut_clip(frames, 1, clip, (0.99, 0.0))
    assert np.array_equal(cut, frames[1:5, 4:20, 0:24])
    assert np.array_equal(clips.cut_clip(frames, 2, clip), frames[2:6, 2:18, 1:25])


def test_random_positions_reach_every_offset_evenly_and_none_outside():
    offsets = [clips.crop_offset(3, position) for position in np.linspace(0, 1, 4000, False)]
    assert np.array_equal(np.bincount(offsets), [1000] * 4)
    assert clips.crop_offset(0, 0.999) == 0


def test_cut_clip_takes_every_stride_th_frame_and_the_square():
    frames = np.random.default_rng(0).integers(0, 256, (20, 8, 13, 3), np.uint8)
    clip = ClipSpec(num_conditioning_frames=1, num_predicted_frames=3, size=8, stride=3)
    cut = clips.cut_clip(frames, 5, clip, (0.0, 0.99))
    assert np.array_equal(cut, frames[[5, 8, 11, 14], :, 5:13])
    centre = clips.cut_clip(frames, 5, clip)
    for given, expected in zip(centre, frames[[5, 8, 11, 14]], strict=True):
        assert np.array_equal(given, np.asarray(Image.fromarray(expected).crop((2, 0, 10, 8))))


def test_cut_clip_is_a_copy():
    frames = np.zeros((16, 8, 8, 3), np.uint8)
    cut = clips.cut_clip(frames, 0, ClipSpec(size=8))
    cut[:] = 1
    assert not frames.any()
