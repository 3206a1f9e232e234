"""A batch job writes into an empty folder or into its own."""

import types

import pytest

from tests.locks import held
from trivd_tf.base.errors import InputError
from trivd_tf.base.lock import FILE_NAME
from trivd_tf.batch import outputs, pipeline
from trivd_tf.batch.inputs import VideoFiles

OPTIONS = {"format": "videos", "seed": 0}
PLACES = {"a.mp4": "clips/a.mp4"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bikes.mp4", "mine", "holds no batch job"),
        ("report.json", "{}", "holds no batch job"),
        ("job.json", "{}", "was not written by a batch job"),
        ("job.json", "[1]", "was not written by a batch job"),
        ("job.json", "mine", "was not written by a batch job"),
    ],
)
def test_a_users_folder_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        outputs.plan(str(tmp_path), PLACES, OPTIONS, 4)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == content


def test_its_own_folder_is_continued(tmp_path):
    (group,) = outputs.plan(str(tmp_path / "out"), PLACES, OPTIONS, 4)
    assert outputs.plan(str(tmp_path / "out"), PLACES, OPTIONS, 4)[0].items == group.items
    # One that was killed before it wrote its options down.
    (tmp_path / "killed" / "status").mkdir(parents=True)
    assert outputs.plan(str(tmp_path / "killed"), PLACES, OPTIONS, 4)


def test_a_second_job_in_the_same_folder_ends(tmp_path, monkeypatch):
    model = types.SimpleNamespace(num_conditioning_frames=2, frame_size=16, stride=1, fps=None)
    monkeypatch.setattr(pipeline, "load_predictor", lambda *a, **k: model)
    monkeypatch.setattr(VideoFiles, "find", lambda self, shape: PLACES)
    options = pipeline.BatchOptions(model="m")
    with (
        held(tmp_path / "out", "a batch job of trivd_tf") as first,
        pytest.raises(InputError, match=f"in use by a batch job .*process {first.pid}"),
    ):
        pipeline.predict_batch(VideoFiles(["clips/*"]), str(tmp_path / "out"), options)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [FILE_NAME]
