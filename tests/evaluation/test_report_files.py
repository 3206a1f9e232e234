"""The files of a report: one process at a time writes them, and edits are not lost."""

import sys

import pytest

from tests.evaluation.conftest import TINY, noisy_model
from tests.locks import held
from trivd_tf import config
from trivd_tf.base.errors import InputError
from trivd_tf.base.lock import FILE_NAME
from trivd_tf.evaluation import Pictures, evaluate
from trivd_tf.evaluation.evaluate import with_options
from trivd_tf.evaluation.reporting.report import Row
from trivd_tf.evaluation.work import Work


@pytest.fixture
def evaluated(tmp_path, monkeypatch):
    """Evaluates without computing scores; the folder of the report in the model directory."""
    module = sys.modules["trivd_tf.evaluation.evaluate"]
    row = Row("model, step 4", fvd=1.0, inception_score=2.0, by_frame={"psnr": [20.0]})
    monkeypatch.setattr(module, "open_model", lambda *a, **k: noisy_model(4, 10.0))
    monkeypatch.setattr(Work, "first_run", lambda self, untrained: [row])
    (tmp_path / "tiny.gin").write_text(TINY)
    experiment = with_options(config.parse([tmp_path / "tiny.gin"]).build(), num_samples=4)

    def run(**options):
        return evaluate(
            experiment, tmp_path / "run", extractor=object(), pictures=Pictures(()), **options
        )

    run.folder = tmp_path / "run" / "evaluations" / "4"
    return run


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_edited_files_of_a_report_are_kept_under_another_name(evaluated, capsys):
    evaluated()
    folder = evaluated.folder
    first = content(folder)
    evaluated()
    assert content(folder) == first
    (folder / "report.md").write_text("with notes of mine")
    capsys.readouterr()
    for _ in range(2):
        evaluated()
        assert content(folder) == {**first, "report-earlier-1.md": b"with notes of mine"}
    lines = [line for line in capsys.readouterr().err.splitlines() if "earlier" in line]
    assert lines == [
        f"trivd: {folder / 'report.md'} was edited, or comes from an earlier version: kept as "
        "report-earlier-1.md"
    ]


def test_files_that_no_evaluation_wrote_are_not_replaced_where_a_folder_is_named(
    evaluated, tmp_path
):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "report.md").write_text("mine")
    with pytest.raises(InputError, match=r"report\.md: exists and was not written by"):
        evaluated(output=folder)
    assert content(folder) == {"report.md": b"mine"}


def test_a_second_evaluation_of_the_same_report_ends_and_another_goes_on(evaluated, tmp_path):
    with held(evaluated.folder, "trivd evaluate") as first:
        before = content(evaluated.folder)
        with pytest.raises(InputError, match=f"in use by trivd evaluate .*process {first.pid}"):
            evaluated()
        assert content(evaluated.folder) == before
        evaluated(output=tmp_path / "elsewhere")
        assert (tmp_path / "elsewhere" / "report.json").is_file()
    evaluated()
    assert not (evaluated.folder / FILE_NAME).exists()
