"""Prediction sheets: conditioning frames, predictions, the real continuation and the motion.

Conditioning frames have a blue border, predicted frames an orange one, and real frames that the
model did not see a green one. Every row and column is labeled, so that no picture relies on color
alone.
"""

import dataclasses

import numpy as np
from PIL import Image, ImageDraw

from trivd_tf.base.errors import InputError
from trivd_tf.pictures import motion
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
from trivd_tf.pictures.video_io import check_frames, upscale

_WHEEL = 84


@dataclasses.dataclass(frozen=True)
class Prediction:
    """One clip's futures, for the figures.

    Attributes:
        conditioning: uint8 `[Tc, S, S, 3]`.
        futures: uint8 `[N, T, S, S, 3]`, N samples.
        continuation: uint8 `[n, S, S, 3]`, the real frames that follow, n >= 0; None if unknown.
        flow: `[N, T, S, S, 2]`, the motion field of each sample ((dy, dx) in pixels to the source),
            or None for a model without a motion field.
        labels: names of the futures; default to `sample 1`, ...
    """

    conditioning: np.ndarray
    futures: np.ndarray
    continuation: np.ndarray | None = None
    flow: np.ndarray | None = None
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_frames(self.conditioning)
        if self.futures.ndim != 5 or self.futures.shape[2:] != self.conditioning.shape[1:]:
            raise InputError(
                "futures must be [N, T, S, S, 3] of the conditioning frames' size "
                f"{self.conditioning.shape[1:]}; received {self.futures.shape}"
            )
        check_frames(self.futures.reshape(-1, *self.futures.shape[2:]))
        if self.labels and len(self.labels) != len(self.futures):
            raise InputError(f"{len(self.futures)} futures have {len(self.labels)} labels")
        if self.flow is not None and self.flow.shape != (*self.futures.shape[:-1], 2):
            raise InputError(
                f"flow must be {(*self.futures.shape[:-1], 2)}; received {self.flow.shape}"
            )

    @property
    def num_real(self) -> int:
        """Number of predicted frames that have a real frame to compare with."""
        return 0 if self.continuation is None else min(len(self.continuation), self.num_predicted)

    @property
    def num_predicted(self) -> int:
        return self.futures.shape[1]


@dataclasses.dataclass(frozen=True)
class _Strip:
    """A labeled row of frames (None: no frame at that time) with one border color each."""

    label: str
    frames: list[np.ndarray | None]
    colors: list[tuple[int, int, int]]


def _strips(prediction: Prediction, largest: float, motion_rows: int) -> list[_Strip]:
    """Returns the rows of a sheet: real frames, samples, motion of the first samples."""
    given = list(prediction.conditioning)
    colors = [GIVEN] * len(given)
    steps = prediction.num_predicted
    strips = []
    if prediction.num_real and prediction.continuation is not None:
        real: list[np.ndarray | None] = list(prediction.continuation[: prediction.num_real])
        real += [None] * (steps - len(real))
        strips.append(_Strip("real", given + real, colors + [REAL] * steps))
    for index, future in enumerate(prediction.futures):
        name = "predicted" if len(prediction.futures) == 1 else f"sample {index + 1}"
        name = prediction.labels[index] if prediction.labels else name
        strips.append(_Strip(name, given + list(future), colors + [PREDICTED] * steps))
    if prediction.flow is not None:
        empty: list[np.ndarray | None] = [None] * len(given)
        for index, flow in enumerate(prediction.flow[:motion_rows]):
            name = "motion" if len(prediction.futures) == 1 else f"motion {index + 1}"
            drawn = list(motion.flow_to_color(flow, largest=largest))
            strips.append(_Strip(name, empty + drawn, colors + [PREDICTED] * steps))
    return strips


def contact_sheet(
    prediction: Prediction,
    *,
    frame_side: int = 96,
    max_columns: int = 24,
    motion_rows: int = 1,
    method: str = "bicubic",
) -> np.ndarray:
    """Draws frames over time, conditioning | predicted, with rows for real, samples and motion.

    Args:
        prediction: the prediction to draw.
        frame_side: minimum of the smallest side of a drawn frame, in pixels (the enlargement is a
            whole factor).
        max_columns: if there are more frames, only every k-th predicted frame is drawn; columns
            are numbered by frame, starting at 1 for the first predicted frame.
        motion_rows: number of samples whose motion is drawn.
        method: interpolation for enlarging frames, `nearest` or `bicubic`.

    Returns:
        uint8 `[H, W, 3]`.
    """
    largest = _scale(prediction)
    strips = _strips(prediction, largest, motion_rows)
    count, steps = len(prediction.conditioning), prediction.num_predicted
    stride = max(1, -(-steps // max(1, max_columns - count)))
    columns = [*range(count), *range(count + stride - 1, count + steps, stride)]
    side = upscale(prediction.conditioning[:1], smallest_side=frame_side, method=method).shape[1:3]
    cell_height, cell_width = map(cell, side)
    label_width = text_width([strip.label for strip in strips]) + 2 * GAP
    divider = 4 * GAP  # between conditioning and predicted frames

    def left(column: int) -> int:
        return label_width + column * cell_width + (divider if column >= count else 0)

    legend = _WHEEL + 2 * GAP if prediction.flow is not None else 0
    height = 2 * LINE + len(strips) * cell_height + legend
    width = left(len(columns)) + GAP
    canvas = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(canvas)
    write(draw, (left(0), 2), "conditioning", GIVEN)
    after = left(0) + text_width(["conditioning"]) + GAP  # few narrow columns leave less room
    write(draw, (max(left(count), after), 2), "predicted", PREDICTED)
    for column, time in enumerate(columns):
        number = time - count if time < count else time - count + 1
        write(draw, (left(column) + BORDER, LINE), f"{number:+d}", INK)
    for row, strip in enumerate(strips):
        top = 2 * LINE + row * cell_height
        write(draw, (GAP, top + (cell_height - LINE) // 2), strip.label, INK)
        for column, time in enumerate(columns):
            frame = strip.frames[time]
            if frame is not None:
                _paste(canvas, frame, (left(column), top), strip.colors[time], frame_side, method)
    middle = left(count) - divider // 2 - GAP // 2
    draw.line([(middle, 4), (middle, height - legend - GAP)], fill=INK, width=2)
    if legend:
        _draw_legend(canvas, (label_width, height - legend + GAP), largest)
    return np.asarray(canvas)


def animation(
    prediction: Prediction,
    *,
    frame_side: int = 192,
    max_columns: int = 4,
    motion_panels: int = 1,
    method: str = "bicubic",
) -> np.ndarray:
    """Animates the rows of `contact_sheet` as panels side by side, conditioning frames first.

    Borders and captions change from blue "conditioning" to orange "predicted" (green "real").

    Args:
        prediction: the prediction to draw.
        frame_side: minimum of the smallest side of a panel's frame, in pixels.
        max_columns: number of panels per row.
        motion_panels: number of samples whose motion is drawn.
        method: interpolation for enlarging frames, `nearest` or `bicubic`.

    Returns:
        uint8 `[Tc + T, H, W, 3]`, even sides.
    """
    largest = _scale(prediction)
    strips = _strips(prediction, largest, motion_panels)
    times = len(strips[0].frames)
    side = upscale(prediction.conditioning[:1], smallest_side=frame_side, method=method).shape[1:3]
    cell_height, cell_width = map(cell, side)
    cell_height += LINE
    columns = min(max_columns, len(strips))
    rows = -(-len(strips) // columns)
    legend = _WHEEL + 2 * GAP if prediction.flow is not None else 0
    width = max(columns * cell_width + GAP, _legend_width(largest) if legend else 0)
    height = rows * cell_height + GAP + legend
    images = []
    for time in range(times):
        canvas = Image.new("RGB", (width + width % 2, height + height % 2), PAPER)
        draw = ImageDraw.Draw(canvas)
        for index, strip in enumerate(strips):
            top = GAP + index // columns * cell_height
            left = GAP + index % columns * cell_width
            caption, color = _caption(strip, time, len(prediction.conditioning))
            write(draw, (left, top), caption, color)
            frame = strip.frames[time]
            if frame is not None:
                _paste(canvas, frame, (left, top + LINE), color, frame_side, method)
        if legend:
            _draw_legend(canvas, (GAP, height - legend + GAP), largest)
        images.append(np.asarray(canvas))
    return np.stack(images)


def motion_sheet(prediction: Prediction, *, sample: int = 0, frame_side: int = 96) -> np.ndarray:
    """Draws a sample's predicted frames above their motion, with the color wheel (paper, Fig. 3).

    Raises:
        InputError: the model has no motion field.
    """
    if prediction.flow is None:
        raise InputError("this model has no motion field: its recurrent unit does not warp")
    only = Prediction(
        conditioning=prediction.conditioning,
        futures=prediction.futures[sample : sample + 1],
        flow=prediction.flow[sample : sample + 1],
    )
    return contact_sheet(only, frame_side=frame_side)


def _caption(strip: _Strip, time: int, count: int) -> tuple[str, tuple[int, int, int]]:
    if strip.frames[time] is None:
        return strip.label, INK
    if time < count:
        return f"{strip.label}: conditioning", strip.colors[time]
    number = time - count + 1
    if strip.label == "real" or strip.label == "predicted":
        return f"{strip.label} +{number}", strip.colors[time]
    if strip.label.startswith("motion"):
        return f"{strip.label}: +{number}", strip.colors[time]
    return f"{strip.label}: predicted +{number}", strip.colors[time]


def _scale(prediction: Prediction) -> float:
    return 0.0 if prediction.flow is None else motion.full_scale(prediction.flow)


def _paste(
    canvas: Image.Image,
    frame: np.ndarray,
    corner: tuple[int, int],
    color: tuple[int, int, int],
    frame_side: int,
    method: str,
) -> None:
    """Draws one enlarged frame with its border onto the canvas."""
    paste(canvas, upscale(frame[None], smallest_side=frame_side, method=method)[0], corner, color)


def _legend_lines(largest: float) -> list[str]:
    return [
        "motion: hue is where things move to,",
        "saturation how fast; white stands still.",
        f"rim: {largest:.2g} pixels a frame or more",
    ]


def _legend_width(largest: float) -> int:
    return _WHEEL + 4 * GAP + text_width(_legend_lines(largest))


def _draw_legend(canvas: Image.Image, corner: tuple[int, int], largest: float) -> None:
    wheel = Image.fromarray(motion.color_wheel(_WHEEL))
    canvas.paste(wheel, corner, wheel)
    draw = ImageDraw.Draw(canvas)
    for line, text in enumerate(_legend_lines(largest)):
        write(draw, (corner[0] + _WHEEL + 2 * GAP, corner[1] + 8 + line * LINE), text, INK)
