"""Progress is a bar in a terminal and plain, rare lines elsewhere."""

import io
import sys
from types import SimpleNamespace

import pytest

from trivd_tf.base import progress
from trivd_tf.base.progress import Progress, format_seconds, track


class Clock:
    def __init__(self, monkeypatch):
        self.now = 1000.0
        # Not the module `time` itself: a server's thread that asks it would sleep for hours.
        monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_lines_come_every_thirty_seconds_with_an_estimate(clock, capsys):
    with Progress("training", total=100, unit="step") as shown:
        for _ in range(65):
            clock.now += 1.0
            shown.update(loss=0.5)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "training: 30/100 steps, 1.00 steps/s, about 1 min 10 s left, loss 0.5",
        "training: 60/100 steps, 1.00 steps/s, about 40 s left, loss 0.5",
        "training: 65/100 steps, 1.00 steps/s, about 35 s left, loss 0.5",
    ]


def test_the_last_line_is_not_said_twice(clock, capsys):
    with Progress("predicting", total=2, unit="clip") as shown:
        clock.now += 40.0
        shown.update(2)
    assert capsys.readouterr().err == "predicting: 2/2 clips, 0.05 clips/s\n"


def test_short_work_says_nothing(clock, capsys):
    for _ in track([1, 2, 3], "decoding"):
        clock.now += 5.0
    assert capsys.readouterr().err == ""


def test_steps_of_an_earlier_run_do_not_count_for_the_speed(clock, capsys):
    with Progress("training", total=200, initial=100) as shown:
        clock.now += 50.0
        shown.update(50)
    first = capsys.readouterr().err.splitlines()[0]
    assert first == "training: 150/200 steps, 1.00 steps/s, about 50 s left"


def test_a_terminal_gets_a_bar(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(track(range(5), "decoding", unit="file")) == [0, 1, 2, 3, 4]
    assert "decoding: 100%" in terminal.getvalue()
    assert "5/5" in terminal.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 00 s"), (3599, "59 min 59 s"), (7500, "2 h 05 min")],
)
def test_durations_are_readable(seconds, text):
    assert format_seconds(seconds) == text
