"""Odd files, one of each kind, and what happens to them: `python -m tests.data.files.odd_files`.

Prints a table. Each file is made here, read as training reads it, and compared frame by frame with
what it was made from. A file that must be refused counts as right when one line says why.
"""

import dataclasses
import io
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from tests.data.files import makers
from tests.data.files.odd_streams import STREAMS
from tests.data.videos import encode, moving_frames
from trivd_tf.base.errors import InputError
from trivd_tf.data.files.decode import decode_frames

COUNT = 8
FRAMES = moving_frames(COUNT)  # [8, 48, 64, 3]
Maker = Callable[[Path], tuple[Path, np.ndarray | None]]


@dataclasses.dataclass(frozen=True)
class Odd:
    """One kind.

    Attributes:
      kind: what is odd about it.
      make: writes it into a folder; returns its path and the frames it shows, None where it has to
        be refused.
      tolerance: largest mean difference in grey levels (codecs lose something).
    """

    kind: str
    make: Maker
    tolerance: float = 8.0


def _coded(name: str, codec: str, pixels: str, frames: np.ndarray = FRAMES, **options) -> Maker:
    def make(folder: Path):
        path = encode(folder / name, frames, codec=codec, pixel_format=pixels, **options)
        return path, frames

    return make


def _grey(pixels: str) -> Maker:
    grey = np.repeat(FRAMES[..., 1:2], 3, axis=-1)
    return _coded("v.mkv", "ffv1", pixels, grey)


def _changed(maker: Maker, change: Callable[[bytes], bytes], *, refused: bool) -> Maker:
    def make(folder: Path):
        path, frames = maker(folder)
        path.write_bytes(change(path.read_bytes()))
        return path, None if refused else frames

    return make


def _raw(name: str, content: bytes) -> Maker:
    def make(folder: Path):
        (folder / name).write_bytes(content)
        return folder / name, None

    return make


def _turned(name: str) -> Maker:
    def make(folder: Path):
        path = encode(folder / "v.mp4", FRAMES, codec="libx264", pixel_format="yuv444p")
        matrix, turn = makers.MATRICES[name]
        return makers.set_matrix(path, matrix), turn(FRAMES)

    return make


def _wide_pixels(aspect: Fraction) -> Maker:
    def make(folder: Path):
        path = makers.with_pixel_aspect(folder / "v.mp4", FRAMES, aspect)
        shape = (round(64 * aspect), 48)
        images = [
            Image.fromarray(frame).resize(shape, Image.Resampling.BICUBIC) for frame in FRAMES
        ]
        return path, np.stack([np.asarray(image) for image in images])

    return make


def _pillow(name: str, **options) -> Maker:
    def make(folder: Path):
        images = [Image.fromarray(frame) for frame in FRAMES]
        images[0].save(folder / name, save_all=True, append_images=images[1:], **options)
        return folder / name, FRAMES

    return make


def _pictures(names: list[str], frames: np.ndarray | None = FRAMES, mode: str = "RGB") -> Maker:
    def make(folder: Path):
        shown = FRAMES if frames is None else frames
        for name, frame in zip(names, shown, strict=False):
            image = Image.fromarray(frame)
            if mode == "deep":
                image = Image.fromarray(frame[..., 1].astype(np.uint16) * 257)
            elif mode != "RGB":
                image = image.convert(mode)
            image.save(folder / name)
        if mode in ("deep", "L"):
            shown = np.repeat(shown[..., 1:2] if mode == "deep" else _luma(shown), 3, axis=-1)
        return folder, None if frames is None else shown

    return make


def _luma(frames: np.ndarray) -> np.ndarray:
    return np.stack([np.asarray(Image.fromarray(f).convert("L")) for f in frames])[..., None]


def _exif(folder: Path):
    exif = Image.Exif()
    exif[0x0112] = 8
    for number, frame in enumerate(FRAMES):
        turned = Image.fromarray(np.rot90(frame, -1))
        turned.save(folder / f"{number}.jpg", exif=exif, quality=98, subsampling=0)
    return folder, FRAMES


def _two_sizes(folder: Path):
    for number, side in enumerate((32, 48)):
        Image.new("RGB", (side, side)).save(folder / f"{number}.png")
    return folder, None


def _edit_list(folder: Path):
    frames = moving_frames(40)
    return makers.with_edit_list(folder / "v.mp4", frames, hidden=25), frames[25:]


def _cover(name: str) -> Maker:
    return lambda folder: (
        makers.with_cover(folder / name, FRAMES, moving_frames(1, 80, 80)[0]),
        FRAMES,
    )


def _only_cover(folder: Path):
    return makers.with_cover(folder / "v.mp4", FRAMES[:0], FRAMES[0]), None


def _late_start(folder: Path):
    """A transport stream that was joined between two key frames."""
    frames = moving_frames(30)
    path = folder / "v.ts"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"g": "10", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        packets = []
        for image in frames:
            packets += stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24"))
        packets += stream.encode()
        for packet in packets[4:]:
            container.mux(packet)
    return path, frames[10:]


def _two_sizes_in_a_stream(folder: Path):
    """The size changes in the middle, as where two recordings were joined."""
    parts = []
    for size in ((48, 64), (96, 128)):
        part = io.BytesIO()
        with av.open(part, "w", format="mjpeg") as container:
            stream = container.add_stream("mjpeg", rate=25)
            stream.height, stream.width = size
            stream.pix_fmt = "yuvj420p"
            for image in moving_frames(COUNT, 48, 64):
                large = np.asarray(Image.fromarray(image).resize(size[::-1]))
                for packet in stream.encode(av.VideoFrame.from_ndarray(large, format="rgb24")):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
        parts.append(part.getvalue())
    (folder / "v.mjpeg").write_bytes(b"".join(parts))
    return folder / "v.mjpeg", np.concatenate([FRAMES, FRAMES])


def _giant_gif(folder: Path):
    path, _ = _pillow("v.gif", duration=40)(folder)
    data = bytearray(path.read_bytes())
    data[6:10] = b"\xff" * 4
    path.write_bytes(data)
    return path, None


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


H264 = _coded("v.mp4", "libx264", "yuv420p")
GIF = _coded("v.gif", "gif", "rgb8")
NAMES = [f"{number}.png" for number in range(COUNT)]

ODD = [
    *[
        Odd(f"{name.partition('.')[2]}, {codec}", _coded(name, codec, pixels), 12)
        for name, codec, pixels in (
            ("v.mp4", "libx264", "yuv420p"), ("v.mkv", "libx264", "yuv444p"),
            ("v.mov", "mpeg4", "yuv420p"), ("v.ts", "libx264", "yuv420p"),
            ("v.flv", "flv", "yuv420p"), ("v.mpg", "mpeg2video", "yuv420p"),
            ("v.avi", "mjpeg", "yuvj420p"), ("v.avi", "mpeg4", "yuv420p"),
            ("v.webm", "libvpx", "yuv420p"), ("v.webm", "libvpx-vp9", "yuv420p"),
            ("v.mov", "prores_ks", "yuv422p10le"), ("v.wmv", "wmv2", "yuv420p"),
            ("v.y4m", "rawvideo", "yuv444p"), ("v.h264", "libx264", "yuv420p"),
            ("v.3gp", "mpeg4", "yuv420p"), ("v.mxf", "mpeg2video", "yuv420p"),
            ("v.nut", "ffv1", "yuv444p"), ("v.apng", "apng", "rgb24"),
        )
    ],
    *[
        Odd(f"grey, {pixels}", _grey(pixels), 3)
        for pixels in ("gray", "gray10le", "gray12le", "gray16le")
    ],
    *[
        Odd(f"pixels of {pixels}", _coded("v.mkv", "ffv1", pixels))
        for pixels in (
            "yuv410p", "yuv411p", "yuv420p", "yuv422p", "yuv440p", "yuv444p", "yuv420p10le",
            "yuv422p12le", "yuv444p16le", "rgb48le", "gbrp10le", "bgra", "yuva420p", "yuva444p10le",
        )
    ],
    *[Odd(f"display matrix: {name}", _turned(name)) for name in makers.MATRICES],
    *[
        Odd(f"pixel aspect {aspect}", _wide_pixels(aspect))
        for aspect in (Fraction(16, 9), Fraction(8, 9), Fraction(32, 27))
    ],
    *[
        Odd(f"sides of {h} x {w}", _coded("v.mkv", "ffv1", "bgr0", moving_frames(COUNT, h, w)), 0)
        for h, w in ((1, 1), (2, 2), (17, 33), (3, 300))
    ],
    Odd("an edit list hides 25 frames", _edit_list),
    Odd("a cover picture before the video, mp4", _cover("v.mp4")),
    Odd("a cover picture before the video, mkv", _cover("v.mkv")),
    Odd("a cover picture alone", _only_cover),
    Odd("GIF without its last byte", _changed(GIF, lambda data: data[:-1], refused=False), 30),
    Odd("GIF and 200 more bytes", _changed(GIF, lambda data: data + bytes(200), refused=False), 30),
    Odd("GIF cut within a frame", _changed(GIF, lambda data: data[:-30], refused=True)),
    Odd("GIF with sides of 65535", _giant_gif),
    Odd("animated WebP", _pillow("v.webp", lossless=True, duration=40), 0),
    Odd("animated WebP cut in half",
        _changed(_pillow("v.webp", lossless=True, duration=40), _half, refused=True)),
    Odd("animated WebP of no duration", _pillow("v.webp", lossless=True, duration=0), 0),
    Odd("stamps with gaps",
        _coded("v.mkv", "ffv1", "bgr0", times=[0, 1, 5, 30, 31, 90, 91, 99]), 0),
    Odd("one frame", _coded("v.mkv", "ffv1", "bgr0", FRAMES[:1]), 0),
    Odd("a stream joined between key frames", _late_start, 16),
    Odd("frames that change their size", _two_sizes_in_a_stream, 16),
    Odd("mp4 cut in half", _changed(H264, _half, refused=True)),
    Odd("mkv cut in half", _changed(_coded("v.mkv", "ffv1", "bgr0"), _half, refused=True)),
    Odd("avi cut in half", _changed(_coded("v.avi", "mjpeg", "yuvj420p"), _half, refused=True)),
    Odd("no index (mp4 that is still recorded)",
        _changed(H264, lambda data: data[: data.index(b"moov") - 4], refused=True)),
    Odd("a wrong ending", _coded("v.txt.mkv", "ffv1", "bgr0"), 0),
    Odd("empty file", _raw("v.mp4", b"")),
    Odd("text", _raw("v.mp4", b"no video\n" * 500)),
    Odd("zeros", _raw("v.mkv", bytes(30_000))),
    Odd("noise", _raw("v.avi", np.random.default_rng(0).bytes(30_000))),
    Odd("a playlist", _raw("v.m3u8", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n")),
    Odd("an SVG picture", _raw("v.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>")),
    Odd("pictures without zeros, with gaps",
        _pictures([f"{n}.png" for n in (8, 9, 10, 11, 99, 100, 101, 200)]), 0),
    Odd("pictures named by the clock",
        _pictures([f"12-59-5{n}.png" for n in range(6, 10)] + [f"13-0-{n}.png" for n in range(4)]),
        0),
    Odd("pictures of 16 bits", _pictures(NAMES, mode="deep"), 1),
    Odd("pictures with a palette", _pictures(NAMES, mode="P"), 20),
    Odd("grey pictures", _pictures(NAMES, mode="L"), 0),
    Odd("BMP pictures", _pictures([f"{n}.bmp" for n in range(COUNT)]), 0),
    Odd("TIFF pictures", _pictures([f"{n}.tiff" for n in range(COUNT)]), 0),
    Odd("pictures turned by Exif", _exif, 3),
    Odd("pictures of two sizes", _two_sizes),
    Odd("pictures of two series", _pictures(["l1.png", "l2.png", "r1.png", "r2.png"], None)),
    Odd("pictures without numbers", _pictures(["a.png", "b.png"], None)),
    Odd("pictures of one number", _pictures(["1.png", "01.png"], None)),
    *[Odd(*entry) for entry in STREAMS],
]  # fmt: skip


def outcome(odd: Odd, folder: Path) -> tuple[str, bool]:
    """What happens to one kind, in a line, and whether that is right."""
    folder.mkdir()
    path, expected = odd.make(folder)
    try:
        frames = np.stack(list(decode_frames(path)))
    except InputError as error:
        reason = str(error).replace(f"{path}: ", "").replace(f"{folder}/", "")
        return f"refused: {reason}", expected is None and "\n" not in reason
    if expected is None:
        return f"{len(frames)} frames, but it should be refused", False
    if frames.shape != expected.shape:
        return f"{frames.shape} instead of {expected.shape}", False
    distances = np.array([_distances(frame, expected) for frame in frames])
    difference = np.diagonal(distances).max()
    in_order = (np.diagonal(distances) <= distances.min(axis=1) + 1e-9).all()
    text = f"{len(frames)} frames of {frames.shape[2]} x {frames.shape[1]}"
    right = bool(difference <= odd.tolerance and in_order)
    return f"{text}, within {difference:.1f} levels", right


def _distances(frame: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Mean difference of a frame from each of the expected ones."""
    return np.abs(expected.astype(int) - frame).mean(axis=(1, 2, 3))


def main() -> int:
    wrong = 0
    print("| kind | what happens | |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for number, odd in enumerate(ODD):
            text, right = outcome(odd, Path(folder, str(number)))
            wrong += not right
            print(f"| {odd.kind} | {text} | {'right' if right else 'WRONG'} |")
    print(f"\n{len(ODD)} kinds, {wrong} wrong", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
