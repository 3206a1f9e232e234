"""Files that people bring, made byte by byte or with PyAV: each is one of a kind."""

import dataclasses
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from tests.data.videos import encode

MATRICES = {  # (a, b, c, d) of a display matrix -> what a player does to [N, H, W, 3]
    "upright": ((1, 0, 0, 1), lambda v: v),
    "clockwise": ((0, 1, -1, 0), lambda v: np.rot90(v, -1, axes=(1, 2))),
    "upside down": ((-1, 0, 0, -1), lambda v: v[:, ::-1, ::-1]),
    "counterclockwise": ((0, -1, 1, 0), lambda v: np.rot90(v, 1, axes=(1, 2))),
    "mirrored": ((-1, 0, 0, 1), lambda v: v[:, :, ::-1]),
    "flipped": ((1, 0, 0, -1), lambda v: v[:, ::-1]),
    "transposed": ((0, 1, 1, 0), lambda v: v.transpose(0, 2, 1, 3)),
    "transverse": ((0, -1, -1, 0), lambda v: v[:, ::-1, ::-1].transpose(0, 2, 1, 3)),
}


def set_matrix(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Writes the display matrix of an MP4's first track: 16.16 numbers in the tkhd box."""
    a, b, c, d = (value << 16 for value in matrix)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def with_edit_list(path: Path, frames: np.ndarray, hidden: int) -> Path:
    """An H.264 MP4 whose edit list hides the first frames, as a cut without encoding leaves it."""
    whole = encode(path.with_suffix(".whole.mp4"), frames, codec="libx264", pixel_format="yuv420p")
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        shift = int(Fraction(hidden, 25) / stream.time_base)
        for packet in source.demux(stream):
            if packet.dts is None:
                continue
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = copy
            target.mux(packet)
    whole.unlink()
    return path


def with_cover(path: Path, frames: np.ndarray, cover: np.ndarray) -> Path:
    """A file whose first video stream is one JPEG that is marked as a cover."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mjpeg", rate=25)
        picture.height, picture.width = cover.shape[:2]
        picture.pix_fmt = "yuvj420p"
        video = container.add_stream("libx264", rate=25)
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "yuv420p"
        picture.disposition = Disposition.attached_pic
        for stream, images in ((picture, cover[None]), (video, frames)):
            for image in images:
                for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
    return path


def with_pixel_aspect(
    path: Path, frames: np.ndarray, aspect: Fraction, pixel_format: str = "yuv444p"
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixel_format
        stream.codec_context.sample_aspect_ratio = aspect
        for image in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@dataclasses.dataclass(frozen=True)
class GifImage:
    """One image of a GIF: `indices` `[h, w]` into the palette, below 128, placed at (top, left)."""

    indices: np.ndarray
    top: int = 0
    left: int = 0
    disposal: int = 1
    transparent: int | None = None


def raw_gif(
    path: Path, shape: tuple[int, int], palette: np.ndarray, images: list[GifImage]
) -> Path:
    """Writes a GIF block by block, uncompressed: a code of 8 bits a pixel, cleared in time."""
    height, width = shape
    colours = np.zeros((128, 3), np.uint8)
    colours[: len(palette)] = palette
    data = b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF6, 0, 0) + colours.tobytes()
    for image in images:
        flags = image.disposal << 2 | (image.transparent is not None)
        data += struct.pack("<BBBBHBB", 0x21, 0xF9, 4, flags, 4, image.transparent or 0, 0)
        rows, columns = image.indices.shape
        data += struct.pack("<BHHHHBB", 0x2C, image.left, image.top, columns, rows, 0, 7)
        pixels = image.indices.astype(np.uint8).tobytes()
        codes = b"".join(b"\x80" + pixels[at : at + 100] for at in range(0, len(pixels), 100))
        codes += b"\x81"
        for at in range(0, len(codes), 255):
            data += bytes([len(codes[at : at + 255])]) + codes[at : at + 255]
        data += b"\0"
    path.write_bytes(data + b";")
    return path
