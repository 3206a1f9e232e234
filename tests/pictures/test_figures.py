"""Prediction sheets: every frame is there, in its place, with the border of its kind."""

import numpy as np
import pytest

from trivd_tf.base.errors import InputError
from trivd_tf.pictures import figures, motion
from trivd_tf.pictures.figures import GIVEN, PREDICTED, REAL, Prediction

SIDE = 16


def make(samples: int = 2, steps: int = 3, real: int = 2, moving: bool = True) -> Prediction:
    rng = np.random.default_rng(0)

    def frames(*shape: int) -> np.ndarray:
        return rng.integers(0, 256, (*shape, SIDE, SIDE, 3), np.uint8)

    flow = rng.normal(0, 1, (samples, steps, SIDE, SIDE, 2)) if moving else None
    return Prediction(frames(2), frames(samples, steps), frames(real) if real else None, flow)


def find(canvas: np.ndarray, frame: np.ndarray) -> list[tuple[int, int]]:
    """Corners at which `frame` occurs in `canvas`, pixel by pixel."""
    windows = np.lib.stride_tricks.sliding_window_view(canvas[..., 0], frame.shape[:2])
    rough = np.argwhere((windows == frame[..., 0]).all(axis=(2, 3)))
    return [
        (top, left)
        for top, left in rough
        if np.array_equal(canvas[top : top + SIDE, left : left + SIDE], frame)
    ]


def border(canvas: np.ndarray, corner: tuple[int, int]) -> tuple[int, ...]:
    return tuple(int(value) for value in canvas[corner[0] - 2, corner[1] + SIDE // 2])


def test_sheet_holds_every_frame_with_its_border() -> None:
    prediction = make()
    sheet = figures.contact_sheet(prediction, frame_side=SIDE, method="nearest")
    columns = []
    for frame in prediction.conditioning:
        places = find(sheet, frame)
        assert len(places) == 3  # real and two samples
        assert {border(sheet, place) for place in places} == {GIVEN}
        assert len({left for _, left in places}) == 1
        columns.append(places[0][1])
    rows = []
    for future in prediction.futures:
        places = [find(sheet, frame) for frame in future]
        assert all(len(place) == 1 for place in places)
        assert {border(sheet, place[0]) for place in places} == {PREDICTED}
        lefts = [place[0][1] for place in places]
        assert lefts == sorted(lefts)
        assert lefts[0] > columns[-1]
        rows.append(places[0][0][0])
    (real,) = find(sheet, prediction.continuation[0])
    assert border(sheet, real) == REAL
    assert real[0] < rows[0] < rows[1]


def test_sheet_draws_the_motion_of_the_first_sample() -> None:
    prediction = make()
    sheet = figures.contact_sheet(prediction, frame_side=SIDE)
    largest = motion.full_scale(prediction.flow)
    drawn = motion.flow_to_color(prediction.flow[0], largest=largest)
    assert all(len(find(sheet, frame)) == 1 for frame in drawn)
    without = figures.contact_sheet(make(moving=False), frame_side=SIDE)
    assert without.shape[0] < sheet.shape[0]


def test_long_futures_are_thinned_evenly_to_the_last() -> None:
    prediction = make(samples=1, steps=30, real=0, moving=False)
    sheet = figures.contact_sheet(prediction, frame_side=SIDE, max_columns=12)
    shown = [step for step in range(30) if find(sheet, prediction.futures[0, step])]
    assert shown == list(range(2, 30, 3))


def test_animation_plays_given_frames_first() -> None:
    prediction = make()
    film = figures.animation(prediction, frame_side=SIDE, method="nearest")
    assert film.shape[0] == 5
    assert film.shape[1] % 2 == film.shape[2] % 2 == 0
    for time in range(2):
        places = find(film[time], prediction.conditioning[time])
        assert len(places) == 3
        assert {border(film[time], place) for place in places} == {GIVEN}
    for time in range(3):
        for future in prediction.futures:
            (place,) = find(film[2 + time], future[time])
            assert border(film[2 + time], place) == PREDICTED
    (place,) = find(film[3], prediction.continuation[1])
    assert border(film[3], place) == REAL
    # The real clip is one frame short: its panel is empty, not frozen.
    assert not find(film[4], prediction.continuation[1])


def test_motion_sheet() -> None:
    prediction = make()
    sheet = figures.motion_sheet(prediction, sample=1, frame_side=SIDE)
    assert find(sheet, prediction.futures[1, 0])
    assert not find(sheet, prediction.futures[0, 0])
    with pytest.raises(InputError, match="no motion field"):
        figures.motion_sheet(make(moving=False))


def test_shapes_are_checked() -> None:
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    with pytest.raises(InputError, match="futures"):
        Prediction(frames, np.zeros((1, 2, 9, 9, 3), np.uint8))
    with pytest.raises(InputError, match="flow"):
        Prediction(frames, frames[None], flow=np.zeros((1, 2, 4, 4, 2)))
