"""Small videos made here, and ways to damage them."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def encode(
    path: Path,
    frames: np.ndarray,
    *,
    codec: str = "ffv1",
    pixel_format: str = "bgr0",
    source_format: str = "rgb24",
    rate: int = 25,
    times: list[int] | None = None,
) -> Path:
    """Writes `frames` [N, H, W, 3] as a video; the default is lossless (FFV1, RGB)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixel_format
        # What some encoders write depends on the number of threads, by default that of the cores.
        stream.codec_context.thread_count = 1
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=source_format)
            frame.pts = index if times is None else times[index]
            frame.time_base = Fraction(1, rate)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def cut_largest_picture(path: Path) -> None:
    """Cuts the largest picture of an H.264 MP4 file in its middle third to half its data.

    The file's structure stays whole: filler, which the standard allows, takes the other half.
    """
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    middle = packets[len(packets) // 3 : 2 * len(packets) // 3]
    place = max(middle, key=lambda packet: packet.size).pos
    data = bytearray(path.read_bytes())
    length = struct.unpack_from(">I", data, place)[0]
    kept = length // 2
    struct.pack_into(">I", data, place, kept)
    filler = bytes([12]) + b"\xff" * (length - kept - 5)
    struct.pack_into(">I", data, place + 4 + kept, len(filler))
    data[place + 8 + kept : place + 4 + length] = filler
    path.write_bytes(data)


def numbered_frames(video: int, count: int, height: int = 32, width: int = 48) -> np.ndarray:
    """Frames that say who they are: red is the frame's number, green the video's.

    Blue grows by four a column and eight a row, so that crops can be placed.
    """
    frames = np.empty((count, height, width, 3), np.uint8)
    frames[..., 0] = np.arange(count)[:, None, None]
    frames[..., 1] = video
    frames[..., 2] = 2 * np.arange(height)[:, None] + 3 * np.arange(width)
    return frames


def moving_frames(count: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Smooth colour waves that move: what real codecs encode well."""
    t, y, x = np.meshgrid(np.arange(count), np.arange(height), np.arange(width), indexing="ij")
    waves = [np.sin(y / 9 + t / 4), np.sin(x / 7 - t / 3), np.cos((x + y) / 11 + t / 5)]
    return (127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)
