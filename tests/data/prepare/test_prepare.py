"""What preparing does besides: shares out, goes on, leaves alone, refuses."""

from pathlib import Path

import pytest

from tests.beam import NEEDS_BEAM
from tests.data.prepare import sources
from tests.data.prepare.stored import CLIP, files_of, read_set
from tests.data.videos import encode, moving_frames, numbered_frames
from tests.locks import held
from trivd_tf.base.errors import InputError, RunError
from trivd_tf.base.lock import FILE_NAME
from trivd_tf.cli.main import main
from trivd_tf.data import Prepared
from trivd_tf.data.prepare import prepare, shards

pytestmark = NEEDS_BEAM


def test_finished_set_is_left_alone_and_says_so(kinetics, monkeypatch):
    videos, annotations, report = kinetics
    before = files_of(report.output)
    monkeypatch.setattr(shards, "write_shard", None)
    with held(Path(report.output)):  # reading needs no lock
        again = prepare(
            "kinetics600", videos=videos, annotations=annotations, output=report.output, size=32
        )
    (Path(report.output) / FILE_NAME).unlink()  # of the process that was killed
    assert again.was_finished
    assert "nothing to do" in again.describe()
    assert again.content == report.content
    assert files_of(report.output) == before
    with pytest.raises(InputError, match="another --output"):
        prepare("kinetics600", videos=videos, annotations=annotations, output=report.output)


def test_a_second_process_is_told_who_prepares_the_set(tmp_path, capfd):
    videos, output = tmp_path / "videos", tmp_path / "out"
    encode(videos / "a.mkv", moving_frames(20))
    command = ["prepare", "folder", "--videos", str(videos), "--output", str(output)]
    with held(output, "trivd prepare") as first:
        before = files_of(output)
        assert main(command) == 2
        (error,) = capfd.readouterr().err.splitlines()
        assert f"{output} is in use by trivd prepare" in error
        assert f"process {first.pid}, since 20" in error
        assert files_of(output) == before
    # The first was killed: its lock is no obstacle, and its folder holds nothing else.
    assert main(command) == 0
    assert {".work", FILE_NAME}.isdisjoint(path.name for path in output.iterdir())


def test_few_videos_are_shared_out_by_time_and_long_ones_cut_to_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "MAX_FRAMES", 16)
    encode(tmp_path / "videos" / "a.mkv", numbered_frames(0, 40))
    report = prepare(
        "folder",
        videos=str(tmp_path / "videos"),
        output=str(tmp_path / "out"),
        train_fraction=0.75,
        size=32,
    )
    stored = read_set(report.output)
    numbers = {
        split: [example["video"][:, 0, 0, 0].tolist() for example in examples]
        for split, examples in stored.items()
    }
    assert numbers == {
        "train": [list(range(16)), list(range(16, 30))],
        "test": [list(range(30, 40))],
    }
    assert [example["id"] for example in stored["train"]] == [b"a.mkv#0", b"a.mkv#1"]


def test_interrupted_preparation_goes_on_and_ends_with_the_same_files(tmp_path, monkeypatch):
    videos = sources.make_bair(tmp_path)
    options = {"videos": videos, "videos_per_shard": 2}
    whole = prepare("bair", output=str(tmp_path / "whole"), **options)
    write = shards.write_shard
    written: list[str] = []

    def fail_after_some(job, shard):
        if len(written) == 5:
            raise OSError(28, "No space left on device")
        write(job, shard)
        written.append(shard.label)

    monkeypatch.setattr(shards, "write_shard", fail_after_some)
    # One worker: with several, Beam may report the other's clean-up instead of the full disk.
    flags = {"beam_flags": ["--direct_num_workers=1"]}
    with pytest.raises(RunError, match=r"No space left on device.*run the same command"):
        prepare("bair", output=str(tmp_path / "resumed"), **options, **flags)
    with pytest.raises(InputError, match="not finished"):
        Prepared(data_dir=str(tmp_path / "resumed")).prepare(CLIP)
    with pytest.raises(InputError, match="another --output"):
        prepare("bair", output=str(tmp_path / "resumed"), **options, size=32)
    first = list(written)

    def note(job, shard):
        write(job, shard)
        written.append(shard.label)

    monkeypatch.setattr(shards, "write_shard", note)
    # What happens to the sources meanwhile does not change what was planned.
    (Path(videos) / "test" / "traj_9_to_9.tfrecords").touch()
    prepare("bair", output=str(tmp_path / "resumed"), **options)
    assert len(written) == len(set(written))
    assert set(first) < set(written)
    assert files_of(tmp_path / "resumed") == files_of(whole.output)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("imagenet", {}, "known are kinetics600"),
        ("kinetics600", {"videos": "x"}, "kinetics600 takes --videos --annotations"),
        ("kinetics600", {"videos": "x", "annotations": ["no.csv"]}, "no.csv: cannot be read"),
        ("bair", {"videos": "x", "tfds_dir": "y"}, r"takes --videos \[--camera\] or --tfds_dir"),
        ("bair", {"videos": "x"}, "no .tfrecords files"),
        ("bair", {"videos": "x", "camera": "front"}, "image_main, image_aux1"),
        ("moving_mnist", {"videos": "x"}, "moving_mnist takes --tfds_dir"),
        ("moving_mnist", {"tfds_dir": "x"}, "tfds build moving_mnist"),
        ("folder", {"videos": "x"}, "no such folder"),
        ("folder", {"videos": ".", "encoding": "png"}, "raw or jpeg"),
        ("folder", {"videos": ".", "jpeg_quality": 0}, "1 to 100"),
        ("folder", {"videos": ".", "size": 0}, "size"),
        ("folder", {"videos": ".", "train_fraction": 2}, "train_fraction"),
        ("ucf101", {"videos": "x", "annotations": ["x"]}, "ucfTrainTestlist"),
    ],
)
def test_wrong_options_are_one_line(tmp_path, monkeypatch, kind, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        prepare(kind, output="out", **options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out" / "report.json").exists()


def test_sources_without_a_video_and_full_folders_are_refused(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "notes.txt").write_text("no video")
    with pytest.raises(InputError, match=r"no video could be prepared; the first: notes.txt"):
        prepare("folder", videos=str(tmp_path / "videos"), output=str(tmp_path / "out"))
    encode(tmp_path / "videos" / "a.mkv", moving_frames(20))
    with pytest.raises(InputError, match="not empty"):
        prepare("folder", videos=str(tmp_path / "videos"), output=str(tmp_path / "videos"))
    with pytest.raises(InputError, match=r"a.mkv is a file"):
        prepare("folder", videos=str(tmp_path / "videos"), output=str(tmp_path / "videos/a.mkv"))
    annotations = tmp_path / "bad.csv"
    annotations.write_text("name,start\nx,1\n")
    with pytest.raises(InputError, match="lacks the column split, time_end"):
        prepare(
            "kinetics600",
            videos=str(tmp_path / "videos"),
            annotations=[str(annotations)],
            output=str(tmp_path / "k"),
        )
    annotations.write_text("label,youtube_id,time_start,time_end,split\nx,y,one,2,train\n")
    with pytest.raises(InputError, match=r"bad.csv, line 2"):
        prepare(
            "kinetics600",
            videos=str(tmp_path / "videos"),
            annotations=[str(annotations)],
            output=str(tmp_path / "k"),
        )
