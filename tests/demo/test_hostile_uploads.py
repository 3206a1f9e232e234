"""A hundred strange and malicious uploads: each a kind refusal or a right answer; the server lives.

With `tests/inference/test_hostile_requests.py` these are the requests that nobody means well;
`tests/inference/test_hostile_clips.py` sends 200 damaged files through the decoder alone.
"""

import contextlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.demo.conftest import LIMITS, frames_of, video

BRIGHTNESS = 20 + 20 * np.arange(8)  # of `video`'s frames

Outcome = tuple[int, str]


def send(demo, content: bytes, query: str = "") -> np.ndarray | None:
    """The mean brightness of given and following frames, or None after a kind refusal."""
    status, answer = demo.ask(f"api/predict?num_frames=3&{query}", content)
    found = json.loads(answer)
    if status != 200:
        assert status in (400, 413), found
        assert found["error"]
        assert "\n" not in found["error"]
        assert "Traceback" not in found["error"]
        assert "/tmp" not in found["error"]
        return None
    strips = [found["given"]] + ([found["real"]] if found["real"] else [])
    assert len(frames_of(found["futures"][0])) == 3
    return np.concatenate([frames_of(strip).mean(axis=(1, 2, 3)) for strip in strips])


# (codec, pixel format, container): 8, 10 and 16 bits, grey, planar, packed, palettes, alpha.
PIXELS = [
    ("libx264", "yuv422p", "mp4"),
    ("libx264", "yuv444p", "mp4"),
    ("libx264", "nv12", "mp4"),
    ("libx264", "gray", "mkv"),
    ("libx264", "yuv420p10le", "mp4"),
    ("ffv1", "gray", "mkv"),
    ("ffv1", "gray16le", "mkv"),
    ("ffv1", "gray10le", "mkv"),
    ("ffv1", "yuv444p16le", "mkv"),
    ("ffv1", "yuva420p", "mkv"),
    ("ffv1", "gbrp16le", "mkv"),
    ("ffv1", "bgr0", "avi"),
    ("mjpeg", "yuvj420p", "avi"),
    ("png", "rgb48be", "avi"),
    ("png", "gray16be", "avi"),
    ("png", "monob", "avi"),
    ("rawvideo", "bgr24", "avi"),
    ("rawvideo", "rgb555le", "nut"),
    ("qtrle", "argb", "mov"),
    ("huffyuv", "yuv422p", "avi"),
]


@pytest.mark.parametrize(("codec", "pixels", "container"), PIXELS)
def test_pixel_formats(demo, tmp_path: Path, codec, pixels, container) -> None:
    found = send(demo, video(tmp_path / f"clip.{container}", codec, pixels=pixels))
    assert found is not None
    if (codec, pixels) == ("libx264", "gray"):
        assert (np.diff(found) > 15).all()  # the encoder does not say which range it means
    elif pixels != "monob":  # one bit: black or white
        np.testing.assert_allclose(found, BRIGHTNESS[:7], atol=6)


def damaged(good: bytes, rng: np.random.Generator, kind: int) -> bytes:
    content = np.frombuffer(good, np.uint8).copy()
    start = int(rng.integers(1, len(content)))
    if kind == 0:
        return content[:start].tobytes()
    if kind == 1:
        content[rng.integers(0, len(content), 30)] ^= 0xFF
    elif kind == 2:
        # Numbers in headers at their largest: giant sides, counts and durations.
        content[rng.integers(0, min(len(content), 700), 6)] = 0xFF
    else:
        rng.shuffle(content[start : start + 600])
    return content.tobytes()


def test_damaged_uploads(demo, tmp_path: Path) -> None:
    """64 files: cut off, with bytes changed, headers of giants, shuffled."""
    rng = np.random.default_rng(9)
    goods = [
        video(tmp_path / "a.mp4"),
        video(tmp_path / "b.mkv", "mpeg4"),
        video(tmp_path / "c.avi", "mpeg2video"),
        video(tmp_path / "d.webm", "libvpx"),
    ]
    refused = 0
    for number in range(64):
        content = damaged(goods[number % 4], rng, number // 4 % 4)
        found = send(demo, content, "window=last" if number % 2 else "")
        refused += found is None
    assert refused >= 20
    for good in goods:
        np.testing.assert_allclose(send(demo, good), BRIGHTNESS[:7], atol=6)


def animation(durations: list[int]) -> bytes:
    frames = [
        Image.fromarray(np.full((24, 32, 3), level, np.uint8)) for level in BRIGHTNESS.tolist()
    ]
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0
    )
    return buffer.getvalue()


def headers_alone(tmp_path: Path, end: str) -> bytes:
    """A container with a video stream and no frame in it."""
    path = tmp_path / f"none.{end}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        container.start_encoding()
    return path.read_bytes()


def giant_gif(_: Path) -> bytes:
    content = bytearray(animation([100] * 8))
    content[6:10] = b"\xff\xff\xff\xff"  # a canvas of 65535 x 65535, 12 GB a frame
    return bytes(content)


def bomb_of_sides(tmp_path: Path) -> bytes:
    """Few bytes, many pixels: black frames of 12,000 x 12,000."""
    path = tmp_path / "wide.png"
    Image.new("1", (12_000, 12_000)).save(path, optimize=True)
    return path.read_bytes()


REFUSED: dict[str, Callable[[Path], bytes]] = {
    "nothing": lambda _: b"",
    "one byte": lambda _: b"\0",
    "zeros": lambda _: bytes(100_000),
    "noise": lambda _: np.random.default_rng(0).bytes(100_000),
    "text": lambda _: b"hello\n" * 1000,
    "JSON": lambda _: b'{"conditioning_frames": [[[]]]}',
    "a page": lambda _: b"<html><script>alert(1)</script></html>",
    "SVG that loads a file": lambda _: b'<svg><image href="file:///etc/passwd"/></svg>',
    "a playlist": lambda _: b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n",
    "a playlist of this server": lambda _: b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/\n",
    "a concatenation": lambda _: b"ffconcat version 1.0\nfile /etc/passwd\n",
    "subtitles": lambda _: b"1\n00:00:00,000 --> 00:00:01,000\nhello\n",
    "a zip": lambda _: b"PK\x05\x06" + bytes(18),
    "a program": lambda _: b"\x7fELF" + bytes(5000),
    "a pickle": lambda _: b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "GIF's first bytes": lambda _: b"GIF89a",
    "a GIF of giant sides": giant_gif,
    "a picture of many pixels": bomb_of_sides,
    "one frame": lambda path: video(path / "one.mp4", count=1),
    "too few frames": lambda path: video(path / "few.mp4", count=3),
    "zero frames, AVI": lambda path: headers_alone(path, "avi"),
    "zero frames, Matroska": lambda path: headers_alone(path, "mkv"),
    "a thin strip": lambda path: video(path / "strip.mkv", "ffv1", size=(2, 200)),
    "a WAV": lambda _: b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0" + bytes(20),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(demo, tmp_path: Path, kind: str) -> None:
    assert send(demo, REFUSED[kind](tmp_path)) is None


def test_right_answers(demo, tmp_path: Path) -> None:
    """Odd, but clear what they mean."""
    for durations in ([20, 500, 20, 90, 20, 700, 20, 20], [0] * 8, [65535] * 8):
        # A variable frame rate counts frames, not seconds.
        np.testing.assert_allclose(send(demo, animation(durations)), BRIGHTNESS[:7], atol=6)
    for size in ((2, 2), (16, 16), (18, 500), (360, 20)):
        found = send(demo, video(tmp_path / "a.mkv", "ffv1", size=size))
        np.testing.assert_allclose(found, BRIGHTNESS[:7], atol=6)


def test_rotation_is_applied(demo, tmp_path: Path) -> None:
    """The track header says: shown turned by a quarter."""
    content = video(tmp_path / "phone.mp4", size=(16, 32))
    unit, zero = (1 << 16).to_bytes(4, "big"), bytes(4)
    minus, last = (2**32 - (1 << 16)).to_bytes(4, "big"), (1 << 30).to_bytes(4, "big")
    identity = unit + zero * 3 + unit + zero * 3 + last
    turned = zero + unit + zero + minus + zero * 4 + last
    at = content.index(identity, content.index(b"tkhd"))
    content = content[:at] + turned + content[at + len(identity) :]
    np.testing.assert_allclose(send(demo, content), BRIGHTNESS[:7], atol=6)


def test_bombs_of_frames(demo, tmp_path: Path) -> None:
    """Small files of very many frames: the first are read alone, and the last are refused."""
    path = tmp_path / "bomb.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((24, 32, 3), np.uint8), format="rgb24")
        for _ in range(LIMITS.clip_frames + 10):
            frame.pts = None
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    content = path.read_bytes()
    assert len(content) < LIMITS.upload_bytes
    np.testing.assert_allclose(send(demo, content), np.zeros(7), atol=6)
    status, text = demo.refusal("api/predict?window=last", content)
    assert status == 400
    assert f"more than {LIMITS.clip_frames} frames" in text


def test_afterwards_the_server_is_as_before(demo, upload: bytes) -> None:
    """Run last: no child, no open file and no temporary file is left of all that."""
    np.testing.assert_allclose(send(demo, upload), BRIGHTNESS[:7], atol=6)
    assert not [path for path in _open_files() if "trivd-demo-" in path]


def _open_files() -> list[str]:
    """What this process has open; other threads close files while they are listed."""
    paths = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            paths.append(os.readlink(f"/proc/self/fd/{name}"))
    return paths
