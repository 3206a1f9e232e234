"""Draws motion fields in color: hue is the direction, saturation the speed (paper, Fig. 3).

A motion field holds (dy, dx) in pixels from each pixel to the source of its value
(docs/architecture.md, section 4): content moves by the *negative* of the field. This module draws
the motion, not the field: a ball that moves right has the color on the right side of the wheel.
"""

import numpy as np

from trivd_tf.base.errors import InputError

# Otherwise the noise of a field without motion would be scaled to full saturation.
SMALLEST_FULL_SCALE = 0.25
_TYPICAL_LARGEST = 99.0  # percentile, so that single pixels do not dim all others


def full_scale(flow: np.ndarray) -> float:
    """Returns the speed at full saturation, in pixels per frame: nearly the largest in `flow`."""
    speeds = np.linalg.norm(np.asarray(flow, np.float64), axis=-1)
    if speeds.size == 0:
        return SMALLEST_FULL_SCALE
    return max(float(np.percentile(speeds, _TYPICAL_LARGEST)), SMALLEST_FULL_SCALE)


def flow_to_color(flow: np.ndarray, *, largest: float | None = None) -> np.ndarray:
    """Draws the motion of a motion field.

    Hue shows the direction of motion: right is red (0 degrees), down yellow-green (90), left cyan
    (180), up violet (270). Saturation grows with the speed: white means no motion.

    Args:
        flow: `[..., H, W, 2]`, (dy, dx) in pixels to the source, finite.
        largest: speed at full saturation in pixels per frame, also used for faster motion;
            defaults to `full_scale(flow)`. Use the same value for pictures to be compared.

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
    # Adding 0.0 removes -0.0, for which atan2 would flip the hue of still pixels.
    hue = np.arctan2(down + 0.0, right + 0.0) / (2 * np.pi) % 1.0
    saturation = np.minimum(np.hypot(down, right) / largest, 1.0)
    return _hsv_to_rgb(hue, saturation)


def _hsv_to_rgb(hue: np.ndarray, saturation: np.ndarray) -> np.ndarray:
    """Converts HSV at full value, hue and saturation in [0, 1], to uint8 RGB `[..., 3]`."""
    # Each channel falls from 1 to 1 - saturation as the hue leaves its own third of the circle.
    thirds = np.asarray([0.0, 1.0, 2.0]) / 3.0
    away = np.abs((hue[..., None] - thirds + 0.5) % 1.0 - 0.5) * 6.0
    pure = np.clip(2.0 - away, 0.0, 1.0)
    rgb = 1.0 - saturation[..., None] * (1.0 - pure)
    return np.round(rgb * 255.0).astype(np.uint8)


def color_wheel(size: int) -> np.ndarray:
    """Draws the legend: each color is placed in its direction of motion from the center.

    Args:
        size: side in pixels, at least 8.

    Returns:
        uint8 `[size, size, 4]`, RGBA, transparent outside the wheel; its rim is full scale.
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
    """Overlays frames with the colors of their motion; still regions are not tinted.

    Args:
        frames: uint8 `[..., H, W, 3]`.
        flow: `[..., H, W, 2]`, (dy, dx) in pixels to the source.
        largest: as in `flow_to_color`.

    Returns:
        uint8 `[..., H, W, 3]`: gray frames, tinted in regions that move.
    """
    if largest is None:
        largest = full_scale(flow)
    color = flow_to_color(flow, largest=largest).astype(np.float64)
    grey = frames.astype(np.float64) @ np.asarray([0.299, 0.587, 0.114])
    # White is "no motion", so multiplying by it leaves the gray frame; a minimum brightness colors
    # dark areas too.
    tinted = (0.35 + 0.65 * grey[..., None] / 255.0) * color
    speed = np.linalg.norm(np.asarray(flow, np.float64), axis=-1)
    weight = np.minimum(speed / largest, 1.0)[..., None]
    return np.round((1 - weight) * frames + weight * tinted).astype(np.uint8)
