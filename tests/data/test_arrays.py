"""Videos in arrays: what was written is what is read, and doubt is one line."""

import h5py
import numpy as np
import pytest
from PIL import Image

from trivd_tf.base.errors import InputError
from trivd_tf.data.files import array_formats, arrays

N, T, H, W = 3, 5, 8, 12
COLOUR = np.random.default_rng(0).integers(0, 256, (N, T, H, W, 3), np.uint8)
GREY = COLOUR[..., :1]


def save(path, array):
    np.save(path, array)
    return str(path)


def read(path):
    return [video.read() for video in arrays.find_videos(path)]


def check(videos, expected):
    assert len(videos) == len(expected)
    for video, wanted in zip(videos, expected, strict=True):
        np.testing.assert_array_equal(video, np.repeat(wanted, 3 // wanted.shape[-1], axis=-1))


@pytest.mark.parametrize(
    ("axes", "videos", "order"),
    [
        ("", COLOUR, [0, 1, 2, 3, 4]),
        ("", COLOUR, [0, 1, 4, 2, 3]),  # PyTorch's N T C H W
        ("", COLOUR, [0, 4, 1, 2, 3]),
        ("", GREY, [0, 1, 2, 3, 4]),
        (":TNHWC", COLOUR, [1, 0, 2, 3, 4]),
        (":WHTNC", COLOUR, [3, 2, 1, 0, 4]),
    ],
)
def test_axes_in_any_order(tmp_path, axes, videos, order):
    check(read(save(tmp_path / "v.npy", videos.transpose(order)) + axes), videos)


@pytest.mark.parametrize(
    ("axes", "array"),
    [
        (":NTHW", GREY[..., 0]),
        (":TNHW", GREY[..., 0].swapaxes(0, 1)),
    ],
)
def test_grey_without_an_axis_of_colours(tmp_path, axes, array):
    check(read(save(tmp_path / "v.npy", array) + axes), GREY)


def test_one_video(tmp_path):
    check(read(save(tmp_path / "a.npy", COLOUR[1])), COLOUR[1:2])
    check(read(save(tmp_path / "b.npy", COLOUR[1].transpose(0, 3, 1, 2))), COLOUR[1:2])
    check(read(save(tmp_path / "c.npy", GREY[1, ..., 0])), GREY[1:2])
    check(read(save(tmp_path / "d.npy", np.asfortranarray(COLOUR))), COLOUR)


def test_moving_mnist_is_known_and_read_where_it_lies(tmp_path):
    """As published: 20 frames of 10,000 videos, 819 MB, of which only a video is touched."""
    path = tmp_path / "mnist_test_seq.npy"
    file = np.lib.format.open_memmap(path, "w+", np.uint8, (20, 10_000, 64, 64))
    file[:, 1234] = digits = np.random.default_rng(1).integers(0, 256, (20, 64, 64), np.uint8)
    file.flush()
    videos = arrays.find_videos(path)
    assert len(videos) == 10_000
    assert (videos[1234].num_frames, videos[1234].height) == (20, 64)
    np.testing.assert_array_equal(
        videos[1234].read(slice(3, 20, 4)), np.repeat(digits[3::4, ..., None], 3, axis=-1)
    )
    assert not videos[9999].read().any()


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_npz_holds_one_array_or_several(tmp_path, write):
    path = str(tmp_path / "v.npz")
    write(path, labels=np.arange(3), first=COLOUR[:2], second=COLOUR[2])
    check(read(path), COLOUR)
    array = array_formats.open_blocks(path, "")[0].array
    assert isinstance(array, np.memmap) == (write is np.savez)


def test_hdf5_as_videogpt_lays_it_out(tmp_path):
    """Videos of other lengths behind each other; the last one ends where the frames do."""
    frames = COLOUR.reshape(-1, H, W, 3)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["train_data"], file["train_idx"] = frames[:9], np.array([0, 2, 6])
        file["test_data"], file["test_idx"] = frames[9:], np.array([0])
    videos = arrays.find_videos(tmp_path / "v.h5")
    assert [video.split for video in videos] == ["train", "train", "train", "test"]
    check([video.read() for video in videos], [frames[:2], frames[2:6], frames[6:9], frames[9:]])
    np.testing.assert_array_equal(videos[1].read(slice(1, 4, 2)), frames[3:6:2])


def test_hdf5_of_one_data_set_in_a_group(tmp_path):
    with h5py.File(tmp_path / "v.hdf5", "w") as file:
        file.create_dataset("all/video", data=COLOUR, chunks=(1, 2, 8, 12, 3), compression="gzip")
        file["all/label"] = np.arange(3)
    check(read(tmp_path / "v.hdf5"), COLOUR)


def test_names_of_videos(tmp_path):
    path = save(tmp_path / "v.npy", COLOUR)
    names = [video.path for video in arrays.find_videos(f"{path}:NTHWC")]
    assert names == [f"{path}:NTHWC[{number}]" for number in range(N)]
    check(read(f"{path}[1]"), COLOUR[1:2])
    check(read(f"{path}[1:]"), COLOUR[1:])
    check(read(f"{path}:NTHWC[0:2]"), COLOUR[:2])
    assert arrays.parse(f"{path}[1]").is_one_video
    assert not arrays.parse(path).is_one_video
    assert arrays.parse(tmp_path / "v.mp4") is None
    assert arrays.parse(tmp_path) is None


def test_frames_are_resized_until_they_cover(tmp_path):
    frames = list(arrays.frames_of(save(tmp_path / "v.npy", COLOUR) + "[2]", size=(4, 4)))
    assert len(frames) == T
    expected = Image.fromarray(COLOUR[2, 3]).resize((6, 4), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(frames[3], np.asarray(expected))


@pytest.mark.parametrize(
    ("array", "axes", "message"),
    [
        (GREY[..., 0], "", r"state the order.*v\.npy:NTHW \(videos, .*v\.npy:TNHW \(frames, "),
        (np.zeros((2, 3, 3, 8, 8), np.uint8), "", r"v\.npy:NTCHW .* or .*v\.npy:NCTHW"),
        (np.zeros((2, 5, 8, 8, 4), np.uint8), "", "not one of videos"),
        (np.zeros((8, 8), np.uint8), "", "not one of videos"),
        (COLOUR / 255.0, "", "holds float64, but frames are uint8"),
        (COLOUR, ":NTHW", "does not fit the shape"),
        (COLOUR, ":NTHWH", "does not fit the shape"),
        (COLOUR, ":NTCHW", "does not fit the shape"),
        (COLOUR, ":NTXYC", "does not fit the shape"),
        (COLOUR, "[3]", "holds 3 videos, numbered from 0"),
        (COLOUR, "[2:2]", "holds 3 videos"),
        (COLOUR[:0], "", "no array of frames"),
        (np.array([COLOUR, None], dtype=object), "", "not an array file, or damaged"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, array, axes, message):
    path = tmp_path / "v.npy"
    np.save(path, array, allow_pickle=array.dtype == object)
    with pytest.raises(InputError, match=message) as error:
        arrays.find_videos(f"{path}{axes}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["v.npy", "v.npz", "v.h5"])
def test_damaged_files_are_one_line(tmp_path, name):
    path = tmp_path / name
    if name == "v.h5":
        with h5py.File(path, "w") as file:
            file["video"] = COLOUR
    else:
        (np.save if name == "v.npy" else np.savez)(path, COLOUR)
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(array_formats.UnreadableArray, match="not an array file, or damaged"):
        arrays.find_videos(path)
    path.write_bytes(b"hello")
    with pytest.raises(array_formats.UnreadableArray, match="not an array file, or damaged"):
        arrays.find_videos(path)
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        arrays.find_videos(path)


def test_several_videos_are_not_one(tmp_path):
    path = save(tmp_path / "v.npy", COLOUR)
    with pytest.raises(InputError, match=r"holds 3 videos; name one, such as .*v\.npy\[0\]"):
        list(arrays.frames_of(path))


def test_a_changed_file_is_read_anew(tmp_path):
    path = save(tmp_path / "v.npy", COLOUR)
    video = arrays.find_videos(f"{path}[2]")[0]
    check([video.read()], COLOUR[2:])
    np.save(path, COLOUR[:1])
    with pytest.raises(InputError, match="fewer videos than before"):
        video.read()
