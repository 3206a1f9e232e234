import struct
import wave

import av
import numpy as np
import pytest
from PIL import Image

from tests.data.videos import cut_largest_picture, encode, moving_frames, numbered_frames
from trivd_tf.base.errors import InputError
from trivd_tf.data.files import container, decode
from trivd_tf.data.files.decode import UnreadableVideo, decode_frames


def read(path, **options):
    return np.stack(list(decode_frames(path, **options)))


def test_lossless_video_decodes_to_the_frames_written(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (5, 18, 22, 3), np.uint8)
    assert np.array_equal(read(encode(tmp_path / "v.mkv", frames)), frames)


def test_max_frames_stops_early_and_reads_no_further(tmp_path):
    path = encode(tmp_path / "v.mkv", numbered_frames(0, 60))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert np.array_equal(read(path, max_frames=4), numbered_frames(0, 4))
    with pytest.raises(InputError, match="max_frames"):
        read(path, max_frames=0)


@pytest.mark.parametrize(("shape", "size"), [((120, 200), 32), ((200, 120), 48), ((40, 40), 64)])
def test_resizing_is_pillows_antialiased_bicubic_within_rounding(tmp_path, shape, size):
    frames = np.random.default_rng(0).integers(0, 256, (1, *shape, 3), np.uint8)
    given = read(encode(tmp_path / "v.mkv", frames), size=size)[0]
    height, width = given.shape[:2]
    assert min(height, width) == size
    expected = np.asarray(Image.fromarray(frames[0]).resize((width, height), Image.BICUBIC))
    # Noise is the hardest content; without antialiasing the difference is above 25.
    assert np.abs(given.astype(int) - expected).mean() < 2


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("v.mp4", "mpeg4", "yuv420p"),
        ("v.avi", "mpeg4", "yuv420p"),
        ("v.mkv", "ffv1", "yuv422p10le"),
        ("v.webm", "libvpx-vp9", "yuv420p"),
        ("v.gif", "gif", "rgb8"),
        ("v.avi", "mjpeg", "yuvj420p"),
    ],
)
def test_containers_and_pixel_formats(tmp_path, name, codec, pixel_format):
    frames = moving_frames(8)
    given = read(encode(tmp_path / name, frames, codec=codec, pixel_format=pixel_format))
    assert given.shape == frames.shape
    tolerance = 30 if codec == "gif" else 12  # 256 colours
    assert np.abs(given.astype(int) - frames).mean() < tolerance


def test_grey_of_16_bits_keeps_its_high_byte(tmp_path):
    grey = (np.arange(24 * 32).reshape(1, 24, 32) * 80).astype(np.uint16)
    path = encode(tmp_path / "v.mkv", grey, pixel_format="gray16le", source_format="gray16le")
    given = read(path)[0].astype(int)
    assert given.shape == (24, 32, 3)
    assert np.abs(given - (grey[0] / 257)[..., None]).max() <= 1.5


def test_variable_frame_rate_gives_each_coded_frame_once(tmp_path):
    frames = numbered_frames(0, 6)
    path = encode(tmp_path / "v.mkv", frames, times=[0, 1, 5, 30, 31, 90])
    assert np.array_equal(read(path), frames)


def set_rotation(path, matrix):
    """Writes the track's display matrix: nine big-endian 16.16 numbers in the tkhd box."""
    data = bytearray(path.read_bytes())
    box = data.index(b"tkhd")
    data[box + 44 : box + 80] = struct.pack(
        ">9i", *(v << (30 if i % 3 == 2 else 16) for i, v in enumerate(matrix))
    )
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("matrix", "turns"),
    [
        ((0, 1, 0, -1, 0, 0, 0, 0, 1), -1),  # a phone held upright: a quarter turn clockwise
        ((-1, 0, 0, 0, -1, 0, 0, 0, 1), 2),
        ((0, -1, 0, 1, 0, 0, 0, 0, 1), 1),
    ],
)
@pytest.mark.parametrize("size", [None, 24])
def test_display_rotation_is_applied(tmp_path, matrix, turns, size):
    path = encode(tmp_path / "v.mp4", moving_frames(3), codec="mpeg4", pixel_format="yuv420p")
    upright = read(path, size=size)
    set_rotation(path, matrix)
    assert np.array_equal(read(path, size=size), np.rot90(upright, turns, axes=(1, 2)))


def test_a_rectangle_is_covered_as_the_video_is_displayed(tmp_path):
    path = encode(tmp_path / "v.mp4", moving_frames(3), codec="mpeg4", pixel_format="yuv420p")
    upright = read(path, size=(40, 24))
    assert upright.shape == (3, 40, 53, 3)  # 48 x 64
    set_rotation(path, (0, 1, 0, -1, 0, 0, 0, 0, 1))
    assert np.array_equal(read(path, size=(24, 40)), np.rot90(upright, -1, axes=(1, 2)))


def test_probe_reads_the_header(tmp_path):
    info = decode.probe(encode(tmp_path / "v.mkv", moving_frames(3), rate=10))
    assert info == decode.VideoInfo(height=48, width=64, frame_rate=10.0, codec="ffv1")


def test_name_with_colon_percent_and_spaces(tmp_path):
    frames = numbered_frames(0, 2)
    assert len(read(encode(tmp_path / "http: %03d [x].mkv", frames))) == 2


def write_sound(path):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))


@pytest.mark.parametrize("name", ["notes.txt", "notes.mp4", "noise.avi", "zeros.mkv", "empty.webm"])
def test_what_is_no_video_is_refused_in_one_quiet_line(tmp_path, capfd, name):
    contents = {
        "notes": b"just text, many lines\n" * 200,
        "noise": np.random.default_rng(0).bytes(30_000),
        "zeros": bytes(30_000),
        "empty": b"",
    }
    path = tmp_path / name
    path.write_bytes(contents[path.stem])
    with pytest.raises(UnreadableVideo, match=f"{name}.*not a video") as error:
        read(path)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_sound_without_picture_is_refused(tmp_path):
    write_sound(tmp_path / "sound.wav")
    with pytest.raises(UnreadableVideo, match="no video stream"):
        read(tmp_path / "sound.wav")


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("v.mp4", "mpeg4", "yuv420p"),
        ("v.avi", "mpeg4", "yuv420p"),
        ("v.mkv", "ffv1", "yuv422p10le"),
        ("v.webm", "libvpx-vp9", "yuv420p"),
        ("v.gif", "gif", "rgb8"),
    ],
)
@pytest.mark.parametrize("share", [0.4, 0.8])
def test_truncated_files_are_told_from_short_ones(
    tmp_path, capfd, name, codec, pixel_format, share
):
    path = encode(tmp_path / name, moving_frames(60), codec=codec, pixel_format=pixel_format)
    whole = len(read(path))
    assert whole == 60
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(UnreadableVideo, match=name):
        read(path)
    assert capfd.readouterr() == ("", "")


def test_damage_in_the_middle_is_noticed(tmp_path):
    path = encode(tmp_path / "v.mp4", moving_frames(60), codec="mpeg4", pixel_format="yuv420p")
    data = bytearray(path.read_bytes())
    for place in np.random.default_rng(0).integers(len(data) // 3, len(data) // 2, 300):
        data[place] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(UnreadableVideo, match="corrupt"):
        read(path)


def test_damage_that_the_decoder_paints_over_is_noticed(tmp_path):
    path = encode(tmp_path / "v.mp4", moving_frames(60), codec="libx264", pixel_format="yuv420p")
    cut_largest_picture(path)
    # libav raises no error and gives all 60 frames.
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 60
    with pytest.raises(UnreadableVideo, match=r"corrupt or truncated after frame \d+$"):
        read(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "missing.mp4")
    with pytest.raises(InputError, match="a folder without numbered pictures"):
        read(tmp_path)


def test_giant_frames_are_refused_before_memory_is_taken(tmp_path, monkeypatch):
    path = encode(tmp_path / "v.mkv", moving_frames(1))
    monkeypatch.setattr(container, "MAX_PIXELS", 48 * 64 - 1)
    with pytest.raises(UnreadableVideo, match="64 x 48 pixels"):
        read(path)


def test_libav_stays_silent():
    assert av.logging.get_level() is None
