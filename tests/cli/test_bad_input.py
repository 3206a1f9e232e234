"""Wrong folders and wrong configurations, through the command: one line, status 2, no trace."""

import pytest

from trivd_tf.cli.main import main


@pytest.fixture
def train(tmp_path, capsys):
    """Runs `trivd train`, which has to fail before it writes anything, and returns its stderr."""

    def run(*flags: object) -> str:
        model = tmp_path / "model"
        cache = f"data.VideoFolder.cache_dir = '{tmp_path / 'cache'}'"
        words = ["train", "--gin_file", "folder", "--gin_bindings", cache, "--model_dir", model]
        assert main([str(word) for word in (*words, *flags)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert not model.exists()
        return captured.err

    return run


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such folder; --data_dir must name a folder of videos"),
        ([], "the folder is empty; put videos into it"),
        (["notes.txt", "clip.mp4"], "none of its 2 files is a readable video of at least 16"),
    ],
)
def test_a_folder_without_videos(train, tmp_path, content, message):
    videos = tmp_path / "videos"
    if content is not None:
        videos.mkdir()
        for name in content:
            (videos / name).write_text("not a video")
    errors = train("--data_dir", videos).splitlines()
    last = errors.pop()
    assert last.startswith(f"trivd: error: {videos}: {message}")
    # Where there are files, each was named before, and they were counted.
    assert all("skipped" in line for line in errors)


@pytest.mark.parametrize(
    ("binding", "names"),
    [
        ("training.TrainingOptions.batch_sise = 4", "'batch_size'"),
        ("training.TrainingOption.batch_size = 4", "'TrainingOptions'"),
        ("mine/training.TrainingOptions.batch_size = 4", "leave the scope out"),
        ("training.TrainingOptions.batch_size = '4'", "expected int"),
        ("data.BouncingDigits.num_digits = 1", "data.BouncingDigits.num_digits"),
        ("models.generator.recurrent_unit = 'tsru'", "nearest is 'tsru_"),
        ("models.discriminators.decomposition = 'dvd_gan'", "nearest is 'dvd_gan_fp'"),
        (
            "training.TrainingOptions.num_steps = %gin.REQUIRED",
            "training.TrainingOptions.num_steps",
        ),
    ],
)
def test_a_wrong_binding(train, made_videos, binding, names):
    error = train("--data_dir", made_videos, "--gin_bindings", binding)
    assert error.count("\n") == 1
    assert error.startswith("trivd: error: ")
    assert binding.partition(" =")[0] in error
    assert names in error


def test_a_value_that_is_required(train):
    error = train()
    assert error.count("\n") == 1
    assert "data.VideoFolder.data_dir is REQUIRED: give --data_dir" in error


def test_a_gin_file_that_is_none(train):
    assert "foldr" in (error := train("--gin_file", "foldr"))
    assert "folder" in error.replace("foldr", "")
