"""Motion colours: against colorsys, and the direction that they mean."""

import colorsys

import numpy as np
import pytest

from trivd_tf.base.errors import InputError
from trivd_tf.pictures import motion


def color(dy: float, dx: float, largest: float = 2.0) -> tuple[int, ...]:
    field = np.full((1, 1, 2), (dy, dx), np.float32)
    return tuple(int(value) for value in motion.flow_to_color(field, largest=largest)[0, 0])


def test_what_moves_right_is_red() -> None:
    # The field points to where the value came from, so motion to the right is dx < 0.
    assert color(0.0, -2.0) == (255, 0, 0)
    assert color(0.0, 2.0) == (0, 255, 255)
    assert color(0.0, 0.0) == (255, 255, 255)
    assert color(-0.0, -0.0) == (255, 255, 255)


def test_against_colorsys() -> None:
    rng = np.random.default_rng(0)
    flow = rng.normal(0, 2, (4, 5, 6, 2))
    drawn = motion.flow_to_color(flow, largest=3.0)
    for index in np.ndindex(4, 5, 6):
        dy, dx = -flow[index]
        hue = np.arctan2(dy, dx) / (2 * np.pi) % 1
        expected = colorsys.hsv_to_rgb(hue, min(np.hypot(dy, dx) / 3.0, 1.0), 1.0)
        np.testing.assert_allclose(drawn[index], np.asarray(expected) * 255, atol=0.51)


def test_a_shifted_frame_and_its_field_agree() -> None:
    """A square that really moves down: its field is found by looking back, and drawn as down."""
    before, now = np.zeros((2, 12, 12))
    before[2:5, 4:7] = 1
    now[4:7, 4:7] = 1
    rows, columns = np.nonzero(now)
    source = np.argwhere(before)
    flow = np.zeros((12, 12, 2))
    flow[rows, columns] = source - np.stack([rows, columns], axis=1)
    drawn = motion.flow_to_color(flow, largest=2.0)
    wheel = motion.color_wheel(101)
    np.testing.assert_allclose(drawn[5, 5], wheel[99, 50, :3], atol=10)
    assert (drawn[0, 0] == 255).all()


def test_wheel_is_transparent_outside() -> None:
    wheel = motion.color_wheel(64)
    assert wheel[0, 0, 3] == 0
    assert wheel[32, 32, 3] == 255
    assert (wheel[32, 32, :3] > 240).all()


def test_scale_is_nearly_the_largest() -> None:
    flow = np.zeros((10, 10, 2))
    assert motion.full_scale(flow) == motion.SMALLEST_FULL_SCALE
    flow[:5] = (3, 4)
    assert motion.full_scale(flow) == pytest.approx(5.0)


def test_overlay_keeps_what_stands_still() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    flow = np.zeros((2, 8, 8, 2))
    flow[:, :, 4:] = (0, -5)
    laid = motion.overlay(frames, flow)
    np.testing.assert_array_equal(laid[:, :, :4], frames[:, :, :4])
    assert (laid[:, :, 4:, 0] > laid[:, :, 4:, 1]).all()


@pytest.mark.parametrize(
    ("flow", "largest", "named"),
    [
        (np.zeros((4, 4, 3)), None, r"\(4, 4, 3\)"),
        (np.full((4, 4, 2), np.nan), None, "finite"),
        (np.zeros((4, 4, 2)), 0.0, "largest"),
    ],
)
def test_bad_values_are_named(flow, largest, named) -> None:
    with pytest.raises(InputError, match=named):
        motion.flow_to_color(flow, largest=largest)
