"""The ffmpeg program as an independent reader; where it is missing, its tests are skipped."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="the ffmpeg program is not installed: not compared"
)

# How frames are scaled here: without these, ffmpeg's own default is faster and less exact.
SCALE = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"


def run_ffmpeg(*arguments: object) -> bytes:
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert not done.returncode, f"{done.returncode}: {done.stderr.decode()}"
    return done.stdout


def ffmpeg_frames(
    path: Path, height: int, width: int, *, filters: str = "", decoder: str | None = None
) -> np.ndarray:
    """uint8 `[N, height, width, 3]` as ffmpeg shows the file (it turns frames by itself)."""
    scale = f"scale={width}:{height}:flags={SCALE},format=rgb24"
    raw = run_ffmpeg(
        *(["-c:v", decoder] if decoder else []),
        *["-i", path, "-an", "-vsync", "passthrough"],
        *["-vf", ",".join(part for part in (filters, scale) if part)],
        *["-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
    )
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def largest_difference(ours: np.ndarray, theirs: np.ndarray) -> int:
    assert ours.shape == theirs.shape
    return int(np.abs(ours.astype(int) - theirs).max())
