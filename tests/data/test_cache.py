import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests.data.videos import encode, numbered_frames
from trivd_tf.base.errors import InputError, RunError
from trivd_tf.data.files import cache, decode
from trivd_tf.data.files.cache import FrameCache


@pytest.fixture
def video(tmp_path):
    return encode(tmp_path / "v.mkv", numbered_frames(1, 12, 16, 24))


@pytest.fixture
def decodings(monkeypatch):
    """Names of the files that the decoder was run on."""
    names = []
    run = decode.decode_frames

    def counted(path, **options):
        names.append(path.name)
        return run(path, **options)

    monkeypatch.setattr(decode, "decode_frames", counted)
    return names


def test_entry_holds_the_frames_and_the_decoder_runs_once(tmp_path, video, decodings):
    for _ in range(2):
        frames = FrameCache(tmp_path / "cache", size=16).read(video)[1]
        assert isinstance(frames, np.memmap)
        assert np.array_equal(frames, numbered_frames(1, 12, 16, 24))
    assert decodings == ["v.mkv"]


def test_another_size_and_a_changed_file_are_decoded_again(tmp_path, video, decodings):
    FrameCache(tmp_path / "cache", size=16).read(video)
    assert FrameCache(tmp_path / "cache", size=8).read(video)[1].shape == (12, 8, 12, 3)
    encode(video, numbered_frames(2, 9, 16, 24))
    assert np.array_equal(
        FrameCache(tmp_path / "cache", size=16).read(video)[1], numbered_frames(2, 9, 16, 24)
    )
    assert len(decodings) == 3


def test_unreadable_video_is_remembered_with_its_reason(tmp_path, decodings):
    (tmp_path / "v.mp4").write_bytes(b"no video")
    store = FrameCache(tmp_path / "cache", size=16)
    for _ in range(2):
        with pytest.raises(decode.UnreadableVideo, match=r"^\S*/v.mp4: not a video"):
            store.read(tmp_path / "v.mp4")
    assert decodings == ["v.mp4"]


def test_missing_video_is_the_inputs_fault(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        FrameCache(tmp_path / "cache", size=16).read(tmp_path / "gone.mp4")


def test_failure_while_writing_leaves_nothing_behind(tmp_path, video, monkeypatch):
    def full(path, **options):
        yield numbered_frames(0, 1)[0]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decode, "decode_frames", full)
    with pytest.raises(RunError, match="No space left"):
        FrameCache(tmp_path / "cache", size=16).read(video)
    assert list((tmp_path / "cache").iterdir()) == []


def test_leftovers_of_a_killed_process_go_and_those_of_a_living_one_stay(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = folder / f".{socket.gethostname()}.{dead.pid}.x1.partial"
    busy = folder / f".{socket.gethostname()}.{os.getpid()}.x2.partial"
    left.touch()
    busy.touch()
    FrameCache(folder, size=16)
    assert not left.exists()
    assert busy.exists()


def test_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cache_dir"):
        FrameCache(tmp_path / "file" / "cache", size=16)


def test_stopped_reads_give_up(tmp_path, video):
    store = FrameCache(tmp_path / "cache", size=16)
    store.stop()
    with pytest.raises(RunError, match="stopped"):
        store.read(video)


def test_default_folder_follows_the_users_choice(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.default_cache_dir() == tmp_path / "trivd_tf" / "decoded"
