"""Odd files that take more than one call to make: joined, cut, live and damaged streams."""

import io
import re
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, features

from tests.data.files import makers
from tests.data.videos import encode, moving_frames

FRAMES = moving_frames(8)  # [8, 48, 64, 3]
LONGER = moving_frames(30)
Maker = Callable[[Path], tuple[Path, np.ndarray | None]]

_KEYS_EVERY_9 = "keyint=9:min-keyint=9:bframes=2:b-adapt=0:scenecut=0:open-gop=1"


def _packets(codec: str, frames: np.ndarray, options: dict[str, str], container, pixels="yuv420p"):
    """The encoded packets of one stream, in the order of decoding; nothing is written."""
    stream = container.add_stream(codec, rate=25, options=options)
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = pixels
    stream.codec_context.thread_count = 1
    packets = []
    for image in frames:
        packets += stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24"))
    return packets + stream.encode()


class _Pipe(io.RawIOBase):
    """Somewhere to write that cannot be gone back in: headers stay as they were written first."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.data += bytes(data)
        return len(data)


def _stream(kind: str, codec: str, frames: np.ndarray, **options: str) -> bytes:
    """A file as it is sent live."""
    pipe = _Pipe()
    own = {name.replace("_", "-"): value for name, value in options.items()}
    pixels = own.pop("pixels", "yuv420p")
    muxer = {"movflags": own.pop("movflags")} if "movflags" in own else {}
    with av.open(pipe, "w", format=kind, options=muxer) as container:
        for packet in _packets(codec, frames, own, container, pixels):
            container.mux(packet)
    return bytes(pipe.data)


def live(kind: str, codec: str, part: float = 1.0, shown: int | None = 20, **options) -> Maker:
    """The first `part` of a live stream of 20 frames, of which `shown` are whole."""

    def make(folder: Path):
        frames = LONGER[:20]
        data = _stream(kind, codec, frames, g="5", bf="0", **options)
        path = folder / f"v.{kind}"
        path.write_bytes(data[: int(len(data) * part)])
        return path, None if shown is None else frames[:shown]

    return make


def open_gop(name: str, codec: str, options: dict[str, str]) -> Maker:
    """Begins at the second key frame, whose first B-frames refer to the group before it."""

    def make(folder: Path):
        with av.open(str(folder / name), "w") as container:
            packets = _packets(codec, LONGER, options, container)
            second = [n for n, packet in enumerate(packets) if packet.is_keyframe][1]
            # Else the group is closed, and this shows nothing.
            assert packets[second + 1].pts < packets[second].pts
            for packet in packets[second:]:
                container.mux(packet)
        return folder / name, LONGER[9:]

    return make


def two_programs(folder: Path):
    """A transport stream of two programs; the larger picture comes first."""
    parts = []
    for number, frames in ((1, FRAMES), (2, moving_frames(8, 32, 32)[::-1])):
        pipe = _Pipe()
        options = {
            "mpegts_service_id": str(number),
            "mpegts_pmt_start_pid": str(0x1000 * number // 2),
            "mpegts_start_pid": str(0x100 * number),
        }
        with av.open(pipe, "w", format="mpegts", options=options) as container:
            for packet in _packets("mpeg2video", frames, {"g": "8", "bf": "0"}, container):
                container.mux(packet)
        packets = [bytes(pipe.data[at : at + 188]) for at in range(0, len(pipe.data), 188)]
        # All but the tables that name programs (PID 0) and services (PID 17).
        parts.append([p for p in packets if ((p[1] & 31) << 8 | p[2]) not in (0, 17)])
    table = struct.pack(">BHHBBBHHHH", 0, 0xB011, 1, 0xC1, 0, 0, 1, 0xE800, 2, 0xF000)
    table += struct.pack(">I", _crc32_mpeg(table))
    joined = [(b"\x47\x40\x00\x10\x00" + table).ljust(188, b"\xff")]
    for number in range(max(map(len, parts))):
        joined += parts[0][number : number + 1] + parts[1][number : number + 1]
    (folder / "v.ts").write_bytes(b"".join(joined))
    return folder / "v.ts", FRAMES


def _crc32_mpeg(data: bytes) -> int:
    """ISO/IEC 13818-1, annex A: CRC-32, bits not reversed, result not inverted."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    return crc


def _raw_h264(frames: np.ndarray, pixels: str = "yuv420p") -> bytes:
    return _stream("h264", "libx264", frames, bf="0", pixels=pixels)


def _turned_by_message(stream: bytes) -> bytes:
    """Each picture with a display orientation message: 90 degrees counterclockwise (D.2.27)."""
    message = bytes([0x06, 47, 3]) + int(f"000{0x4000:016b}01001", 2).to_bytes(3, "big") + b"\x80"
    begins = rb"\x00\x00\x01(?=[\x61\x41\x65\x01\x21])"
    return re.sub(begins, lambda _: b"\0\0\1" + message + b"\0\0\1", stream)


def turns_later(folder: Path):
    """The second half is stored clockwise, with a message that turns it back."""
    square = moving_frames(8, 48, 48)
    sideways = np.ascontiguousarray(np.rot90(square, -1, axes=(1, 2)))
    data = _raw_h264(square) + _turned_by_message(_raw_h264(sideways))
    (folder / "v.h264").write_bytes(data)
    return folder / "v.h264", np.concatenate([square, square])


def grows_later(folder: Path):
    large = np.stack([np.asarray(Image.fromarray(f).resize((128, 96))) for f in FRAMES])
    (folder / "v.h264").write_bytes(_raw_h264(FRAMES) + _raw_h264(large))
    return folder / "v.h264", np.concatenate([FRAMES, FRAMES])


def other_pixels_later(folder: Path):
    (folder / "v.h264").write_bytes(_raw_h264(FRAMES) + _raw_h264(FRAMES, "yuv444p"))
    return folder / "v.h264", np.concatenate([FRAMES, FRAMES])


def hevc(folder: Path):
    with av.open(str(folder / "v.mp4"), "w") as container:
        options = {"x265-params": "log-level=none"}
        for packet in _packets("libx265", FRAMES, options, container):
            container.mux(packet)
    return folder / "v.mp4", FRAMES


def _emptied(boxes: dict[bytes, slice]) -> Maker:
    """An MP4 with zeros in some fields of its boxes, counted from the end of the box's name."""

    def make(folder: Path):
        path = encode(folder / "v.mp4", FRAMES, codec="mpeg4", pixel_format="yuv420p")
        data = bytearray(path.read_bytes())
        for name, field in boxes.items():
            at = data.index(name) + 4
            data[at + field.start : at + field.stop] = bytes(field.stop - field.start)
        path.write_bytes(data)
        return path, FRAMES

    return make


def avi_without_rate(folder: Path):
    path = encode(folder / "v.avi", FRAMES, codec="mjpeg", pixel_format="yuvj420p")
    data = bytearray(path.read_bytes())
    at = data.index(b"strh") + 28
    assert struct.unpack("<II", data[at : at + 8]) == (1, 25)
    data[at : at + 8] = bytes(8)
    path.write_bytes(data)
    return path, FRAMES


def gif_without_delays(folder: Path):
    images = [Image.fromarray(frame) for frame in FRAMES]
    images[0].save(folder / "v.gif", save_all=True, append_images=images[1:], duration=0)
    return folder / "v.gif", FRAMES


def huge_y4m(folder: Path):
    head = b"YUV4MPEG2 W100000 H100000 F25:1 Ip A1:1 C420jpeg\nFRAME\n"
    (folder / "v.y4m").write_bytes(head + bytes(1000))
    return folder / "v.y4m", None


def huge_webp(folder: Path):
    images = [Image.fromarray(frame) for frame in FRAMES]
    path = folder / "v.webp"
    images[0].save(path, save_all=True, append_images=images[1:], lossless=True, duration=40)
    data = bytearray(path.read_bytes())
    data[24:30] = b"\xff" * 6
    path.write_bytes(data)
    return path, None


def _huge_png(data: bytes) -> bytes:
    """The same with sides of 60,000 in its header, whose check sum is right."""
    header = b"IHDR" + struct.pack(">II", 60_000, 60_000) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


def huge_apng(folder: Path):
    path = encode(folder / "v.apng", FRAMES, codec="apng", pixel_format="rgb24")
    path.write_bytes(_huge_png(path.read_bytes()))
    return path, None


def huge_pictures(folder: Path):
    for number in range(2):
        path = folder / f"{number}.png"
        Image.fromarray(FRAMES[number]).save(path)
        path.write_bytes(_huge_png(path.read_bytes()))
    return folder, None


def cut_picture(ending: str, part: float) -> Maker:
    """A folder of pictures, the second of which ends early."""

    def make(folder: Path):
        for number in range(3):
            Image.fromarray(FRAMES[number]).save(folder / f"{number}.{ending}", quality=95)
        path = folder / f"1.{ending}"
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * part)])
        return folder, None

    return make


def other_mode(mode: str, ending: str = "png") -> Maker:
    def make(folder: Path):
        shown = []
        for number, frame in enumerate(FRAMES):
            path = folder / f"{number}.{ending}"
            Image.fromarray(frame).convert(mode).save(path, quality=98, subsampling=0)
            with Image.open(path) as image:
                shown.append(np.asarray(image.convert("RGB")))
        return folder, np.stack(shown)

    return make


def avif(mode: str) -> Maker:
    """An animated AVIF; with transparency, its upper half is a quarter opaque."""

    def make(folder: Path):
        frames = np.concatenate([FRAMES, np.full_like(FRAMES[..., :1], 255)], axis=-1)
        if mode == "RGBA":
            frames[:, :24, :, 3] = 64
        images = [Image.fromarray(frame).convert(mode) for frame in frames]
        path = folder / "v.avif"
        images[0].save(
            path, save_all=True, append_images=images[1:], duration=40, quality=100,
            subsampling="4:4:4",
        )  # fmt: skip
        return path, np.round(frames[..., :3] * (frames[..., 3:] / 255)).astype(np.uint8)

    return make


def emptied_gif(folder: Path):
    """The first image is removed after it was shown, and covers all of the canvas."""
    palette = np.array([[0, 0, 0], [250, 120, 20], [20, 120, 250]], np.uint8)
    images = [makers.GifImage(np.full((48, 64), 1), disposal=2, transparent=3)]
    images += [
        makers.GifImage(np.full((10, 20), 2), 10 * n, 20, disposal=1, transparent=3)
        for n in range(2)
    ]
    shown = np.zeros((3, 48, 64, 3), np.uint8)
    shown[0] = palette[1]
    shown[1:, :10, 20:40] = shown[2:, 10:20, 20:40] = palette[2]
    return makers.raw_gif(folder / "v.gif", (48, 64), palette, images), shown


def late_wide_pixels(folder: Path):
    """Pixels of 2:1 that are stored turned: their width is what a player widens, then it turns."""
    path = makers.with_pixel_aspect(folder / "v.mp4", FRAMES, Fraction(2))
    matrix, turn = makers.MATRICES["clockwise"]
    makers.set_matrix(path, matrix)
    wide = [Image.fromarray(f).resize((128, 48), Image.Resampling.BICUBIC) for f in FRAMES]
    return path, turn(np.stack([np.asarray(image) for image in wide]))


STREAMS: list[tuple[str, Maker, float]] = [
    ("mp4, libx265", hevc, 12),
    ("open group of pictures, H.264",
     open_gop("v.ts", "libx264", {"x264-params": _KEYS_EVERY_9}), 12),
    ("open group of pictures, HEVC",
     open_gop("v.ts", "libx265", {"x265-params": f"{_KEYS_EVERY_9}:log-level=none"}), 12),
    ("open group of pictures, MPEG-2",
     open_gop("v.ts", "mpeg2video", {"g": "9", "bf": "2", "sc_threshold": "1000000000"}), 16),
    ("two programs in a transport stream", two_programs, 12),
    ("a stream that turns in the middle", turns_later, 12),
    ("H.264 that grows in the middle", grows_later, 12),
    ("H.264 whose pixels change their format", other_pixels_later, 12),
    ("pixels of 2:1, turned", late_wide_pixels, 12),
    ("live mkv", live("matroska", "libx264"), 12),
    ("live avi, of a count not yet known", live("avi", "mpeg4"), 16),
    ("live ivf, of a count not yet known", live("ivf", "libvpx"), 12),
    ("live mkv that still grows", live("matroska", "mjpeg", 0.5, 8, pixels="yuvj420p"), 12),
    ("live ts that still grows", live("mpegts", "mpeg2video", 0.93, 18), 16),
    ("fragmented mp4", live("mp4", "libx264", movflags="frag_keyframe+empty_moov"), 12),
    ("fragmented mp4, cut in a fragment",
     live("mp4", "libx264", 0.5, None, movflags="frag_keyframe+empty_moov"), 12),
    ("flv cut in a frame", live("flv", "flv", 0.5, None), 16),
    ("mp4 of no duration",
     _emptied({b"mvhd": slice(16, 20), b"mdhd": slice(16, 20), b"tkhd": slice(20, 24)}), 12),
    ("mp4 whose frames last no time", _emptied({b"stts": slice(12, 16)}), 12),
    ("avi without a frame rate", avi_without_rate, 12),
    ("GIF without delays", gif_without_delays, 30),
    ("GIF whose first image is removed", emptied_gif, 0),
    ("y4m of 100,000 x 100,000", huge_y4m, 0),
    ("animated WebP of 16,777,216 x 16,777,216", huge_webp, 0),
    ("APNG of 60,000 x 60,000", huge_apng, 0),
    ("pictures of 60,000 x 60,000", huge_pictures, 0),
    *[(f"a {ending} picture cut at {part:.0%}", cut_picture(ending, part), 0)
      for ending, part in (("jpg", 0.98), ("png", 0.9), ("bmp", 0.9), ("tiff", 0.9),
                           ("webp", 0.9), ("ppm", 0.98))],
    ("an empty picture", cut_picture("jpg", 0), 0),
    ("pictures of 1 bit", other_mode("1"), 0),
    ("grey pictures with transparency", other_mode("LA"), 0),
    ("JPEG pictures of CMYK", other_mode("CMYK", "jpg"), 2),
    *([("animated AVIF", avif("RGB"), 4), ("transparent animated AVIF", avif("RGBA"), 4)]
      if features.check("avif") else []),
]  # fmt: skip
