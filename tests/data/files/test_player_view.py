"""Files are read as a player shows them: the stream, the frames, how they stand, over what."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.files import makers
from tests.data.files.ffmpeg import ffmpeg_frames, largest_difference, needs_ffmpeg
from tests.data.videos import encode, moving_frames, numbered_frames
from trivd_tf.data.files.container import UnreadableVideo
from trivd_tf.data.files.decode import decode_frames
from trivd_tf.pictures.video_io import read_clip


def read(path, **options):
    return np.stack(list(decode_frames(path, **options)))


def mean_difference(ours, theirs):
    assert ours.shape == theirs.shape
    return np.abs(ours.astype(int) - theirs).mean()


# Edit lists.


def test_frames_that_an_edit_list_hides_are_not_missed(tmp_path):
    frames = moving_frames(93)
    path = makers.with_edit_list(tmp_path / "cut.mp4", frames, hidden=70)
    shown = read(path)
    assert mean_difference(shown, frames[70:]) < 6
    assert mean_difference(shown[:-1], frames[71:]) > 9  # the frames before and after are others
    clip = read_clip(path, num_conditioning_frames=5, size=16, window="last")
    assert np.array_equal(clip.conditioning[-1], read(path, size=16)[-1][:, 2:18])


def test_a_cut_file_with_an_edit_list_is_truncated_all_the_same(tmp_path):
    path = makers.with_edit_list(tmp_path / "cut.mp4", moving_frames(93), hidden=40)
    data = path.read_bytes()
    assert data.index(b"mdat") < data.index(b"moov")
    # The index goes to the front, as in files for the web; its offsets grow by its own length.
    start, moov = data.index(b"mdat") - 4, data[data.index(b"moov") - 4 :]
    table = moov.index(b"stco")
    count = int.from_bytes(moov[table + 8 : table + 12], "big")
    moved = bytearray(moov)
    for at in range(table + 12, table + 12 + 4 * count, 4):
        offset = int.from_bytes(moov[at : at + 4], "big") + len(moov)
        moved[at : at + 4] = offset.to_bytes(4, "big")
    body = data[start : data.index(b"moov") - 4]
    path.write_bytes(data[:start] + moved + body)
    assert len(read(path)) == 53
    path.write_bytes(data[:start] + moved + body[: len(body) * 3 // 4])
    with pytest.raises(UnreadableVideo, match="truncated"):
        read(path)


# Cover pictures.


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_cover_picture_is_no_video(tmp_path, ending):
    frames = moving_frames(20)
    cover = moving_frames(1, 96, 96)[0]
    path = makers.with_cover(tmp_path / f"v.{ending}", frames, cover)
    assert mean_difference(read(path), frames) < 6


def test_a_song_with_a_cover_is_refused(tmp_path):
    path = makers.with_cover(tmp_path / "v.mp4", moving_frames(0), moving_frames(1)[0])
    with pytest.raises(UnreadableVideo, match=r"not a video \(its only picture is a cover\)"):
        read(path)


# Display matrices.


@pytest.mark.parametrize("size", [None, 24])
@pytest.mark.parametrize("name", makers.MATRICES)
def test_every_display_matrix_is_applied(tmp_path, name, size):
    matrix, turn = makers.MATRICES[name]
    path = encode(tmp_path / "v.mp4", moving_frames(3), codec="mpeg4", pixel_format="yuv420p")
    stored = read(path, size=size)
    makers.set_matrix(path, matrix)
    assert np.array_equal(read(path, size=size), turn(stored))


@needs_ffmpeg
@pytest.mark.parametrize("name", makers.MATRICES)
def test_turned_frames_are_those_of_ffmpeg(tmp_path, name):
    # Chroma of full size: where halved chroma is sited, ffmpeg's filter and libswscale disagree.
    path = encode(tmp_path / "v.mp4", moving_frames(3), codec="libx264", pixel_format="yuv444p")
    ours = read(makers.set_matrix(path, makers.MATRICES[name][0]))
    assert largest_difference(ours, ffmpeg_frames(path, *ours.shape[1:3])) <= 2


# Pixels that are not square.


@pytest.mark.parametrize(
    ("shape", "aspect", "shown"),
    [
        ((96, 72), Fraction(16, 9), (96, 128)),
        ((48, 72), Fraction(8, 9), (48, 64)),
        ((48, 64), Fraction(1, 1000), (48, 64)),  # no picture is like that: damage
    ],
)
def test_pixel_aspect_is_evened_out(tmp_path, shape, aspect, shown):
    path = makers.with_pixel_aspect(tmp_path / "v.mp4", moving_frames(2, *shape), aspect)
    assert read(path).shape[1:3] == shown
    small = read(path, size=16).shape[1:3]
    assert small == tuple(round(16 * side / min(shown)) for side in shown)


def test_pixel_aspect_goes_with_the_turned_picture(tmp_path):
    path = makers.with_pixel_aspect(tmp_path / "v.mp4", moving_frames(2, 96, 72), Fraction(16, 9))
    stored = read(path, size=24)
    makers.set_matrix(path, makers.MATRICES["clockwise"][0])
    assert read(path).shape == (2, 128, 96, 3)
    assert np.array_equal(read(path, size=24), np.rot90(stored, -1, axes=(1, 2)))


@needs_ffmpeg
@pytest.mark.parametrize("aspect", [Fraction(16, 9), Fraction(8, 9), Fraction(32, 27)])
def test_scaled_pixels_are_those_of_ffmpeg(tmp_path, aspect):
    path = makers.with_pixel_aspect(tmp_path / "v.mp4", moving_frames(3, 96, 72), aspect)
    ours = read(path, size=48)
    assert largest_difference(ours, ffmpeg_frames(path, *ours.shape[1:3])) <= 2


# GIFs.


@pytest.fixture
def gif(tmp_path):
    return encode(tmp_path / "v.gif", moving_frames(20), codec="gif", pixel_format="rgb8")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],  # no trailer
        lambda data: data + bytes(200),
        lambda data: data + np.random.default_rng(0).bytes(200),
        lambda data: data + b"<!-- saved by a browser -->",
    ],
)
def test_a_gif_without_trailer_or_with_bytes_after_it_is_whole(gif, change):
    whole = read(gif)
    gif.write_bytes(change(gif.read_bytes()))
    assert np.array_equal(read(gif), whole)


def test_a_gif_that_ends_within_a_frame_is_truncated(gif):
    gif.write_bytes(gif.read_bytes()[:-40])
    with pytest.raises(UnreadableVideo, match="truncated"):
        read(gif)


# Animated WebP.


def write_pillow(path: Path, frames: np.ndarray, **options) -> Path:
    images = [Image.fromarray(frame) for frame in frames]
    options = {"duration": 40, "loop": 0, **options}
    images[0].save(path, save_all=True, append_images=images[1:], **options)
    return path


def test_animated_webp_is_read(tmp_path):
    frames = moving_frames(12)
    path = write_pillow(tmp_path / "a.webp", frames, lossless=True)
    assert np.array_equal(read(path), frames)
    clip = read_clip(path, num_conditioning_frames=5, size=48)
    assert clip.frame_rate == 25
    assert np.array_equal(clip.conditioning, frames[:5, :, 8:56])


def test_a_damaged_animated_webp_is_refused(tmp_path):
    path = write_pillow(tmp_path / "a.webp", moving_frames(12), lossless=True)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableVideo, match=r"a\.webp"):
        read(path)


# Transparency.


def transparent_frames() -> np.ndarray:
    """RGBA `[6, 64, 64, 4]`: a hidden colour on the left, half on top right, opaque below."""
    frames = np.zeros((6, 64, 64, 4), np.uint8)
    frames[..., :3] = np.arange(6)[:, None, None, None] * 20 + np.array([120, 60, 20])
    frames[:, :32, 32:, 3] = 128
    frames[:, 32:, 32:, 3] = 255
    return frames


def over_black(frames: np.ndarray) -> np.ndarray:
    return np.round(frames[..., :3] * (frames[..., 3:] / 255)).astype(np.uint8)


def write_transparent(folder: Path, kind: str) -> Path:
    frames = transparent_frames()
    if kind == "webm":
        return encode(
            folder / "v.webm",
            frames,
            codec="libvpx-vp9",
            pixel_format="yuva420p",
            source_format="rgba",
        )
    if kind == "webp":
        return write_pillow(folder / "v.webp", frames, lossless=True)
    if kind == "mov":
        return encode(
            folder / "v.mov",
            frames,
            codec="prores_ks",
            pixel_format="yuva444p10le",
            source_format="rgba",
        )
    return encode(
        folder / f"v.{kind}", frames, codec="apng", pixel_format="rgba", source_format="rgba"
    )


@pytest.mark.parametrize("kind", ["webm", "apng", "webp", "mov"])
@pytest.mark.parametrize("size", [None, 32])
def test_transparent_frames_are_composed_over_black(tmp_path, kind, size):
    shown = read(write_transparent(tmp_path, kind), size=size).astype(int)
    expected = over_black(transparent_frames())
    if size:  # away from the edges, where filters differ
        shown, expected = shown[:, 4:-4, 20:-4], expected[:, 8:-8:2, 40:-8:2]
        shown, expected = shown[:, [0, -1]], expected[:, [0, -1]]
    else:
        shown = np.delete(np.delete(shown, range(28, 36), 1), range(28, 36), 2)
        expected = np.delete(np.delete(expected, range(28, 36), 1), range(28, 36), 2)
    lossless = kind in ("apng", "webp")
    assert np.abs(shown - expected).max() <= (1 if lossless else 4)


def test_a_transparent_gif_has_the_same_background(tmp_path):
    frames = transparent_frames()[:, 32:]  # GIFs know no half
    path = write_pillow(tmp_path / "v.gif", frames, disposal=2)
    assert np.abs(read(path).astype(int) - over_black(frames)).max() <= 2


@pytest.mark.parametrize("transparent", [None, 3])
@pytest.mark.parametrize("disposals", [(2, 1, 1), (1, 2, 1), (1, 1, 1), (3, 1, 1), (0, 3, 2)])
def test_a_gif_that_empties_its_canvas_shows_black_there(tmp_path, disposals, transparent):
    """Whether an opaque canvas stays opaque is read from the blocks: against GIF89a's rules."""
    palette = np.array([[250, 20, 20], [20, 250, 20], [240, 240, 240], [90, 90, 250]], np.uint8)
    images = [makers.GifImage(np.full((40, 60), 2), 0, 0, disposals[0], transparent)]
    for number, disposal in enumerate((*disposals[1:], 1)):
        indices = np.full((10, 20), number % 2)
        indices[:, :5] = 3
        images.append(makers.GifImage(indices, 5 + 8 * number, 10, disposal, transparent))
    path = makers.raw_gif(tmp_path / "v.gif", (40, 60), palette, images)

    background = palette[0] if transparent is None else (0, 0, 0)
    expected, canvas = [], np.full((40, 60, 3), background, np.uint8)
    for image in images:
        before = canvas.copy()
        rows, columns = image.indices.shape
        place = np.s_[image.top : image.top + rows, image.left : image.left + columns]
        drawn = image.indices != (-1 if transparent is None else transparent)
        canvas[place][drawn] = palette[image.indices[drawn]]
        expected.append(canvas.copy())
        if image.disposal == 2:
            canvas[place] = background
        elif image.disposal == 3:
            canvas = before
    assert np.abs(read(path).astype(int) - np.stack(expected)).max() <= 1


def test_hidden_colours_do_not_bleed_into_what_is_shown(tmp_path):
    frames = np.zeros((2, 64, 64, 4), np.uint8)
    frames[:, :, :32] = (255, 255, 255, 0)  # white that is not shown, beside black that is
    frames[:, :, 32:] = (0, 0, 0, 255)
    path = encode(
        tmp_path / "v.apng", frames, codec="apng", pixel_format="rgba", source_format="rgba"
    )
    assert read(path, size=20).max() == 0


@needs_ffmpeg
@pytest.mark.parametrize("kind", ["webm", "apng", "mov"])
def test_composed_frames_are_those_of_ffmpeg(tmp_path, kind):
    path = write_transparent(tmp_path, kind)
    ours = read(path)
    height, width = ours.shape[1:3]
    theirs = ffmpeg_frames(
        path,
        height,
        width,
        filters="[in]format=rgba[a];color=black:r=25,"
        f"scale={width}:{height},format=rgba[b];[b][a]overlay=format=rgb:shortest=1",
        decoder="libvpx-vp9" if kind == "webm" else None,
    )
    assert largest_difference(ours, theirs) <= 2


# Pictures that are numbered.


def write_pictures(folder: Path, frames: np.ndarray, names: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in zip(names, frames, strict=True):
        Image.fromarray(frame).save(folder / name)
    return folder


@pytest.mark.parametrize(
    "name",
    ["{:04d}.png", "{}.png", "frame_{}.bmp", "clip7_{:03d}.webp", "00-{:02d}-img.tiff"],
)
def test_a_folder_of_numbered_pictures_is_one_video(tmp_path, name):
    frames = numbered_frames(3, 12)
    options = [8, 9, 10, 11, 12, 13, 19, 20, 101, 102, 103, 200]  # gaps, and 9 before 10
    folder = write_pictures(tmp_path / "v1", frames, [name.format(n) for n in options])
    if name.endswith("webp"):
        for number, frame in zip(options, frames, strict=True):
            Image.fromarray(frame).save(folder / name.format(number), lossless=True)
    assert np.array_equal(read(folder), frames)
    clip = read_clip(folder, num_conditioning_frames=3, size=32)
    assert np.array_equal(clip.conditioning, frames[:3, :, 8:40])
    assert clip.frame_rate == 25


def test_depths_palettes_and_exif_of_pictures(tmp_path):
    frame = moving_frames(1, 30, 40)[0]
    folder = tmp_path / "v"
    folder.mkdir()
    Image.fromarray(frame).quantize(256).save(folder / "1.png")
    deep = frame[..., 0].astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "2.png")
    Image.fromarray(frame[..., 0]).save(folder / "3.png")
    turned = Image.fromarray(np.rot90(frame))  # counterclockwise: to be turned back
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(folder / "4.jpg", exif=exif, quality=100, subsampling=0)
    Image.fromarray(np.dstack([frame, np.full((30, 40), 128, np.uint8)])).save(folder / "5.png")
    shown = read(folder)
    assert mean_difference(shown[0], frame) < 8
    grey = np.repeat(frame[..., :1], 3, axis=-1)
    assert np.abs(shown[1].astype(int) - grey).max() <= 1
    assert np.array_equal(shown[2], grey)
    assert mean_difference(shown[3], frame) < 2
    assert np.abs(shown[4] - frame * (128 / 255)).max() <= 1


def test_pictures_of_another_size_are_named(tmp_path):
    folder = write_pictures(tmp_path / "v", numbered_frames(0, 2), ["1.png", "2.png"])
    write_pictures(folder, numbered_frames(0, 1, 16, 16), ["3.png"])
    with pytest.raises(UnreadableVideo, match=r"3\.png is 16 x 16, .* 48 x 32; .* one size"):
        read(folder)


def test_several_series_in_one_folder_are_named(tmp_path):
    frames = numbered_frames(0, 4)
    for number, names in enumerate(
        (["l1.png", "l2.png", "r1.png", "r2.png"], ["1_1.png", "1_2.png", "2_1.png", "2_2.png"])
    ):
        folder = write_pictures(tmp_path / str(number), frames, names)
        with pytest.raises(UnreadableVideo, match="2 series"):
            read(folder)
    clock = ["12-59-58.png", "12-59-59.png", "13-00-00.png", "13-00-01.png"]
    assert np.array_equal(read(write_pictures(tmp_path / "clock", frames, clock)), frames)


@pytest.mark.parametrize(
    ("names", "message"),
    [(["a.png", "b.png"], "a.png has no number"), (["1.png", "01.png"], "have the same number")],
)
def test_pictures_that_are_no_series_are_one_line(tmp_path, names, message):
    folder = write_pictures(tmp_path / "v", numbered_frames(0, 2), names)
    with pytest.raises(UnreadableVideo, match=message) as error:
        read(folder)
    assert "\n" not in str(error.value)
