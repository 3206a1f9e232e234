"""Motion fields as colour: hue is the direction, saturation the speed (paper, Fig. 3).

A motion field holds (dy, dx) in pixels, from a pixel to where its value comes from
(docs/architecture.md, section 4): what moves, moves by its *negative*. Everything here
draws the motion, not the field: a ball that moves right is drawn in the colour that the wheel shows
on its right.
"""

import numpy as np

from trivd_tf.base.errors import InputError

# A field without motion would otherwise be stretched until its noise filled the wheel.
SMALLEST_FULL_SCALE = 0.25
_TYPICAL_LARGEST = 99.0  # percentile; single pixels must not dim all the others


def full_scale(flow: np.ndarray) -> float:
    """The speed, in pixels a frame, to draw at full colour: nearly the largest in `flow`."""
    speeds = np.linalg.norm(np.asarray(flow, np.float64), axis=-1)
    if speeds.size == 0:
        return SMALLEST_FULL_SCALE
    return max(float(np.percentile(speeds, _TYPICAL_LARGEST)), SMALLEST_FULL_SCALE)


def flow_to_color(flow: np.ndarray, *, largest: float | None = None) -> np.ndarray:
    """Draws the motion that a field means.

    Hue turns with the direction of motion: right is red (0 degrees), down yellow-green (90), left
    cyan (180), up violet (270). Saturation grows with the speed: white stands still.

    Args:
        flow: `[..., H, W, 2]`, (dy, dx) in pixels to the source, finite.
        largest: pixels a frame at full saturation, faster is drawn the same; None takes
            `full_scale(flow)`. Give one value to pictures that are to be compared.

    Returns:
        uint8 `[..., H, W, 3]`, RGB.

    Raises:
        InputError: `flow` does not end in two components, is not finite, or `largest` is not
            positive.
    """
    flow = np.asarray(flow, np.float64)
    if flow.ndim < 3 or flow.shape[-1] != 2:
        raise InputError(
            f"flow must be [..., height, width, 2] with (dy, dx) last; received {flow.shape}"
        )
    if not np.isfinite(flow).all():
        raise InputError("flow holds values that are not finite; draw only finite motion")
    if largest is None:
        largest = full_scale(flow)
    if not largest > 0:
        raise InputError(f"largest must be a positive number of pixels; received {largest!r}")
    down, right = -flow[..., 0], -flow[..., 1]
    # Turned off zero first: atan2 would tell -0.0 from 0.0 and flip the hue of still pixels.
    hue = np.arctan2(down + 0.0, right + 0.0) / (2 * np.pi) % 1.0
    saturation = np.minimum(np.hypot(down, right) / largest, 1.0)
    return _hsv_to_rgb(hue, saturation)


def _hsv_to_rgb(hue: np.ndarray, saturation: np.ndarray) -> np.ndarray:
    """HSV at full value; hue and saturation in [0, 1], any shape, to uint8 `[..., 3]`."""
    # Each channel falls from 1 to 1 - saturation as the hue leaves its own third of the circle.
    thirds = np.asarray([0.0, 1.0, 2.0]) / 3.0
    away = np.abs((hue[..., None] - thirds + 0.5) % 1.0 - 0.5) * 6.0
    pure = np.clip(2.0 - away, 0.0, 1.0)
    rgb = 1.0 - saturation[..., None] * (1.0 - pure)
    return np.round(rgb * 255.0).astype(np.uint8)


def color_wheel(size: int) -> np.ndarray:
    """The legend: the colour of each motion, drawn where that motion leads from the centre.

    Args:
        size: side in pixels, at least 8.

    Returns:
        uint8 `[size, size, 4]`, RGBA, transparent outside of the wheel; its rim is full scale.
    """
    if size < 8:
        raise InputError(f"a colour wheel needs at least 8 pixels; received size {size}")
    radius = size / 2.0
    offsets = (np.arange(size) + 0.5 - radius) / radius
    down, right = np.meshgrid(offsets, offsets, indexing="ij")
    color = flow_to_color(np.stack([-down, -right], axis=-1), largest=1.0)
    distance = np.hypot(down, right)
    opacity = np.clip((1.0 - distance) * radius, 0.0, 1.0)
    return np.dstack([color, np.round(opacity * 255.0).astype(np.uint8)])


def overlay(frames: np.ndarray, flow: np.ndarray, *, largest: float | None = None) -> np.ndarray:
    """Lays the motion's colours over the frames; what stands still keeps its look.

    Args:
        frames: uint8 `[..., H, W, 3]`.
        flow: `[..., H, W, 2]`, (dy, dx) in pixels to the source.
        largest: as in `flow_to_color`.

    Returns:
        uint8 `[..., H, W, 3]`: grey frames, tinted where something moves.
    """
    if largest is None:
        largest = full_scale(flow)
    color = flow_to_color(flow, largest=largest).astype(np.float64)
    grey = frames.astype(np.float64) @ np.asarray([0.299, 0.587, 0.114])
    # White is "no motion", so multiplying by it leaves the grey frame; a floor keeps dark areas
    # coloured too.
    tinted = (0.35 + 0.65 * grey[..., None] / 255.0) * color
    speed = np.linalg.norm(np.asarray(flow, np.float64), axis=-1)
    weight = np.minimum(speed / largest, 1.0)[..., None]
    return np.round((1 - weight) * frames + weight * tinted).astype(np.uint8)
