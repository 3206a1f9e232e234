"""`trivd report`: the paper's tables with measured figures beside."""

import json
import shutil

import pytest
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.cli.main import main
from trivd_tf.evaluation.paper_tables import tables
from trivd_tf.evaluation.paper_tables.step_time import seconds_a_step
from trivd_tf.runs import record as run_record
from trivd_tf.runs.best import BestRecord, StepScore, _write


def make_report(run, protocol, step, fvd, inception=2.0, deviations=(), runs=()):
    folder = run / "evaluations" / str(step) / protocol
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"name": f"model, step {step}", "fvd": fvd, "inception_score": inception, "runs": runs},
        {"name": "copy of the last frame", "fvd": 321.0, "inception_score": 7.0, "runs": []},
    ]
    content = {"protocol": {"step": step, "samples": 100}, "rows": rows}
    (folder / "report.json").write_text(json.dumps({**content, "deviations": deviations}))


@pytest.fixture
def runs(tmp_path):
    """Two trainings of TSRU_p, one of the final model on two sets, one of something else."""
    for seed, fvd in enumerate((40.0, 44.0)):
        run = tmp_path / f"tsru_{seed}"
        run_record.write(run, seed=seed, argv=["trivd", "train", "--gin_file", "table2_tsru_p"])
        make_report(run, "kinetics600_val", 500_000, fvd)
    final = tmp_path / "table3_trivd_gan_fp"
    make_report(final, "kinetics600_test", 100, 26.0)
    make_report(final, "kinetics600_test", 200, 27.0)
    make_report(final, "ucf101", 200, 70.0, deviations=["num_samples: 8 instead of 10000"])
    make_report(final, "", 200, 5.0)
    bair = tmp_path / "mine" / "table4_bair_balanced.gin"
    scores = [{"fvd": value, "inception_score": 1.0} for value in (31.0, 33.0)]
    make_report(bair, "bair_balanced", 7, 32.0, runs=scores)
    return tmp_path


def test_the_time_of_a_step_is_that_of_the_log(tmp_path):
    run = tmp_path / "table1_clip"
    make_report(run, "kinetics600_val", 100, 60.0)
    writer = tf.summary.create_file_writer(str(run / "tensorboard"))
    with writer.as_default():
        for step, seconds in enumerate((9.0, 0.3, 0.4)):  # the first traces
            tf.summary.scalar("time/seconds_a_step", seconds, step)
            tf.summary.scalar("generator/loss", 7.0, step)
    writer.close()
    text = tables.markdown(tables.read_runs([run]))
    assert line(text, "Table 1", "Clip")[-3:] == ["488", "400", "3.49"]
    (log,) = (run / "tensorboard").iterdir()
    log.write_bytes(log.read_bytes()[:-5])  # the last event, a loss, is cut off
    assert seconds_a_step(run) == pytest.approx(0.4)
    assert seconds_a_step(tmp_path) is None


def line(text, table, name):
    part = text.partition(f"## {table}")[2].partition("\n## ")[0]
    (found,) = [row for row in part.splitlines() if row.startswith(f"| {name} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_measured_figures_stand_beside_the_papers(runs):
    text = tables.markdown(tables.read_runs([runs]))
    assert line(text, "Table 2", "TSRU_p") == [
        "TSRU_p", "11.5", "2.00 ± 0.00", "43.7", "42.0 ± 2.8", "500", "500", "2",
    ]  # fmt: skip
    assert line(text, "Table 2", "TSRU_c") == ["TSRU_c", "11.6", "", "44.2", "", "500", "", ""]
    assert line(text, "Table 3", "TrIVD-GAN-FP")[3:5] == ["25.74 ± 0.66", "27.0"]
    assert line(text, "Table 3", "Copy of the last frame (validation)")[4] == "321.0"
    assert line(text, "Table 4", "TrIVD-GAN-FP, balanced split")[3:5] == [
        "31.8 ± 0.2",
        "32.0 ± 1.4",
    ]
    starred = line(text, "UCF-101", "TrIVD-GAN-FP, ch 120, trained on Kinetics")
    assert starred[3:5] == ["67.7", r"70.0 \*"]
    assert "- UCF-101, TrIVD-GAN-FP, ch 120, trained on Kinetics: num_samples: 8 instead" in text
    assert line(text, "Other runs", "table3_trivd_gan_fp")[1:] == [
        "own options", "200", "100", "2.00", "5.0",
    ]  # fmt: skip
    assert line(text, "Table 1", "Clip") == [
        "Clip", "10.9", "", "59.6", "", "758", "", "", "488", "", "3.49",
    ]  # fmt: skip


def test_the_best_step_counts_before_the_last(runs):
    final = runs / "table3_trivd_gan_fp"
    scores = (StepScore(100, 1.0, 1.0), StepScore(200, 2.0, 1.0))
    _write(final / "best.json", BestRecord({}, scores))
    text = tables.markdown(tables.read_runs([final]))
    assert line(text, "Table 3", "TrIVD-GAN-FP")[4] == "26.0"


def test_the_command_writes_markdown_and_json(runs, tmp_path, capsys):
    output = tmp_path / "report"
    assert main(["report", str(runs), "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert printed == (output / "tables.md").read_text() + "\n"
    stored = json.loads((output / "tables.json").read_text())
    (row,) = [r for r in stored["tables"]["Table 2"] if r["paper"]["name"] == "TSRU_p"]
    assert row["fvd"]["mean"] == 42.0
    assert row["trainings"] == 2


def test_what_holds_no_evaluation_is_told(tmp_path, runs):
    for path, message in (
        (tmp_path / "absent", "no such directory"),
        (tmp_path / "empty", "nothing"),
    ):
        if "empty" in path.name:
            path.mkdir()
        with pytest.raises(InputError, match=message):
            tables.read_runs([path])


@pytest.mark.parametrize(
    "content",
    ["{}", '{"protocol": {"step": 1}, "rows": [{"fvd": 1.0}]}',
     '{"protocol": {"step": 1}, "rows": [{"fvd": null, "inception_score": 2.0}]}'],
)  # fmt: skip
def test_a_damaged_report_is_passed_over_beside_others_that_can_be_read(runs, caplog, content):
    whole = tables.read_runs([runs])
    (runs / "tsru_0/evaluations/500000/kinetics600_val/report.json").write_text(content)
    (runs / "tsru_1/best.json").write_text("{")
    found = tables.read_runs([runs])
    assert 0 < len(found) < len(whole)
    assert "report.json is not a report of this version" in caplog.text
    assert "best.json is not readable" in caplog.text


def test_damaged_reports_alone_are_an_error(runs):
    for report in (runs / "tsru_0").rglob("report.json"):
        report.write_text("{}")
    with pytest.raises(InputError, match="is not a report of this version"):
        tables.read_runs([runs / "tsru_0"])


def test_runs_that_were_moved_aside_do_not_count(runs):
    whole = tables.read_runs([runs])
    (runs / "tsru_0" / "earlier").mkdir()
    shutil.copytree(runs / "tsru_1", runs / "tsru_0" / "earlier" / "2026-01-01")
    assert tables.read_runs([runs]) == whole


def test_tables_of_somebody_else_are_not_replaced(runs, tmp_path, capsys):
    output = tmp_path / "report"
    output.mkdir()
    (output / "tables.md").write_text("my notes")
    assert main(["report", str(runs), "--output", str(output)]) == 2
    assert "tables.md" in capsys.readouterr().err
    assert [path.name for path in output.iterdir()] == ["tables.md"]
    assert (output / "tables.md").read_text() == "my notes"


def test_a_report_by_no_protocol_is_listed_whatever_it_leaves_out(tmp_path):
    folder = tmp_path / "mine" / "evaluations" / "2"
    folder.mkdir(parents=True)
    row = {"name": "model, step 2", "fvd": 1.5, "inception_score": 2.0}
    (folder / "report.json").write_text(json.dumps({"protocol": {"step": 2}, "rows": [row]}))
    assert "1.5" in tables.markdown(tables.read_runs([tmp_path]))
