"""Draws a contact sheet of videos: some frames of each, as the model's input."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from trivd_tf.pictures.drawing import BORDER, GAP, GIVEN, INK, LINE, PAPER, paste, text_width, write
from trivd_tf.pictures.video_io import upscale

_SIDE = 96  # smaller frames are enlarged by a whole factor
_WIDEST = 1600


def inspection_sheet(rows: Sequence[tuple[str, np.ndarray | None]]) -> np.ndarray:
    """Draws one row of frames for each video, below its description.

    Args:
      rows: description and frames, uint8 `[n, H, W, 3]`, or None without frames.

    Returns:
      uint8 `[H, W, 3]`, at most 1,600 pixels wide if the frames permit; long lines are wrapped.
    """
    shown = [
        (text, None if frames is None else upscale(frames, smallest_side=_SIDE))
        for text, frames in rows
    ]
    strips = [
        len(frames) * (frames.shape[2] + 2 * BORDER + GAP)
        for _, frames in shown
        if frames is not None
    ]
    width = max([_WIDEST // 2, *strips]) + 2 * GAP
    lines = [_broken(text, width - 2 * GAP) for text, _ in shown]
    heights = [
        len(text) * LINE + (0 if frames is None else frames.shape[1] + 2 * BORDER) + 3 * GAP
        for text, (_, frames) in zip(lines, shown, strict=True)
    ]
    canvas = Image.new("RGB", (width, sum(heights) + GAP), PAPER)
    draw = ImageDraw.Draw(canvas)
    top = GAP
    for text, (_, frames), height in zip(lines, shown, heights, strict=True):
        for number, line in enumerate(text):
            write(draw, (GAP, top + number * LINE), line, INK)
        if frames is not None:
            for number, frame in enumerate(frames):
                left = GAP + number * (frame.shape[1] + 2 * BORDER + GAP)
                paste(canvas, frame, (left, top + len(text) * LINE), GIVEN)
        top += height
    return np.asarray(canvas)


def _broken(text: str, width: int) -> list[str]:
    """Wraps a line at word boundaries to `width` pixels."""
    rows = [""]
    for word in text.split():
        longer = f"{rows[-1]} {word}".strip()
        if rows[-1] and text_width([longer]) > width:
            rows.append(word)
        else:
            rows[-1] = longer
    return rows
