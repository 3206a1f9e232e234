"""Target frame rates: which frames are taken, by their time stamps."""

import logging
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from tests.data.videos import encode, numbered_frames
from trivd_tf.base.errors import InputError
from trivd_tf.data import VideoFolder
from trivd_tf.data.clips import ClipSpec
from trivd_tf.data.files.decode import decode_frames
from trivd_tf.data.files.orientation import UPRIGHT
from trivd_tf.data.files.timing import at_rate, describe_rates
from trivd_tf.pictures.video_io import read_clip

CLIP = ClipSpec(num_conditioning_frames=2, num_predicted_frames=3, size=32)


def numbers(path, **options):
    """Which of the numbered frames are given."""
    return [int(frame[0, 0, 0]) for frame in decode_frames(path, **options)]


def expected(times, end, fps):
    """By the rule as it is documented: the last frame whose time is not later than k / fps."""
    moments = np.arange(0, end - 1e-9, 1 / fps)
    return (np.searchsorted(np.asarray(times) - times[0], moments + 1e-9, "right") - 1).tolist()


@pytest.mark.parametrize(("rate", "fps"), [(60, 15), (25, 10), (10, 25), (30, 30), (24, 7.5)])
def test_a_constant_rate_is_brought_to_another(tmp_path, rate, fps):
    path = encode(tmp_path / "v.mp4", numbered_frames(0, 24), codec="libx264rgb",
                  pixel_format="rgb24", rate=rate)  # fmt: skip
    given = numbers(path, fps=fps)
    times = np.arange(24) / rate
    assert len(given) == np.ceil(24 / rate * fps - 1e-6)
    assert given == pytest.approx(expected(times, 24 / rate, fps), abs=2)  # the codec's own loss


@pytest.mark.parametrize("fps", [5, 10, 12.5, 50])
def test_gaps_and_repeated_stamps(tmp_path, fps):
    stamps = [0, 1, 5, 30, 31, 90]
    path = encode(tmp_path / "v.mkv", numbered_frames(0, 6), times=stamps)
    times = np.array(stamps) / 25
    found = numbers(path, fps=fps)
    end = times[-1] + (len(found) / fps - times[-1])  # the last frame's length is the file's
    assert found == expected(times, end, fps)
    assert 0 <= len(found) / fps - times[-1] <= 3
    assert numbers(path) == list(range(6))


def test_stamps_rounded_to_milliseconds_take_every_fourth_frame(tmp_path):
    path = encode(tmp_path / "v.mkv", numbered_frames(0, 40), rate=60)
    assert numbers(path, fps=15) == list(range(0, 40, 4))


def test_a_gif_with_uneven_delays(tmp_path):
    images = [Image.fromarray(np.full((16, 16, 3), 10 * n, np.uint8)) for n in range(5)]
    path = tmp_path / "v.gif"
    images[0].save(path, save_all=True, append_images=images[1:], duration=[100, 100, 500, 100, 40])
    found = [round(int(frame[0, 0, 0]) / 10) for frame in decode_frames(path, fps=10)]
    assert found == [0, 1, 2, 2, 2, 2, 2, 3, 4]


def test_a_stream_without_stamps_plays_at_its_own_rate(tmp_path):
    """Raw H.264 has none at all."""
    path = encode(tmp_path / "v.h264", numbered_frames(0, 24), codec="libx264rgb",
                  pixel_format="rgb24", rate=25)  # fmt: skip
    shown = numbers(path, fps=10)
    assert len(shown) == 10
    assert shown == pytest.approx(expected(np.arange(24) / 25, 24 / 25, 10), abs=2)


def test_stamps_that_begin_late_go_on_from_the_files_rate():
    frames = [av.VideoFrame(16, 16, "rgb24") for _ in range(4)]
    for frame, stamp in zip(frames, [None, None, 700, 720], strict=True):
        frame.time_base, frame.pts = Fraction(1, 100), stamp
    taken = at_rate(iter([(frame, UPRIGHT) for frame in frames]), 10, nominal_rate=10)
    assert [frames.index(frame) for frame, _ in taken] == [0, 1, 2, 2, 3, 3]


def test_frames_and_size_limits_count_what_is_given(tmp_path):
    path = encode(tmp_path / "v.mkv", numbered_frames(0, 40), rate=20)
    assert numbers(path, fps=5, max_frames=3, size=16) == [0, 4, 8]
    clip = read_clip(path, num_conditioning_frames=3, size=32, fps=10, stride=2, window="last")
    assert [int(frame[0, 0, 0]) for frame in clip.conditioning] == [30, 34, 38]
    assert clip.frame_rate == 5


@pytest.mark.parametrize("fps", [0, -1, 1e4, "10", True, float("nan")])
def test_impossible_rates_are_refused(tmp_path, fps):
    with pytest.raises(InputError, match="fps must be None or a number of frames a second"):
        list(decode_frames(tmp_path, fps=fps))
    with pytest.raises(InputError, match=r"ClipSpec\.fps"):
        ClipSpec(fps=fps)


@pytest.fixture
def mixed(tmp_path):
    """The same movement, red counting 60ths of a second, filmed at 15 and at 60 a second."""
    frames = numbered_frames(0, 120)
    encode(tmp_path / "videos" / "slow.mkv", frames[::4], rate=15)
    encode(tmp_path / "videos" / "fast.mkv", frames, rate=60)
    return tmp_path / "videos"


def speeds(source, clip):
    count = source.num_evaluation_clips(clip, "train")
    batches = source.evaluation_clips(clip, split="train", num_clips=count, batch_size=count)
    video = next(iter(batches))["video"].numpy()[..., 0, 0, 0].astype(int)
    return set(np.diff(video, axis=1).ravel().tolist())


def test_mixed_rates_are_named_and_a_target_rate_makes_them_one(mixed, cache_dir, caplog):
    source = VideoFolder(data_dir=str(mixed), cache_dir=cache_dir)
    with caplog.at_level(logging.WARNING):
        source.prepare(CLIP)
        source.prepare(CLIP)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "15 (1), 60 (1)" in warning
    assert "data.ClipSpec.fps" in warning
    assert speeds(source, CLIP) == {1, 4}
    caplog.clear()
    again = ClipSpec(num_conditioning_frames=2, num_predicted_frames=3, size=32, fps=15)
    with caplog.at_level(logging.WARNING):
        assert speeds(VideoFolder(data_dir=str(mixed), cache_dir=cache_dir), again) == {4}
    assert not caplog.records
    assert source.fingerprint(CLIP, "test") != source.fingerprint(again, "test")


def test_rates_that_agree_and_unknown_ones_are_not_named():
    assert describe_rates([25, 25, 23.976, 0.0]) == ""
    assert describe_rates([0.0, 0.0]) == ""
    assert describe_rates([30, 15, 30]) == "15 (1), 30 (2)"
    assert describe_rates(range(10, 30)) == "10 (1), 11 (1), 12 (1), ..., 27 (1), 28 (1), 29 (1)"


def test_frame_folders_train_and_unnumbered_pictures_are_one_line(tmp_path, cache_dir, caplog):
    for video in range(3):
        folder = tmp_path / "frames" / f"v{video}"
        folder.mkdir(parents=True)
        for number, frame in enumerate(numbered_frames(video, 12)):
            Image.fromarray(frame).save(folder / f"{number + 1}.png")
    loose = tmp_path / "frames" / "loose"
    loose.mkdir()
    for name in ("cat.jpg", "dog.jpg", "owl.jpg"):
        Image.new("RGB", (8, 8)).save(loose / name)
    source = VideoFolder(data_dir=str(tmp_path / "frames"), cache_dir=cache_dir, split_by="file")
    with caplog.at_level(logging.WARNING):
        count = source.num_evaluation_clips(CLIP, "train")
    assert count == 2 * 8
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert f"skipped {loose}: 3 pictures that are no video" in messages[0]
    assert messages[1].startswith("1 of 4 files")
    one = VideoFolder(data_dir=str(tmp_path / "frames" / "v1"), cache_dir=cache_dir)
    assert one.num_evaluation_clips(CLIP, "train") > 0
    # A picture that changed makes another video of it.
    before = source.fingerprint(CLIP, "train")
    for folder in sorted((tmp_path / "frames").glob("v?")):
        Image.fromarray(numbered_frames(9, 1)[0]).save(folder / "5.png")
    after = VideoFolder(data_dir=str(tmp_path / "frames"), cache_dir=cache_dir, split_by="file")
    assert after.fingerprint(CLIP, "train") != before
    shown = next(
        iter(after.evaluation_clips(CLIP, split="train", num_clips=count, batch_size=count))
    )
    assert 9 in shown["video"].numpy()[..., 0, 0, 1]
