"""Drawing functions shared by all pictures: colors, text, frames with a colored border."""

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]

# Border colors; labels and captions repeat their meaning, so that no picture relies on color alone.
GIVEN: Color = (37, 99, 235)
PREDICTED: Color = (234, 88, 12)
REAL: Color = (22, 130, 60)
INK: Color = (30, 30, 30)
PAPER: Color = (255, 255, 255)

LINE = 22  # height of a line of text
BORDER = 3
GAP = 4
_FONT_SIZE = 15


def write(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, color: Color = INK
) -> None:
    """Draws one line of text."""
    draw.text(corner, text, fill=color, font=_font())


def text_width(texts: Iterable[str]) -> int:
    """Returns the width of the widest line, in pixels."""
    return int(max(_font().getbbox(text)[2] for text in texts)) + 1


def cell(side: int) -> int:
    """Returns the space of a frame with that side, including its border and the following gap."""
    return side + 2 * BORDER + GAP


def paste(canvas: Image.Image, frame: np.ndarray, corner: tuple[int, int], color: Color) -> None:
    """Draws a frame, uint8 `[H, W, 3]`, with its border onto the canvas."""
    height, width = frame.shape[:2]
    framed = np.empty((height + 2 * BORDER, width + 2 * BORDER, 3), np.uint8)
    framed[...] = color
    framed[BORDER:-BORDER, BORDER:-BORDER] = frame
    canvas.paste(Image.fromarray(framed), corner)


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(_FONT_SIZE)
