"""Budgets: what is counted, and what a killed run has left."""

import threading

import pytest

from trivd_tf.comparison import Budget, TimeLimit


def test_the_first_loop_is_charged_at_the_rate_of_the_second(tmp_path):
    limit = TimeLimit(tmp_path / "times", resume_at=0, minutes=1.0)
    limit.add(10, 100.0)  # with compilation
    assert not limit.is_set()
    limit.add(20, 30.0)  # 1.5 s a step
    assert limit.seconds == 45.0
    assert not limit.is_set()
    limit.add(10, 15.0)
    assert limit.seconds == 60.0
    assert limit.is_set()


def test_a_killed_run_goes_on_with_what_it_had_used_at_its_checkpoint(tmp_path):
    path = tmp_path / "times"
    first = TimeLimit(path, resume_at=0, minutes=1.0)
    for _ in range(4):
        first.add(10, 10.0)
    with path.open("a") as file:
        file.write('{"step": 5')  # cut off
    again = TimeLimit(path, resume_at=30, minutes=1.0)
    assert again.seconds == 30.0
    again.add(10, 99.0)
    again.add(10, 10.0)
    assert again.seconds == 50.0
    assert TimeLimit(path, resume_at=50, minutes=1.0).seconds == 50.0


def test_a_signal_ends_it_too(tmp_path):
    outer = threading.Event()
    limit = TimeLimit(tmp_path / "times", resume_at=0, minutes=None, outer=outer)
    limit.add(1, 1e9)
    assert not limit.is_set()
    outer.set()
    assert limit.is_set()


def test_a_budget_is_one_of_the_two():
    assert str(Budget(steps=5)) == "5 steps"
    assert str(Budget(minutes=0.5)) == "0.5 minutes of training"
    with pytest.raises(ValueError, match="either"):
        Budget()
    with pytest.raises(ValueError, match="either"):
        Budget(1, 1.0)
