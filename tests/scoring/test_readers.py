"""Frames of a folder are those that were written, whatever their format."""

import numpy as np
import pytest
from PIL import Image

from tests.scoring.conftest import video, write
from trivd_tf.base.errors import InputError
from trivd_tf.scoring.readers import find_videos

_ORIENTATION, _TURN_RIGHT = 0x0112, 6


def _write_frames(folder, frames, ending, **options):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frame_{number}.{ending}", **options)


def _frames(root):
    """By the video's name; and what was left out."""
    videos, problems = find_videos(root)
    found = {one.name: np.stack(list(one.frames(size=None, frame_rate=None))) for one in videos}
    return found, problems


def test_pictures_of_every_kind_are_the_frames_that_were_written(tmp_path):
    frames = video(3, frames=12)  # 12: frame_10 comes after frame_9
    _write_frames(tmp_path / "plain", frames, "png")
    _write_frames(tmp_path / "webp", frames, "webp", lossless=True)
    # What a camera held upright writes: rows to the left, and a note to turn them.
    exif = Image.Exif()
    exif[_ORIENTATION] = _TURN_RIGHT
    _write_frames(tmp_path / "turned", np.rot90(frames, 1, axes=(1, 2)), "png", exif=exif)
    _write_frames(tmp_path / "deep", frames[..., 0].astype(np.uint16) * 257, "png")
    pages = [Image.fromarray(frame) for frame in frames]
    animation = tmp_path / "animation.webp"
    pages[0].save(animation, save_all=True, append_images=pages[1:], lossless=True, duration=40)
    found, problems = _frames(tmp_path)
    assert not problems
    assert set(found) == {"plain", "webp", "turned", "deep", "animation"}
    for name in ("plain", "webp", "turned", "animation"):
        np.testing.assert_array_equal(found[name], frames, err_msg=name)
    expected = np.repeat(frames[..., :1], 3, axis=-1)
    # libswscale rounds 257 v / 257 to v or a neighbour.
    np.testing.assert_allclose(found["deep"].astype(int), expected, atol=1)


def test_what_is_no_video_is_named_with_the_reason(tmp_path):
    write(tmp_path / "good.mkv", video(0))
    _write_frames(tmp_path / "alone", video(1, frames=1), "png")
    (tmp_path / "notes.txt").write_text("not a video")
    _write_frames(tmp_path / "sizes", video(2, frames=2), "png")
    Image.fromarray(video(2)[0, :8]).save(tmp_path / "sizes" / "frame_2.png")
    videos, problems = find_videos(tmp_path)
    assert [one.name for one in videos] == ["good", "sizes"]
    assert any("alone" in line and "one picture" in line for line in problems)
    assert any("notes.txt" in line for line in problems)
    with pytest.raises(InputError, match=r"frame_2\.png is 32 x 8"):
        list(videos[1].frames(size=None, frame_rate=None))


def test_the_content_is_that_of_every_picture(tmp_path):
    frames = video(4, frames=3)
    _write_frames(tmp_path / "a" / "one", frames, "png")
    _write_frames(tmp_path / "b" / "other", frames, "png")
    (first,), (same,) = (find_videos(tmp_path / side)[0] for side in ("a", "b"))
    assert first.content() == same.content()
    before = first.content()
    Image.fromarray(255 - frames[2]).save(tmp_path / "a" / "one" / "frame_2.png")
    assert first.content() != before
    (tmp_path / "b" / "other" / "frame_2.png").unlink()
    assert same.content() != before
