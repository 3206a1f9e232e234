"""Evaluation: streamed, resumable, alike on a checkpoint and on its export."""

import dataclasses
import itertools
import json
import shutil
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from trivd_tf import config
from trivd_tf.base.errors import InputError, RunError
from trivd_tf.cli.main import main
from trivd_tf.evaluation import Pictures, evaluate
from trivd_tf.evaluation.clips import batches_of, sample_counts
from trivd_tf.evaluation.evaluate import with_options
from trivd_tf.evaluation.logits import LogitsFile
from trivd_tf.evaluation.partial import EvaluationStopped, PartialResult
from trivd_tf.evaluation.real_features import real_features
from trivd_tf.evaluation.scored import copy_candidate, other_real_candidate, score_all
from trivd_tf.inference import open_model
from trivd_tf.inference.latents import latents
from trivd_tf.metrics import frechet_distance, inception_score
from trivd_tf.runs.best import BestRecord, StepScore, record_score
from trivd_tf.runs.weights import choose_checkpoint

from .conftest import noisy_model

ALL = Pictures(kinds=("samples", "truncation", "best_of", "motion"), best_of_clips=3)


class StopsAfter:
    """Says stop at the n-th question, once."""

    def __init__(self, questions: int):
        self.left = questions

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


@pytest.fixture(scope="module")
def evaluate_noisy(tiny_run, extractor):
    """Evaluates in two runs, with all pictures, a model that needs no tracing."""
    experiment = with_options(config.load_run(tiny_run), num_runs=2)

    def run(folder: Path, **options):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
            module = sys.modules["trivd_tf.evaluation.evaluate"]
            patch.setattr(module, "open_model", lambda *a, **k: noisy_model(4, 10.0))
            call = {"output": folder, "pictures": ALL, "extractor": extractor, **options}
            return evaluate(experiment, tiny_run, **call)

    return run


@pytest.fixture(scope="module")
def whole(evaluate_noisy, tmp_path_factory):
    """An evaluation that was not cut off: (report, folder)."""
    folder = tmp_path_factory.mktemp("whole")
    return evaluate_noisy(folder), folder


def test_an_evaluation_that_is_cut_off_again_and_again_gives_the_same(
    whole, evaluate_noisy, tmp_path
):
    stops = 0
    # In the real features, in the first run, in the best of l (asked clip by clip), in the second
    # run: there are 3 batches and 3 clips, and what is done is not asked about again.
    for questions in (2, 2, 3, 4):
        with pytest.raises(EvaluationStopped):
            evaluate_noisy(tmp_path, should_stop=StopsAfter(questions))
        stops += 1
    report = evaluate_noisy(tmp_path)
    assert stops == 4
    assert report.to_json() == whole[0].to_json()
    assert not (tmp_path / "unfinished").exists()


def test_a_report_holds_table_runs_curves_and_pictures(whole):
    report, folder = whole
    stored = json.loads((folder / "report.json").read_text())
    model = report.row("model, step 4")
    assert [run["seed"] for run in model.runs] == [0, 1]
    fvd = [run["fvd"] for run in model.runs]
    assert fvd[0] != fvd[1]
    assert model.fvd == pytest.approx(np.mean(fvd))
    assert model.deviation("fvd") == pytest.approx(np.std(fvd, ddof=1))
    assert f"{model.fvd:.1f} ± {model.deviation('fvd'):.1f}" in str(report)
    assert stored["rows"][0]["fvd_by_samples"].keys() == {"20", "40"}
    assert list(report.truncation) == ["none", "0.8", "0"]
    assert report.truncation["none"]["fvd"] == pytest.approx(fvd[0])
    for name in ("0.8", "0"):
        (row,) = [row for row in report.rows if row.name == f"truncation {name}"]
        assert report.truncation[name]["fvd"] == row.fvd
    assert report.truncation["0"]["fvd"] != report.truncation["0.8"]["fvd"]
    assert list(report.best_of) == [1, 2, 5, 10, 20, 50, 100]
    pictures = {"fvd_by_samples.png", "best_of.png", "truncation.png"}
    pictures |= {f"truncation_{n}.gif" for n in range(1, 5)}
    pictures |= {f"motion_{n}.png" for n in range(1, 5)}
    assert set(report.figures) == pictures
    assert all((folder / name).stat().st_size > 1000 for name in pictures)
    assert all(f"]({name})" in (folder / "report.md").read_text() for name in pictures)
    means = [np.mean(values) for values in report.best_of.values()]  # never fall with l
    assert all(later >= earlier for earlier, later in itertools.pairwise(means))
    assert means[-1] > means[0]


def test_streamed_scores_equal_those_of_all_clips_at_once(experiment, tmp_path, extractor):
    candidates = {"copy": copy_candidate(experiment), "other": other_real_candidate(experiment)}
    scored = score_all(experiment, candidates, extractor, identity=0, path=tmp_path / "a.npz")
    real, other = (
        np.concatenate([batch.videos for batch in batches_of(experiment, "test", **which)])
        for which in ({"num_clips": 40}, {"first": 40, "num_clips": 40})
    )
    copied = np.concatenate([real[:, :7], real[:, 6:7], real[:, 6:7]], axis=1)
    for name, predicted in (("copy", copied), ("other", other)):
        logits, real_logits = extractor(predicted), extractor(real)
        found = scored[name].fvd(real_features(experiment, extractor))
        for count in (20, 40):
            expected = frechet_distance(real_logits[:count], logits[:count])
            assert found[count] == pytest.approx(expected, rel=1e-6)
        assert scored[name].inception_score == pytest.approx(inception_score(logits)[0])
        estimate = scored[name].fvd_estimate(real_features(experiment, extractor), paired=True)
        assert estimate.fvd.value == pytest.approx(found[40], rel=1e-5)
        assert estimate.fvd.low < estimate.fvd.value < estimate.fvd.high
        assert estimate.infinite.value < estimate.fvd.value  # the bias of 40 samples is gone
        np.testing.assert_array_equal(scored[name].logits.rows(), logits)


def test_logits_of_an_interrupted_process_are_copied(tmp_path):
    rows = np.arange(12.0, dtype=np.float32).reshape(4, 3)
    first = LogitsFile(tmp_path / "run.npz", 3)
    first.append(rows)
    second = LogitsFile(tmp_path / "run.npz", 3)
    assert second.resume(str(first.name), 2, complete=False)
    second.append(rows[:1])
    np.testing.assert_array_equal(second.rows(), rows[[0, 1, 0]])
    np.testing.assert_array_equal(first.rows(), rows)
    whole = LogitsFile(tmp_path / "run.npz", 3)
    assert whole.resume(str(first.name), 4, complete=True)
    assert whole.path == first.path
    for name, count in (("absent", 1), (str(first.name), 5)):
        assert not LogitsFile(tmp_path / "run.npz", 3).resume(name, count, complete=False)
    LogitsFile(tmp_path / "other.npz", 3).append(rows)
    whole.remove_others()
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(RunError, match=r"could not be written .*run the same command again"):
        LogitsFile(first.path / "below_a_file.npz", 3).append(rows)


def test_memory_does_not_grow_with_the_samples(experiment, tmp_path):
    """8 times the samples, the same peak: nothing is kept of a batch but sums."""
    weights = np.random.default_rng(0).normal(size=(9 * 16 * 16 * 3, 400)).astype(np.float32)

    def features(videos):
        return videos.reshape(len(videos), -1).astype(np.float32) @ weights / 1e4

    def peak(samples: int) -> int:
        of = with_options(experiment, num_samples=samples)
        candidates = {"copy": copy_candidate(of), "other": other_real_candidate(of)}
        tracemalloc.start()
        path = tmp_path / f"{samples}.npz"
        score_all(of, candidates, features, identity=0, path=path)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(64)  # what is imported and traced once
    few, many = peak(64), peak(512)
    # One more set of moments is kept for each doubling of the samples, up to a fixed number.
    assert many - few < 2 * 3 * 1.5 * 400 * 400 * 8 + 1e6
    state = [(tmp_path / f"{samples}.npz").stat().st_size for samples in (64, 512)]
    assert state[1] < 2 * state[0]


def test_latents_of_a_clip_do_not_depend_on_the_batch():
    options = {"num_samples": 2, "latent_size": 5, "truncation": None}
    whole = latents(3, num_clips=9, **options)
    parts = [latents(3, num_clips=3, first_clip=first, **options) for first in (0, 3, 6)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


@pytest.fixture(scope="module")
def best_run(tiny_run) -> Path:
    """The tiny run with its checkpoint as the best, and a newer one that cannot be read."""
    folder = tiny_run.with_name("with_best")
    shutil.copytree(tiny_run, folder)
    score = StepScore(4, 50.0, 1.5)
    record_score(folder, choose_checkpoint(folder)[0], BestRecord({}), score)
    for suffix in ("index", "data-00000-of-00001"):
        (folder / "checkpoints" / f"ckpt-6.{suffix}").write_text("not a checkpoint")
    return folder


@pytest.mark.long
def test_the_best_step_and_its_export_get_the_same_scores(
    experiment, best_run, tmp_path, extractor, made_videos, capsys
):
    expected = evaluate(experiment, best_run, step="best", extractor=extractor).row("model")
    stored = json.loads((best_run / "evaluations/4/report.json").read_text())
    assert stored["rows"][0]["fvd"] == expected.fvd
    exported, futures = tmp_path / "exported", tmp_path / "futures"
    best = ["--step", "best"]
    export = ["export", "--model_dir", str(best_run), "--export_dir", str(exported)]
    assert main([*export, "--no_archive", *best]) == 0
    assert json.loads((exported / "export.json").read_text())["step"] == 4
    report = evaluate(experiment, exported, extractor=extractor)
    assert report.row("model, step 4").fvd == pytest.approx(expected.fvd, rel=1e-3)
    assert report.protocol["standing_statistics"] == "the export's own"
    assert (exported / "evaluations" / "4" / "report.json").is_file()
    with pytest.raises(InputError, match="one step only"):
        open_model(exported, step=4, experiment=experiment)
    predict = ["predict", str(made_videos / "clip0.mp4"), "--output", str(futures)]
    assert main([*predict, "--model", str(best_run), *best]) == 0
    assert (futures / "clip0.png").is_file()
    assert main([*predict, "--model", str(best_run)]) == 2  # the newest, which is none
    assert "ckpt-6 is not a checkpoint of this model" in capsys.readouterr().err


def test_the_command_scores_by_a_protocol(best_run, extractor, capsys, monkeypatch):
    module = sys.modules["trivd_tf.evaluation.evaluate"]
    monkeypatch.setattr(module, "make_extractor", lambda *a: extractor)
    asked = {}
    monkeypatch.setattr(
        module, "open_model", lambda *a, **options: asked.update(options) or noisy_model(4, 10.0)
    )
    command = ["evaluate", "--model", str(best_run), "--protocol", "bouncing_digits"]
    assert main([*command, "--step", "best", "--num_samples", "4", "--figures"]) == 0
    assert asked["step"] == "best"
    *table, protocol, deviations = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in table[1:]] == [
        "model, step 4",
        "copy of the last frame",
        "real against real",
    ]
    assert protocol.startswith("protocol: bouncing_digits; ")
    assert deviations.endswith("size: 16 instead of 32; num_samples: 4 instead of 2048")
    assert (best_run / "evaluations/4/bouncing_digits/report.md").is_file()


def test_an_export_has_one_step_and_no_beginning(best_run, tmp_path, capsys):
    shutil.copy(best_run / "config.gin", tmp_path)
    (tmp_path / "saved_model.pb").touch()
    for flags, message in ((["--untrained"], "--untrained"), (["--step", "best"], "one step")):
        assert main(["evaluate", "--model", str(tmp_path), *flags]) == 2
        assert message in capsys.readouterr().err


def test_sample_counts_are_halves():
    assert sample_counts(50_000) == [390, 781, 1562, 3125, 6250, 12500, 25000, 50000]
    assert sample_counts(64) == [16, 32, 64]
    assert sample_counts(5) == [5]


def test_an_unfinished_result_of_other_work_is_ignored(tmp_path):
    path = tmp_path / "part.npz"
    PartialResult(path, "a").step(3, lambda: {"x": np.ones(2)}, last=True)
    assert PartialResult(path, "a").load()["done"] == 3
    assert PartialResult(path, "b").load() is None
    path.write_bytes(path.read_bytes()[:60])
    assert PartialResult(path, "a").load() is None


def test_too_few_clips_are_told(experiment, tiny_run, extractor, monkeypatch):
    monkeypatch.setattr(type(experiment.data), "num_evaluation_clips", lambda *a: 10)
    with pytest.raises(InputError, match="--num_samples 10 or fewer"):
        evaluate(experiment, tiny_run, extractor=extractor)


def test_unknown_pictures_are_refused():
    with pytest.raises(InputError, match="--figures nice: unknown; choose from samples"):
        Pictures(kinds=("nice",))
    assert dataclasses.replace(ALL, kinds=()).kinds == ()
