"""The same clips continued by each compared model, side by side (paper, appendix D.1)."""

import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from trivd_tf.inference.figures import GIVEN, PREDICTED, REAL
from trivd_tf.inference.video_io import upscale, write_gif, write_mp4, write_png

_INK, _PAPER = (30, 30, 30), (255, 255, 255)
_LINE, _GAP, _BORDER, _FONT_SIZE = 22, 4, 3, 15
_FRAME_RATE = 6.0


def side_by_side(
    real: np.ndarray, predicted: dict[str, np.ndarray], *, frame_side: int = 96
) -> np.ndarray:
    """An animation: a row a clip, a column for what really happened and for each model.

    Args:
        real: uint8 `[N, Tc + T, S, S, 3]`.
        predicted: by title, uint8 `[N, T, S, S, 3]`.
        frame_side: side of a drawn frame in pixels, at least.

    Returns:
        uint8 `[Tc + T, H, W, 3]`; borders are blue while frames are given, then green (real) and
        orange (predicted).
    """
    given = real.shape[1] - next(iter(predicted.values())).shape[1]
    columns = {"real": real}
    for title, frames in predicted.items():
        columns[title] = np.concatenate([real[:, :given], frames], axis=1)
    cell = _cell(real, frame_side)
    widths = [max(cell, _width(title) + 2 * _GAP) for title in columns]
    height = 2 * _LINE + len(real) * cell
    pictures = []
    for time in range(real.shape[1]):
        canvas = Image.new("RGB", (sum(widths) + _GAP, height), _PAPER)
        draw = ImageDraw.Draw(canvas)
        said = f"given, frame {time + 1}" if time < given else f"frame +{time - given + 1}"
        _text(draw, (_GAP, 2), said, GIVEN if time < given else _INK)
        left = _GAP
        for (title, videos), width in zip(columns.items(), widths, strict=True):
            color = GIVEN if time < given else (REAL if title == "real" else PREDICTED)
            _text(draw, (left, _LINE), title, color)
            for row, video in enumerate(videos):
                _paste(canvas, video[time], (left, 2 * _LINE + row * cell), color, frame_side)
            left += width
        pictures.append(np.asarray(canvas))
    return np.stack(pictures)


def side_by_side_sheet(
    real: np.ndarray, predicted: dict[str, np.ndarray], *, frame_side: int = 64, clips: int = 2
) -> np.ndarray:
    """The same as one picture: for each of some clips a row of frames for real and each model."""
    given = real.shape[1] - next(iter(predicted.values())).shape[1]
    cell = _cell(real, frame_side)
    times = [given - 1, *range(given, real.shape[1])]
    label = max(_width(title) for title in ["real", *predicted]) + 2 * _GAP
    rows = len(predicted) + 1
    count = min(clips, len(real))
    block = rows * cell + 2 * _GAP
    canvas = Image.new("RGB", (label + len(times) * cell + _GAP, _LINE + count * block), _PAPER)
    draw = ImageDraw.Draw(canvas)
    for column, time in enumerate(times):
        text = "given" if time < given else f"+{time - given + 1}"
        _text(draw, (label + column * cell + _BORDER, 0), text, GIVEN if time < given else _INK)
    for number in range(count):
        for row, (title, video) in enumerate({"real": real, **predicted}.items()):
            top = _LINE + number * block + row * cell
            _text(draw, (_GAP, top + (cell - _LINE) // 2), title, _INK)
            offset = 0 if title == "real" else given
            for column, time in enumerate(times):
                frame = real[number, time] if time < given else video[number, time - offset]
                color = GIVEN if time < given else (REAL if title == "real" else PREDICTED)
                _paste(canvas, frame, (label + column * cell, top), color, frame_side)
    return np.asarray(canvas)


def save_videos(
    real: np.ndarray, predicted: dict[str, np.ndarray], directory: pathlib.Path
) -> None:
    """Writes `side_by_side.gif`, `.mp4` and `.png`."""
    frames = side_by_side(real, predicted)
    write_gif(directory / "side_by_side.gif", frames, frame_rate=_FRAME_RATE)
    write_mp4(directory / "side_by_side.mp4", frames, frame_rate=_FRAME_RATE)
    write_png(directory / "side_by_side.png", side_by_side_sheet(real, predicted))


def _side(frames: np.ndarray, frame_side: int) -> int:
    # Whole enlargement, as `upscale` does.
    size = frames.shape[-2]
    return size * max(1, -(-frame_side // size))


def _cell(frames: np.ndarray, frame_side: int) -> int:
    return _side(frames, frame_side) + 2 * _BORDER + _GAP


def _paste(
    canvas: Image.Image,
    frame: np.ndarray,
    corner: tuple[int, int],
    color: tuple[int, int, int],
    frame_side: int,
) -> None:
    picture = Image.fromarray(upscale(frame[None], smallest_side=frame_side, method="nearest")[0])
    framed = Image.new("RGB", (picture.width + 2 * _BORDER, picture.height + 2 * _BORDER), color)
    framed.paste(picture, (_BORDER, _BORDER))
    canvas.paste(framed, corner)


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(_FONT_SIZE)


def _width(text: str) -> int:
    return int(_font().getbbox(text)[2]) + 1


def _text(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, color: tuple[int, int, int]
) -> None:
    draw.text(corner, text, fill=color, font=_font())
