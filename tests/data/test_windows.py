import numpy as np
import pytest

from trivd_tf.data.clips import ClipSpec
from trivd_tf.data.windows import WindowTable, random_positions

CLIP = ClipSpec(num_conditioning_frames=2, num_predicted_frames=3, size=8)
LENGTHS = np.array([7, 4, 5, 20, 9])
ALL = {
    (video, start)
    for video, length in enumerate(LENGTHS)
    for start in range(length)
    if start + 5 <= length
}


def pairs(windows):
    return list(zip(*(axis.tolist() for axis in windows), strict=True))


def test_windows_are_those_that_fit():
    assert len(WindowTable(LENGTHS, CLIP)) == len(ALL)
    assert len(WindowTable(np.array([4, 0]), CLIP)) == 0
    assert len(WindowTable(np.zeros(0), CLIP)) == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_training_takes_each_window_once_an_epoch(seed):
    table = WindowTable(LENGTHS, CLIP)
    for epoch in range(3):
        indices = np.arange(len(ALL)) + epoch * len(ALL)
        assert set(pairs(table.training(indices, seed))) == ALL


def test_evaluation_goes_round_the_videos_from_their_first_windows_on():
    table = WindowTable(LENGTHS, CLIP)
    listed = pairs(table.evaluation(np.arange(len(ALL))))
    assert set(listed) == ALL
    assert len(listed) == len(ALL)
    # Video 1 holds no window, video 2 only one.
    assert {video for video, _ in listed[:4]} == {0, 2, 3, 4}
    assert {start for _, start in listed[:4]} == {0}
    assert {video for video, _ in listed[4:7]} == {0, 3, 4}
    assert [video for video, _ in listed[13:]] == [3] * (len(ALL) - 13)
    assert pairs(table.evaluation(np.array([6, 2, 15]))) == [listed[i] for i in (6, 2, 15)]


def test_a_hundred_million_windows_take_little_time_and_memory():
    table = WindowTable(np.full(500_000, 250), ClipSpec())
    assert len(table) == 500_000 * 235
    videos, starts = table.training(np.arange(2000) + 10**9, seed=0)
    assert len(np.unique(videos)) > 1900
    assert starts.max() == pytest.approx(234, abs=3)
    videos, starts = table.evaluation(np.arange(50_000))
    assert len(np.unique(videos)) == 50_000
    assert not starts.any()


def test_crop_positions_are_a_function_of_seed_and_place():
    whole = random_positions(3, np.arange(100))
    assert random_positions(3, np.arange(40, 60)) == whole[40:60]
    assert random_positions(4, np.arange(100)) != whole
    assert all(0 <= value < 1 for position in whole for value in position)
