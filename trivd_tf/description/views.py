"""What each discriminator of a decomposition sees of a real clip (paper, Fig. 1)."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

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

# One colour a discriminator; captions name them too, so no picture depends on colour alone.
_COLORS = ((190, 24, 93), (180, 83, 9), (109, 40, 217), (15, 118, 110))
_MARGIN = 10


def pixels_seen(model: Discriminator, num_frames: int, size: int) -> int:
    """Pixels of one clip that a discriminator processes (paper, Sec. 3.1)."""
    side = size // (model.crop_factor * model.downsample_factor)
    return (model.num_sampled_frames or num_frames) * side * side


def views_sheet(
    experiment: Experiment, clip: np.ndarray, *, seed: int = 0, frame_side: int = 96
) -> np.ndarray:
    """Draws a clip, and below it each discriminator's view of it at the same scale.

    In the clip's row the frames that were given have a blue border, those that follow a green one;
    outlined in a discriminator's colour is the window that it crops. Every drawn frame of a view
    stands under the frame of the clip that it comes from.

    Args:
        experiment: whose discriminators.
        clip: uint8 `[Tc + T, S, S, 3]`.
        seed: of the crops and of the sampled frames.
        frame_side: side of a whole frame in the picture, in pixels.

    Returns:
        uint8 `[H, W, 3]`.
    """
    # Unbuilt: looking takes no weights.
    models = experiment.discriminators(
        num_conditioning_frames=experiment.clip.num_conditioning_frames
    )
    frames, size = clip.shape[:2]
    rows = [_View(model, clip, seed, index) for index, model in enumerate(models)]
    width = cell(frame_side)
    height = _MARGIN + (LINE + width) * (1 + len(rows)) + 2 * LINE + _MARGIN
    whole = frames * size * size
    captions = [row.caption(whole) for row in rows]
    total = sum(row.pixels for row in rows)
    last = f"together {total:,} pixels of the clip's {whole:,} ({total / whole:.0%})"
    top_caption = (
        f"{experiment.title}: {frames} frames of {size} x {size}, "
        f"{experiment.clip.num_conditioning_frames} given (blue), the rest real (green)"
    )
    widest = text_width([*captions, last, top_caption])
    canvas = Image.new("RGB", (max(frames * width, widest) + 2 * _MARGIN, height), PAPER)
    draw = ImageDraw.Draw(canvas)
    write(draw, (_MARGIN, _MARGIN), top_caption)
    _draw_clip(canvas, clip, experiment.clip.num_conditioning_frames, rows, frame_side)
    for index, (row, caption) in enumerate(zip(rows, captions, strict=True)):
        top = _MARGIN + (index + 1) * (LINE + width)
        write(draw, (_MARGIN, top), caption, row.color)
        for time, frame in zip(row.times, row.frames, strict=True):
            corner = (_MARGIN + time * width, top + LINE)
            _paste(canvas, frame, corner, row.color, round(frame_side * row.scale))
    write(draw, (_MARGIN, height - _MARGIN - LINE), last)
    return np.asarray(canvas)


class _View:
    """One discriminator's view of a clip, and where in the clip it comes from."""

    def __init__(self, model: Discriminator, clip: np.ndarray, seed: int, index: int) -> None:
        num_frames, size = clip.shape[:2]
        choices = model.draw(1, num_frames, size, as_seed([seed, index]))
        pixels = model.view(tf.cast(clip[None], tf.float32), choices)[0].numpy()
        self.model = model
        self.color = _COLORS[index % len(_COLORS)]
        self.frames = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
        self.times = choices["frames"][0].numpy() if "frames" in choices else range(num_frames)
        self.pixels = pixels_seen(model, num_frames, size)
        self.scale = self.frames.shape[1] / size
        self.corner = choices["corners"][0].numpy() if "corners" in choices else None
        self.window = size // model.crop_factor

    def caption(self, whole: int) -> str:
        count, side = self.frames.shape[:2]
        kind = "frame by frame" if self.model.num_sampled_frames else "as a video"
        how = ["a random crop"] * (self.model.crop_factor > 1)
        how += [f"averaged {self.model.downsample_factor} x {self.model.downsample_factor}"] * (
            self.model.downsample_factor > 1
        )
        details = ", ".join([kind, *how])
        return (
            f"{self.model.name}: {count} x {side} x {side} = {self.pixels:,} pixels "
            f"({self.pixels / whole:.0%}), {details}"
        )


def _draw_clip(
    canvas: Image.Image, clip: np.ndarray, given: int, rows: Sequence[_View], frame_side: int
) -> None:
    width = cell(frame_side)
    draw = ImageDraw.Draw(canvas)
    for time, frame in enumerate(clip):
        left, top = _MARGIN + time * width, _MARGIN + LINE
        _paste(canvas, frame, (left, top), GIVEN if time < given else REAL, frame_side)
        for row in rows:
            if row.corner is None or time not in row.times:
                continue
            scale = frame_side / clip.shape[1]
            y, x = (left_or_top * scale for left_or_top in row.corner)
            box = [left + BORDER + x, top + BORDER + y]
            box += [box[0] + row.window * scale - 1, box[1] + row.window * scale - 1]
            draw.rectangle(box, outline=row.color, width=2)


def _paste(
    canvas: Image.Image,
    frame: np.ndarray,
    corner: tuple[int, int],
    color: tuple[int, int, int],
    side: int,
) -> None:
    # Nearest neighbours: a view's own pixels stay visible.
    picture = Image.fromarray(frame).resize((side, side), Image.Resampling.NEAREST)
    paste(canvas, np.asarray(picture), corner, color)
