"""Damaged and strange uploads: each a clear refusal or a right answer, and the process lives."""

import re
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from trivd_tf.base.errors import InputError
from trivd_tf.pictures.video_io import Clip, read_clip


def encode(path: Path, codec: str, *, size: tuple[int, int] = (24, 32), count: int = 8) -> Path:
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        for _ in range(count):
            image = rng.integers(0, 256, (size[0] // 4, size[1] // 4, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(image.repeat(4, 0).repeat(4, 1), format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("originals")
    paths = [
        encode(folder / "a.mp4", "libx264"),
        encode(folder / "b.mkv", "mpeg4"),
        encode(folder / "c.avi", "mpeg2video"),
    ]
    frames = [Image.fromarray(np.full((24, 32, 3), 20 * i, np.uint8)) for i in range(8)]
    frames[0].save(folder / "d.gif", save_all=True, append_images=frames[1:], duration=100)
    return [*paths, folder / "d.gif"]


def attempt(path: Path) -> Clip | None:
    """A clip of the right shape, or None after a refusal in one line that names the file."""
    refusal = None
    try:
        clip = read_clip(path, num_conditioning_frames=5, size=16, num_continuation_frames=3)
    except InputError as error:
        refusal = str(error)
    if refusal is not None:
        assert str(path) in refusal
        assert "\n" not in refusal
        return None
    assert clip.conditioning.shape == (5, 16, 16, 3)
    assert clip.continuation.shape[1:] == (16, 16, 3)
    assert 0 < clip.frame_rate <= 120
    return clip


def test_damaged_files(originals: list[Path], tmp_path: Path) -> None:
    """200 files: cut off, with bytes changed, zeroed, shuffled, or under another's name."""
    rng = np.random.default_rng(4)
    refused = 0
    for number in range(200):
        original = originals[number % len(originals)]
        content = np.frombuffer(original.read_bytes(), np.uint8).copy()
        kind = number // len(originals) % 5
        start = int(rng.integers(0, len(content)))
        if kind == 0:
            content = content[:start]
        elif kind == 1:
            content[rng.integers(0, len(content), 1 + number % 20)] ^= 0xFF
        elif kind == 2:
            content[start : start + 200] = 0
        elif kind == 3:
            rng.shuffle(content[start : start + 400])
        else:
            # Numbers in headers at their largest: giant sides, counts and durations.
            content[rng.integers(0, min(len(content), 600), 4)] = 0xFF
        suffix = originals[int(rng.integers(4))].suffix
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(content.tobytes())
        refused += attempt(path) is None
        path.unlink()
    assert refused >= 60
    for original in originals:
        assert attempt(original) is not None


def test_names_do_not_decide(originals: list[Path], tmp_path: Path) -> None:
    for original in originals:
        path = tmp_path / "really: not#a.txt"
        path.write_bytes(original.read_bytes())
        assert attempt(path) is not None


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 5000, b"#EXTM3U\n/etc/passwd\n", b"<svg/>", b"GIF89a"]
)
def test_what_is_no_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "upload.mp4"
    path.write_bytes(content)
    assert attempt(path) is None


def test_playlists_open_no_other_file(originals: list[Path], tmp_path: Path) -> None:
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXTINF:1,\n{originals[0]}\n#EXT-X-ENDLIST\n")
    concat = tmp_path / "list.ffconcat"
    concat.write_text(f"ffconcat version 1.0\nfile {originals[0]}\n")
    for path in (playlist, concat):
        assert attempt(path) is None


def test_a_gif_of_giant_sides_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "giant.gif"
    Image.new("P", (8, 8)).save(path, save_all=True, append_images=[Image.new("P", (8, 8), 1)] * 5)
    content = bytearray(path.read_bytes())
    content[6:10] = b"\xff\xff\xff\xff"  # a canvas of 65535 x 65535, 12 GB a frame
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(str(path))):
        read_clip(path, num_conditioning_frames=5, size=16)


def test_only_the_frames_needed_are_read(tmp_path: Path) -> None:
    """A clip of very many frames costs no more than a short one."""
    path = tmp_path / "long.mkv"
    encode(path, "mpeg4", count=600)
    clip = attempt(path)
    assert clip is not None
    assert len(clip.continuation) == 3
    with pytest.raises(InputError, match="more than 100 frames"):
        read_clip(path, num_conditioning_frames=5, size=16, window="last", max_decoded_frames=100)


def test_rotation_is_applied(tmp_path: Path) -> None:
    """A phone's clip: stored lying, shown standing."""
    path = tmp_path / "phone.mp4"
    image = np.zeros((32, 32, 3), np.uint8)
    image[:16] = 220  # stored: bright above
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height = stream.width = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    upright = attempt(path)
    assert upright is not None
    # The track header's matrix says: turn by 90 degrees (16.16 fixed point).
    content = path.read_bytes()
    unit = (1 << 16).to_bytes(4, "big")
    minus = (2**32 - (1 << 16)).to_bytes(4, "big")
    zero, last = bytes(4), (1 << 30).to_bytes(4, "big")
    identity = unit + zero * 3 + unit + zero * 3 + last
    turned = zero + unit + zero + minus + zero * 4 + last
    at = content.index(identity, content.index(b"tkhd"))
    path.write_bytes(content[:at] + turned + content[at + len(identity) :])
    rotated = attempt(path)
    assert rotated is not None
    frame = rotated.conditioning[0].astype(int)
    assert frame[:, 9:].mean() - frame[:, :7].mean() > 150  # bright on the right
    assert abs(frame[9:].mean() - frame[:7].mean()) < 20


def test_variable_frame_rate_counts_frames(tmp_path: Path) -> None:
    path = tmp_path / "vfr.gif"
    frames = [Image.fromarray(np.full((16, 16, 3), 30 * i, np.uint8)) for i in range(8)]
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=[20, 500, 20, 90, 20, 700, 20, 20]
    )
    clip = attempt(path)
    assert clip is not None
    means = np.concatenate([clip.conditioning, clip.continuation]).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(means, 30 * np.arange(8), atol=2)
