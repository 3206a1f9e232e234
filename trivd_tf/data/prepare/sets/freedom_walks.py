"""First-person walks through the maps of Freedoom, recorded with ViZDoom, without a download.

The seed determines every frame. Training and test walks differ in seeds and maps. ViZDoom (MIT) and
Freedoom (BSD-3-Clause) are included in the Python package `vizdoom`.
"""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.base.frame_size import FrameSize, height_width
from trivd_tf.data.clips import require_integer
from trivd_tf.data.prepare.plan import Item, Job, Plan
from trivd_tf.data.prepare.sets import freedom_engine
from trivd_tf.data.prepare.videos import Result, Video

# Twelve clips of 16 frames.
WALK_FRAMES = 192
_TEST_SHARE = 5  # one walk in this many is for testing
_MAPS = tuple(f"map{number:02d}" for number in range(1, 31))
TEST_MAPS = _MAPS[4::5]
TRAIN_MAPS = tuple(name for name in _MAPS if name not in TEST_MAPS)
_SPLIT_SEEDS = {"train": 0, "test": 1}
_BLOCK = 16
_STILL = 1.0  # of 255; a block whose consecutive frames differ less on average shows no motion
_LARGEST = 480


def plan_freedom_walks(*, frames: int, rate: float, seed: int, size: FrameSize) -> Plan:
    """Plans walks of 192 frames, one in five of them for testing.

    Args:
      frames: approximate total number of frames.
      rate: frames per second of game time: 35 divided by a whole number.
      seed: seed of all walks.
      size: side of the frames.
    """
    require_integer("prepare", "frames", frames, 2 * WALK_FRAMES)
    require_integer("prepare", "seed", seed, 0)
    if not isinstance(size, int) or size > _LARGEST:
        raise InputError(
            f"freedom_walks has square frames of at most {_LARGEST} pixels; received {size}"
        )
    tics = tics_of(rate)
    with _Engine(size):
        pass  # Report any problem of starting the engine before anything is written.
    walks = -(-frames // WALK_FRAMES)
    counts = {"test": max(walks // _TEST_SHARE, 1)}
    counts["train"] = walks - counts["test"]
    return Plan(
        name="freedom_walks",
        reader="freedom_walks",
        reader_options={"tics": tics, "seed": seed},
        root="Freedoom",
        splits={
            split: [_item(split, number, maps) for number in range(counts[split])]
            for split, maps in (("train", TRAIN_MAPS), ("test", TEST_MAPS))
        },
        description="First-person walks through Freedoom's maps, recorded with ViZDoom.",
    )


def tics_of(rate: float) -> int:
    """Returns the tics of game time from frame to frame.

    Raises:
      InputError: the engine's 35 tics per second are not a multiple of the rate.
    """
    tics = round(freedom_engine.TICS_PER_SECOND / rate) if rate > 0 else 0
    if tics < 1 or abs(freedom_engine.TICS_PER_SECOND / tics - rate) > 0.01 * rate:
        choices = ", ".join(f"{freedom_engine.TICS_PER_SECOND / n:g}" for n in range(1, 8))
        raise InputError(
            f"freedom_walks records at 35 frames a second over a whole number; received "
            f"--rate {rate:g}: choose one of {choices}"
        )
    return tics


def _item(split: str, number: int, maps: Sequence[str]) -> Item:
    name = maps[number % len(maps)]
    return Item(f"{split}_{number:06d}_{name}", f"{split}/{name}", record=number)


def read_freedom_walks(job: Job, items: Sequence[Item]) -> Iterator[tuple[Item, Result]]:
    """Records one walk per item."""
    tics, seed = job.reader_options["tics"], job.reader_options["seed"]
    with _Engine(height_width(job.size)[0]) as engine:
        for item in items:
            split, name = item.source.split("/")
            frames = engine.walk(
                map_name=name,
                seed=[seed, _SPLIT_SEEDS[split], item.record],
                frames=WALK_FRAMES,
                tics=tics,
            )
            yield item, check_moving(frames, freedom_engine.TICS_PER_SECOND / tics)


def check_moving(frames: np.ndarray, rate: float) -> Result:
    """Returns a recording, or an error if it ended early or stands still for a clip's length."""
    if len(frames) < WALK_FRAMES:
        return InputError(f"the level ended after {len(frames)} frames")
    changes = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    for first in range(0, len(changes) - _BLOCK + 2, _BLOCK):
        change = changes[first : first + _BLOCK - 1].mean()
        if change < _STILL:
            return InputError(
                f"stands still: frames {first} to {first + _BLOCK - 1} change by {change:.2f} of "
                "255"
            )
    return Video(frames, rate)


class _Engine:
    """The engine in a separate process, in a writable folder."""

    def __init__(self, size: int):
        self._size = size
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "_Engine":
        if importlib.util.find_spec("vizdoom") is None:
            raise InputError("freedom_walks needs ViZDoom; pip install 'trivd-tf[vizdoom]'")
        # In a folder that is not writable, the engine ends with a segmentation fault. It opens
        # windows and sound devices unless it is configured otherwise.
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        quiet = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"}
        self._errors = self._stack.enter_context(tempfile.TemporaryFile())
        self._process = subprocess.Popen(
            [sys.executable, freedom_engine.__file__, str(self._size)],
            cwd=folder,
            env={**os.environ, **quiet},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._stack.callback(self._end)
        try:
            self._line()
        except RunError as error:
            self._stack.close()
            raise InputError(str(error)) from error
        return self

    def __exit__(self, *_: Any) -> None:
        self._stack.close()

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def walk(self, **request: Any) -> np.ndarray:
        """Records one walk, uint8 `[N, size, size, 3]`."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # a dead process is detected by its missing response
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        count = json.loads(self._line())["frames"]
        shape = (count, self._size, self._size, 3)
        return np.frombuffer(self._read(int(np.prod(shape))), np.uint8).reshape(shape)

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._death()
        return line

    def _read(self, size: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(size)
        if len(data) < size:
            raise self._death()
        return data

    def _death(self) -> RunError:
        """Returns an error that states in one line why the process ended."""
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines() or ["no message"]
        reason = f"exit status {code}: {lines[-1][:200]}"
        if code < 0:
            reason = signal.Signals(-code).name
        advice = "; the engine needs shared memory: make /dev/shm writable, 16 MB or larger"
        shared = code == -signal.SIGBUS or "message queue" in reason or "hared" in reason
        return RunError(f"ViZDoom's engine ended ({reason}){advice if shared else ''}")
