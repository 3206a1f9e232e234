"""Reading clips of every kind, writing them, and what a player makes of the files."""

import fractions
import os
import re
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.data.files.decode import decode_frames, probe
from trivd_tf.pictures import video_io


def ramp_frames(count: int, height: int, width: int) -> np.ndarray:
    """Smooth frames whose mean brightness tells their number (10 grey levels apart)."""
    base = np.zeros((count, height, width, 3), np.uint8)
    base += (20 + 10 * np.arange(count, dtype=np.uint8))[:, None, None, None]
    base[..., 0] += np.linspace(0, 30, width).astype(np.uint8)
    return base


def write_with(path: Path, frames: np.ndarray, codec: str, pix_fmt: str, rate: int = 20) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        for frame in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.fixture(scope="module")
def clip_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "clip.mkv"
    return write_with(path, ramp_frames(12, 48, 80), "ffv1", "bgr0")


def numbers(frames: np.ndarray) -> list[int]:
    """Which frames of `ramp_frames` these are (green is the number alone)."""
    return [round((float(frame[..., 1].mean()) - 20) / 10) for frame in frames]


def read(path: Path, **options) -> video_io.Clip:
    return video_io.read_clip(path, **{"num_conditioning_frames": 3, "size": 16, **options})


def test_first_frames_and_their_continuation(clip_path: Path) -> None:
    clip = read(clip_path, num_continuation_frames=4)
    assert clip.conditioning.shape == (3, 16, 16, 3)
    assert numbers(clip.conditioning) == [0, 1, 2]
    assert numbers(clip.continuation) == [3, 4, 5, 6]
    assert clip.frame_rate == 20
    assert numbers(read(clip_path, num_continuation_frames=99).continuation) == list(range(3, 12))


def test_last_frames_have_no_continuation(clip_path: Path) -> None:
    clip = read(clip_path, window="last", num_continuation_frames=4)
    assert numbers(clip.conditioning) == [9, 10, 11]
    assert clip.continuation.shape == (0, 16, 16, 3)


def test_stride(clip_path: Path) -> None:
    clip = read(clip_path, stride=3, num_continuation_frames=1)
    assert numbers(clip.conditioning) == [0, 3, 6]
    assert numbers(clip.continuation) == [9]
    assert clip.frame_rate == pytest.approx(20 / 3)
    assert numbers(read(clip_path, stride=2, window="last").conditioning) == [7, 9, 11]


def test_centre_crop_of_the_smallest_side(tmp_path: Path) -> None:
    frames = np.zeros((3, 16, 48, 3), np.uint8)
    frames[:, :, 16:32] = 200  # exactly the centre square
    path = write_with(tmp_path / "wide.mkv", frames, "ffv1", "bgr0")
    np.testing.assert_array_equal(read(path).conditioning, np.full((3, 16, 16, 3), 200))
    tall = write_with(tmp_path / "tall.mkv", frames.transpose(0, 2, 1, 3), "ffv1", "bgr0")
    np.testing.assert_array_equal(read(tall).conditioning, np.full((3, 16, 16, 3), 200))


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("grey.mkv", "ffv1", "gray"),
        ("deep.mkv", "ffv1", "yuv444p16le"),
        ("ten.mp4", "libx265", "yuv420p10le"),
        ("odd.mkv", "ffv1", "yuv411p"),
    ],
)
def test_any_container_and_pixel_format(
    tmp_path: Path, name: str, codec: str, pix_fmt: str
) -> None:
    frames = ramp_frames(6, 48, 80)
    frames[...] = frames[..., 1:2]  # grey, so that grey formats lose nothing
    path = write_with(tmp_path / name, frames, codec, pix_fmt)
    clip = read(path, num_continuation_frames=3)
    assert numbers(np.concatenate([clip.conditioning, clip.continuation])) == list(range(6))


def test_bad_files_are_named(tmp_path: Path, clip_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video at all")
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(clip_path.read_bytes()[:700])
    empty = tmp_path / "empty.gif"
    empty.touch()
    for path in (text, cut, empty, tmp_path / "missing.mp4", tmp_path):
        with pytest.raises(InputError, match=re.escape(str(path))):
            read(path)


def test_too_short_says_what_is_needed(clip_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds 12 frames.* 13"):
        read(clip_path, num_conditioning_frames=13)
    with pytest.raises(InputError, match=r"holds 12 frames.* 13 .every 6th"):
        read(clip_path, stride=6, window="last")
    with pytest.raises(InputError, match="more than 5 frames"):
        read(clip_path, window="last", max_decoded_frames=5)


def test_strips_are_refused(tmp_path: Path) -> None:
    path = write_with(tmp_path / "strip.mkv", np.zeros((3, 4, 400, 3), np.uint8), "ffv1", "bgr0")
    with pytest.raises(InputError, match="400 x 4"):
        read(path)


def test_gif_delays_keep_the_clock() -> None:
    assert gif_sum(30, 30) == 100
    assert video_io.gif_delays(3, 30) == [3, 4, 3]
    assert gif_sum(50, 12.5) == 400
    assert set(video_io.gif_delays(10, 200)) == {2}


def gif_sum(count: int, rate: float) -> int:
    return sum(video_io.gif_delays(count, rate))


def test_gif_keeps_colours_and_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (5, 4, 4, 3), np.uint8).repeat(12, 1).repeat(12, 2)
    path = video_io.write_gif(tmp_path / "a.gif", coarse, frame_rate=8)
    with Image.open(path) as image:
        assert image.n_frames == 5
        assert image.info["loop"] == 0
        delays, frames = [], []
        for index in range(5):
            image.seek(index)
            delays.append(image.info["duration"])
            frames.append(np.asarray(image.convert("RGB")))
    assert sum(delays) == 620  # 5 / 8 s in whole hundredths
    # 80 colours fit a palette of 256, so the file's own palette loses next to nothing.
    assert np.abs(np.stack(frames).astype(int) - coarse).max() <= 4


def test_mp4_plays_and_keeps_colours(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    coarse = rng.integers(30, 226, (6, 3, 5, 3), np.uint8).repeat(21, 1).repeat(21, 2)
    assert coarse.shape[1:3] == (63, 105)  # odd sides
    path = video_io.write_mp4(tmp_path / "a.mp4", coarse, frame_rate=30000 / 1001)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == fractions.Fraction(30000, 1001)
        assert stream.frames == 6
    info = probe(path)
    assert (info.height, info.width) == (64, 106)
    decoded = np.stack(list(decode_frames(path)))[:, :63, :105].astype(float)
    inner = np.zeros((63, 105), bool)
    for top in range(3):  # the middles of the patches, away from chroma edges
        for left in range(5):
            inner[21 * top + 7 : 21 * top + 14, 21 * left + 7 : 21 * left + 14] = True
    assert np.abs(decoded - coarse)[:, inner].mean() < 3


def test_upscale() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    large = video_io.upscale(frames, smallest_side=14)
    np.testing.assert_array_equal(large, frames.repeat(3, 1).repeat(3, 2))
    assert video_io.upscale(frames, smallest_side=5) is frames
    smooth = video_io.upscale(frames, smallest_side=14, method="bicubic")
    assert smooth.shape == large.shape
    assert not np.array_equal(smooth, large)
    with pytest.raises(InputError, match="lanczos"):
        video_io.upscale(frames, smallest_side=14, method="lanczos")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(b"old")

    def fill_the_disk(image, partial, **options) -> None:
        Path(partial).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fill_the_disk)
    with pytest.raises(RunError, match=r"a\.gif.*No space left"):
        video_io.write_gif(path, np.zeros((2, 4, 4, 3), np.uint8), frame_rate=25)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.gif"]


def test_an_impossible_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=str(tmp_path / "file")):
        video_io.write_png(tmp_path / "file" / "a.png", np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize(
    "frames",
    [np.zeros((0, 4, 4, 3), np.uint8), np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4), np.uint8)],
)
def test_frames_of_another_kind_are_refused(tmp_path: Path, frames: np.ndarray) -> None:
    with pytest.raises(InputError, match="uint8"):
        video_io.write_mp4(tmp_path / "a.mp4", frames, frame_rate=25)
    assert not list(tmp_path.iterdir())
