"""A batch job writes into an empty folder or into its own."""

import pytest

from trivd_tf.base.errors import InputError
from trivd_tf.batch import outputs

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
