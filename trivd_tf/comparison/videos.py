"""Side-by-side continuations of the same clips by each compared model (paper, appendix D.1)."""

import pathlib

import numpy as np
from PIL import Image, ImageDraw

from trivd_tf.pictures.drawing import (
    BORDER,
    GAP,
    GIVEN,
    INK,
    LINE,
    PAPER,
    PREDICTED,
    REAL,
    cell,
    paste,
    text_width,
    write,
)
from trivd_tf.pictures.video_io import upscale, write_gif, write_mp4, write_png

_FRAME_RATE = 6.0


def side_by_side(
    real: np.ndarray, predicted: dict[str, np.ndarray], *, frame_side: int = 96
) -> np.ndarray:
    """Return an animation with a row per clip and a column for the real video and each model.

    Args:
        real: uint8 `[N, Tc + T, S, S, 3]`.
        predicted: uint8 `[N, T, S, S, 3]` by title.
        frame_side: minimum side of a drawn frame in pixels.

    Returns:
        uint8 `[Tc + T, H, W, 3]`; borders are blue in conditioning frames, then green (real) and
        orange (predicted).
    """
    given = real.shape[1] - next(iter(predicted.values())).shape[1]
    columns = {"real": real}
    for title, frames in predicted.items():
        columns[title] = np.concatenate([real[:, :given], frames], axis=1)
    side, across = _cell(real, frame_side)
    widths = [max(across, text_width([title]) + 2 * GAP) for title in columns]
    height = 2 * LINE + len(real) * side
    pictures = []
    for time in range(real.shape[1]):
        canvas = Image.new("RGB", (sum(widths) + GAP, height), PAPER)
        draw = ImageDraw.Draw(canvas)
        said = f"conditioning frame {time + 1}" if time < given else f"frame +{time - given + 1}"
        write(draw, (GAP, 2), said, GIVEN if time < given else INK)
        left = GAP
        for (title, videos), width in zip(columns.items(), widths, strict=True):
            color = GIVEN if time < given else (REAL if title == "real" else PREDICTED)
            write(draw, (left, LINE), title, color)
            for row, video in enumerate(videos):
                _paste(canvas, video[time], (left, 2 * LINE + row * side), color, frame_side)
            left += width
        pictures.append(np.asarray(canvas))
    return np.stack(pictures)


def side_by_side_sheet(
    real: np.ndarray, predicted: dict[str, np.ndarray], *, frame_side: int = 64, clips: int = 2
) -> np.ndarray:
    """Return `side_by_side` as one picture: per clip, a row of frames for real and each model."""
    given = real.shape[1] - next(iter(predicted.values())).shape[1]
    side, across = _cell(real, frame_side)
    times = [given - 1, *range(given, real.shape[1])]
    label = text_width(["real", *predicted]) + 2 * GAP
    rows = len(predicted) + 1
    count = min(clips, len(real))
    block = rows * side + 2 * GAP
    canvas = Image.new("RGB", (label + len(times) * across + GAP, LINE + count * block), PAPER)
    draw = ImageDraw.Draw(canvas)
    for column, time in enumerate(times):
        text = "-1" if time < given else f"+{time - given + 1}"
        write(draw, (label + column * across + BORDER, 0), text, GIVEN if time < given else INK)
    for number in range(count):
        for row, (title, video) in enumerate({"real": real, **predicted}.items()):
            top = LINE + number * block + row * side
            write(draw, (GAP, top + (side - LINE) // 2), title, INK)
            offset = 0 if title == "real" else given
            for column, time in enumerate(times):
                frame = real[number, time] if time < given else video[number, time - offset]
                color = GIVEN if time < given else (REAL if title == "real" else PREDICTED)
                _paste(canvas, frame, (label + column * across, top), color, frame_side)
    return np.asarray(canvas)


def save_videos(
    real: np.ndarray, predicted: dict[str, np.ndarray], directory: pathlib.Path
) -> None:
    """Write `side_by_side.gif`, `.mp4` and `.png`."""
    frames = side_by_side(real, predicted)
    write_gif(directory / "side_by_side.gif", frames, frame_rate=_FRAME_RATE)
    write_mp4(directory / "side_by_side.mp4", frames, frame_rate=_FRAME_RATE)
    write_png(directory / "side_by_side.png", side_by_side_sheet(real, predicted))


def _cell(frames: np.ndarray, frame_side: int) -> tuple[int, int]:
    """Return height and width of a drawn frame."""
    height, width = frames.shape[-3:-1]
    # Integer enlargement, as in `upscale`.
    factor = max(1, -(-frame_side // min(height, width)))
    return cell(height * factor), cell(width * factor)


def _paste(
    canvas: Image.Image,
    frame: np.ndarray,
    corner: tuple[int, int],
    color: tuple[int, int, int],
    frame_side: int,
) -> None:
    paste(canvas, upscale(frame[None], smallest_side=frame_side)[0], corner, color)
