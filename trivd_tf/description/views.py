"""Views of a real clip by each discriminator of a decomposition (paper, Fig. 1)."""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

from trivd_tf.base.frame_size import FrameSize, height_width
from trivd_tf.experiment import Experiment
from trivd_tf.models import Discriminator
from trivd_tf.models.discriminators import as_seed
from trivd_tf.pictures.drawing import (
    BORDER,
    GIVEN,
    LINE,
    PAPER,
    REAL,
    cell,
    paste,
    text_width,
    write,
)

# One color per discriminator. Captions name them too, so no picture depends on color alone.
_COLORS = ((190, 24, 93), (180, 83, 9), (109, 40, 217), (15, 118, 110))
_MARGIN = 10


def pixels_seen(model: Discriminator, num_frames: int, size: FrameSize) -> int:
    """Return the pixels of one clip that a discriminator processes (paper, Sec. 3.1)."""
    height, width = (side // model.downsample_factor for side in model.window(*height_width(size)))
    return (model.num_sampled_frames or num_frames) * height * width


def views_sheet(
    experiment: Experiment, clip: np.ndarray, *, seed: int = 0, frame_side: int = 96
) -> np.ndarray:
    """Draw a clip, and below it each discriminator's view at the same scale.

    In the clip's row, conditioning frames have a blue border and the following frames a green one;
    a discriminator's crop window is outlined in its color. Each frame of a view is drawn below its
    frame in the clip.

    Args:
        experiment: experiment with the discriminators.
        clip: uint8 `[Tc + T, H, W, 3]`.
        seed: seed of the crops and sampled frames.
        frame_side: minimum side of a whole frame in the picture, in pixels.

    Returns:
        uint8 `[H, W, 3]`.
    """
    # Not built: views need no weights.
    models = experiment.discriminators(
        num_conditioning_frames=experiment.clip.num_conditioning_frames
    )
    frames, *size = clip.shape[:3]
    scale = frame_side / min(size)
    rows = [_View(model, clip, seed, index) for index, model in enumerate(models)]
    row_height, width = (cell(round(side * scale)) for side in size)
    height = _MARGIN + (LINE + row_height) * (1 + len(rows)) + 2 * LINE + _MARGIN
    whole = math.prod(clip.shape[:3])
    captions = [row.caption(whole) for row in rows]
    total = sum(row.pixels for row in rows)
    last = f"together {total:,} pixels of the clip's {whole:,} ({total / whole:.0%})"
    top_caption = (
        f"{experiment.title}: {frames} frames of {size[0]} x {size[1]}, "
        f"{experiment.clip.num_conditioning_frames} conditioning (blue), the rest real (green)"
    )
    widest = text_width([*captions, last, top_caption])
    canvas = Image.new("RGB", (max(frames * width, widest) + 2 * _MARGIN, height), PAPER)
    draw = ImageDraw.Draw(canvas)
    write(draw, (_MARGIN, _MARGIN), top_caption)
    _draw_clip(canvas, clip, experiment.clip.num_conditioning_frames, rows, scale)
    for index, (row, caption) in enumerate(zip(rows, captions, strict=True)):
        top = _MARGIN + (index + 1) * (LINE + row_height)
        write(draw, (_MARGIN, top), caption, row.color)
        for time, frame in zip(row.times, row.frames, strict=True):
            corner = (_MARGIN + time * width, top + LINE)
            _paste(canvas, frame, corner, row.color, scale)
    write(draw, (_MARGIN, height - _MARGIN - LINE), last)
    return np.asarray(canvas)


class _View:
    """One discriminator's view of a clip, and its location in the clip."""

    def __init__(self, model: Discriminator, clip: np.ndarray, seed: int, index: int) -> None:
        num_frames, height, width = clip.shape[:3]
        choices = model.draw(1, num_frames, (height, width), as_seed([seed, index]))
        pixels = model.view(tf.cast(clip[None], tf.float32), choices)[0].numpy()
        self.model = model
        self.color = _COLORS[index % len(_COLORS)]
        self.frames = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
        self.times = choices["frames"][0].numpy() if "frames" in choices else range(num_frames)
        self.pixels = pixels_seen(model, num_frames, (height, width))
        self.corner = choices["corners"][0].numpy() if "corners" in choices else None
        self.window = model.window(height, width)

    def caption(self, whole: int) -> str:
        count, height, width = self.frames.shape[:3]
        kind = "frame by frame" if self.model.num_sampled_frames else "as a video"
        how = ["a random crop"] * (self.model.crop_factor > 1)
        how += [f"averaged {self.model.downsample_factor} x {self.model.downsample_factor}"] * (
            self.model.downsample_factor > 1
        )
        details = ", ".join([kind, *how])
        return (
            f"{self.model.name}: {count} x {height} x {width} = {self.pixels:,} pixels "
            f"({self.pixels / whole:.0%}), {details}"
        )


def _draw_clip(
    canvas: Image.Image, clip: np.ndarray, given: int, rows: Sequence[_View], scale: float
) -> None:
    width = cell(round(clip.shape[2] * scale))
    draw = ImageDraw.Draw(canvas)
    for time, frame in enumerate(clip):
        left, top = _MARGIN + time * width, _MARGIN + LINE
        _paste(canvas, frame, (left, top), GIVEN if time < given else REAL, scale)
        for row in rows:
            if row.corner is None or time not in row.times:
                continue
            y, x = (left_or_top * scale for left_or_top in row.corner)
            box = [left + BORDER + x, top + BORDER + y]
            rows_high, columns_wide = row.window
            box += [box[0] + columns_wide * scale - 1, box[1] + rows_high * scale - 1]
            draw.rectangle(box, outline=row.color, width=2)


def _paste(
    canvas: Image.Image,
    frame: np.ndarray,
    corner: tuple[int, int],
    color: tuple[int, int, int],
    scale: float,
) -> None:
    height, width = (round(side * scale) for side in frame.shape[:2])
    # Nearest neighbor: the view's own pixels stay visible.
    picture = Image.fromarray(frame).resize((width, height), Image.Resampling.NEAREST)
    paste(canvas, np.asarray(picture), corner, color)
