"""Converts decoded frames to 8-bit RGB: resizing, compositing over black, HDR tone mapping."""

import functools
import struct

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import ColorTrc, Interpolation, VideoReformatter

from trivd_tf.data.files.orientation import side_data

# Bicubic widens its support when downscaling, so it is antialiased. Full chroma and accurate
# rounding have no measurable cost at these sizes and bring it within 1.3 gray levels of Pillow's
# antialiased bicubic filter; "bit exact" makes the pixels identical on every processor.
_FILTER = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)

# Background of transparent pixels, for all containers.
BACKGROUND = (0, 0, 0)

_HDR = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}
_WHITE = 203.0  # cd/m2 of diffuse white in HDR (ITU-R BT.2408-7, table 1)
_DEFAULT_PEAK = 1000.0  # cd/m2: nominal peak of HLG, and the grading of most PQ videos
_KNEE = 0.3  # fraction of diffuse white; darker light is unchanged
_DISPLAY_GAMMA = 2.4  # gamma of a standard display (ITU-R BT.1886)
# Linear light, BT.2020 to BT.709 primaries (ITU-R BT.2087-0, 5.2, inverted and rounded there).
_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)  # weights of BT.2020


def transfer_name(transfer: int) -> str:
    """Returns "PQ" or "HLG" for a high dynamic range transfer, else ""."""
    return _HDR.get(int(transfer), "")


class RgbConverter:
    """Converts libav's frames to RGB; one instance per video, with its tables and HDR peak."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._peak: float | None = None
        self._opaque = False  # whether the last checked frame was opaque

    def __call__(
        self, frame: av.VideoFrame, height: int, width: int, *, stays_opaque: bool = False
    ) -> np.ndarray:
        """Converts the next frame.

        Args:
          frame: the decoded frame.
          height, width: size of the result; resized with an antialiased bicubic filter.
          stays_opaque: whether frames after an opaque one are opaque, so that they are not checked.

        Returns:
          uint8 `[height, width, 3]`.
        """
        if has_alpha(frame) and not (stays_opaque and self._opaque):
            frame = self._over_background(frame)
        if transfer_name(frame.color_trc):
            if self._peak is None:
                self._peak = _peak(frame)
            deep = self._reformat(frame, height, width, "rgb48le")
            return tone_map(deep, transfer_name(frame.color_trc), self._peak)
        return self._reformat(frame, height, width, "rgb24")

    def _reformat(self, frame: av.VideoFrame, height: int, width: int, kind: str) -> np.ndarray:
        return self._reformatter.reformat(
            frame, width=width, height=height, format=kind, interpolation=_FILTER, threads=1
        ).to_ndarray()

    def _over_background(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Composites a frame over black before resizing, so that hidden colors do not bleed."""
        self._opaque = _is_opaque(frame)
        if self._opaque:
            return frame
        pixels = self._reformat(frame, frame.height, frame.width, "rgba")
        alpha = pixels[..., 3:].astype(np.uint16)
        if alpha.min() == 255:
            return frame
        # x / 255 to the nearest integer, exact for products of two bytes.
        product = pixels[..., :3] * alpha + 128
        composed = ((product + (product >> 8)) >> 8).astype(np.uint8)
        return av.VideoFrame.from_ndarray(composed, format="rgb24")


def has_alpha(frame: av.VideoFrame) -> bool:
    """Returns whether the frame's pixel format supports transparency."""
    return _format_has_alpha(frame.format.name)


@functools.cache
def _format_has_alpha(name: str) -> bool:
    pixel_format = av.VideoFormat(name)
    return pixel_format.has_palette or any(part.is_alpha for part in pixel_format.components)


def _is_opaque(frame: av.VideoFrame) -> bool:
    """Checks quickly for opaque frames of GIFs, which have alpha but seldom use it."""
    if frame.format.name not in ("bgra", "rgba"):
        return False
    plane = frame.planes[0]
    # Two pixels at a time: alpha is the highest byte of four.
    kind, mask = ("<u8", 0xFF000000_FF000000) if frame.width % 2 == 0 else ("<u4", 0xFF000000)
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    used = rows[: frame.height, : 4 * frame.width].view(kind)
    return int(np.bitwise_and.reduce(used, axis=None)) & mask == mask


def _peak(frame: av.VideoFrame) -> float:
    """Returns the peak luminance of the video in cd/m2 according to its metadata."""
    try:
        light = side_data(frame, Type.CONTENT_LIGHT_LEVEL)
        mastering = side_data(frame, Type.MASTERING_DISPLAY_METADATA)
    except ValueError:  # side data unknown to PyAV
        light = mastering = None
    peak = 0.0
    if light is not None:
        peak = float(struct.unpack_from("=I", light)[0])  # MaxCLL
    if not peak and mastering is not None:
        numerator, denominator, _, known = struct.unpack_from("=4i", mastering, 72)
        peak = numerator / denominator if known and denominator else 0.0
    return min(max(peak, _WHITE), 10_000.0) if peak else _DEFAULT_PEAK


def tone_map(pixels: np.ndarray, transfer: str, peak: float = _DEFAULT_PEAK) -> np.ndarray:
    """Maps high dynamic range to a standard display.

    Light up to 0.3 of diffuse white (203 cd/m2) keeps its brightness. Brighter light is compressed
    so that `peak` becomes white (a Moebius curve on the brightest of the three colors, which
    preserves hues). BT.2020 colors outside BT.709 are clipped.

    Args:
      pixels: uint16 `[H, W, 3]`, full range, BT.2020 primaries.
      transfer: "PQ" (SMPTE ST 2084) or "HLG" (ARIB STD-B67, on a display of 1,000 cd/m2).
      peak: peak luminance of the video, cd/m2.

    Returns:
      uint8 `[H, W, 3]`.
    """
    light = _pq_light()[pixels] if transfer == "PQ" else _hlg_light(pixels)
    colours = (light / _WHITE) @ _TO_BT709.T
    brightest = np.maximum(colours.max(axis=-1, keepdims=True), 1e-6)
    colours *= _moebius(brightest, max(peak / _WHITE, 1.0)) / brightest
    signal = np.clip(colours, 0, 1) ** (1 / _DISPLAY_GAMMA)
    return np.round(signal * 255).astype(np.uint8)


def _moebius(light: np.ndarray, peak: float) -> np.ndarray:
    """Identity up to the knee, then a hyperbola with the same slope that ends at (peak, 1)."""
    if peak <= 1:
        return light
    knee = _KNEE
    a = -(knee**2) * (peak - 1) / (knee**2 - 2 * knee + peak)
    b = (knee**2 - 2 * knee * peak + peak) / (peak - 1)
    scale = (b**2 + 2 * b * knee + knee**2) / (b - a)
    return np.where(light <= knee, light, scale * (light + a) / (light + b))


@functools.cache
def _pq_light() -> np.ndarray:
    """Returns the luminance in cd/m2 of each 16-bit signal (SMPTE ST 2084, 5.2), `[65536]`."""
    signal = np.linspace(0, 1, 2**16) ** (1 / 78.84375)
    ratio = np.maximum(signal - 0.8359375, 0) / (18.8515625 - 18.6875 * signal)
    return (10_000 * ratio ** (1 / 0.1593017578125)).astype(np.float32)


def _hlg_light(pixels: np.ndarray) -> np.ndarray:
    """Returns cd/m2 on a 1,000 cd/m2 display (BT.2100-2, table 5: inverse OETF, then OOTF)."""
    scene = _hlg_scene()[pixels]
    luminance = np.maximum(scene @ _LUMINANCE, 1e-6)[..., None]
    return 1000 * luminance**0.2 * scene


@functools.cache
def _hlg_scene() -> np.ndarray:
    signal = np.linspace(0, 1, 2**16)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return scene.astype(np.float32)
