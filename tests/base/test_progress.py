"""Progress is a bar in a terminal and plain, rare lines elsewhere."""

import io
import os
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


def test_a_first_step_that_compiles_does_not_count_for_the_speed(clock, capsys):
    with Progress("training", total=100) as shown:
        clock.now += 600.0
        shown.update(is_typical=False)
        for _ in range(40):
            clock.now += 1.0
            shown.update()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "training: 1/100 steps"
    assert lines[1] == "training: 31/100 steps, 1.00 steps/s, about 1 min 09 s left"


def terminal_at(monkeypatch, columns, **environment):
    """A stream that says it is a terminal, in a world of so many columns."""
    stream = io.StringIO()
    stream.isatty = lambda: True
    stream.fileno = lambda: 2
    size = os.terminal_size((columns, 24))
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress.shutil, "get_terminal_size", lambda: size)
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda file: (columns, 24))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return stream


@pytest.mark.parametrize("columns", [20, 40, 59, 80, 200])
def test_a_bar_fits_the_terminal_and_has_no_colours(monkeypatch, columns):
    stream = terminal_at(monkeypatch, columns, NO_COLOR="1")
    with Progress("training", total=160) as shown:
        for _ in range(160):
            shown.update(loss=1.25)
    shown_lines = stream.getvalue().replace("\n", "\r").split("\r")
    assert max(map(len, shown_lines)) <= columns
    assert "160/160" in shown_lines[-2]
    assert "\x1b[3" not in stream.getvalue()  # a colour begins so


def test_the_bar_leaves_compilation_out_of_its_estimate(monkeypatch):
    stream = terminal_at(monkeypatch, 100)
    now = [1000.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    monkeypatch.setattr("time.time", lambda: now[0])
    with Progress("training", total=101) as shown:
        now[0] += 3600.0
        shown.update(is_typical=False)
        for _ in range(40):
            now[0] += 1.0
            shown.update()
        last = stream.getvalue().split("\r")[-1]
    assert "41/101 [00:40<01:00" in last


def test_a_dumb_terminal_gets_plain_lines(monkeypatch, clock):
    stream = terminal_at(monkeypatch, 80, TERM="dumb")
    with Progress("training", total=10) as shown:
        clock.now += 40.0
        shown.update(10)
    assert stream.getvalue() == "training: 10/10 steps, 0.25 steps/s\n"


def test_a_closed_stderr_does_not_end_the_work(monkeypatch, clock):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(sys, "stderr", Closed())
    done = []
    for item in track(range(3), "training"):
        clock.now += 40.0
        done.append(item)
    assert done == [0, 1, 2]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 00 s"), (3599, "59 min 59 s"), (7500, "2 h 05 min")],
)
def test_durations_are_readable(seconds, text):
    assert format_seconds(seconds) == text
