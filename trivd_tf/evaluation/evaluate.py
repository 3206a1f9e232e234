"""Scoring of a model and simple baselines by a protocol (docs/architecture.md, section 7)."""

import dataclasses
import pathlib
import sys
from collections.abc import Callable

import tensorflow as tf

from trivd_tf.base import model_files
from trivd_tf.base.lock import directory_lock
from trivd_tf.base.outputs import check_outputs, claimed, set_aside_edited
from trivd_tf.evaluation.clips import check_enough_clips
from trivd_tf.evaluation.paper_tables.paper_figures import describe, rows_of_run
from trivd_tf.evaluation.protocols import Scoring
from trivd_tf.evaluation.reporting.pictures import Pictures, draw_all, truncation_scores
from trivd_tf.evaluation.reporting.report import Report, describe_scoring, protocol_line
from trivd_tf.evaluation.work import Untrained, Work
from trivd_tf.experiment import Experiment
from trivd_tf.inference.open import as_predictor, open_model
from trivd_tf.metrics import I3D, FeatureExtractor
from trivd_tf.runs import record as run_record
from trivd_tf.runs.weights import Step, estimate_from_training_data
from trivd_tf.training.loop import build_step


def evaluate(
    experiment: Experiment,
    model_dir: str | pathlib.Path,
    *,
    step: Step = None,
    scoring: Scoring | None = None,
    include_untrained: bool = False,
    seed: int = 0,
    pictures: Pictures | None = None,
    strategy: tf.distribute.Strategy | None = None,
    output: str | pathlib.Path | None = None,
    extractor: FeatureExtractor | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Score a model, a copy of the last frame, and real clips against other real clips.

    Writes `report.json`, `report.md` and pictures to `output`. Partial results are kept there too,
    so the same call resumes an interrupted evaluation. An earlier report in the model directory is
    replaced; report files edited since then are kept as `NAME-earlier-1.SUFFIX`.

    Args:
        experiment: the experiment of `model_dir`.
        model_dir: a model directory, or an exported model.
        step: step of the checkpoint, or "best"; the newest by default.
        scoring: protocol and data to score with; the experiment's own options by default.
        include_untrained: also score the model as it was before the first step.
        seed: the run's seed, from which the untrained model is rebuilt.
        pictures: what to show besides the table.
        strategy: divides the clips among its replicas.
        output: folder of the report; `MODEL_DIR/evaluations/<step>/<protocol>` by default.
        extractor: an I3D that is already loaded.
        should_stop: polled between batches.

    Returns:
        The report; `str(report)` is its table.

    Raises:
        InputError: no checkpoint, too few clips, an invalid combination of arguments, `output` has
            other files of these names, or another process is working on the same report.
        EvaluationStopped: `should_stop` returned True.
    """
    scoring = scoring or Scoring(experiment)
    scored = scoring.experiment
    scored.data.prepare(scored.clip)
    check_enough_clips(scored)
    # Standing statistics come from the data that the model was trained on.
    trained = dataclasses.replace(experiment, evaluation=scored.evaluation)
    model = open_model(model_dir, step=step, experiment=trained, strategy=strategy)
    protocol = describe_scoring(
        scoring, model.step, model.standing, has_classes=experiment.class_conditional
    )
    print(f"scoring by: {protocol_line(protocol)}", file=sys.stderr)
    folder = pathlib.Path(output or output_folder(model_dir, model.step, scoring)).expanduser()
    with directory_lock(folder, "trivd evaluate"):
        if output is not None:
            check_outputs(model_files.report_files(folder))
        work = Work(
            scored,
            model,
            extractor or make_extractor(scored, strategy),
            pictures or Pictures(),
            folder,
            should_stop,
        )
        untrained = None
        if include_untrained:
            untrained = Untrained(
                seed, lambda: as_predictor(build_untrained(trained, seed, strategy), strategy)
            )
        report = Report(
            work.first_run(untrained),
            protocol,
            scoring.deviations,
            best_of=work.best_of(),
            paper=_paper(model_dir, scoring),
            weights=model.weights.get(scored.evaluation.seed, {}),
        )
        report = _finish(report, work)
    return report


def _finish(report: Report, work: Work) -> Report:
    """Complete the report with pictures and the means over all runs, and write it."""
    work.folder.mkdir(parents=True, exist_ok=True)
    files = model_files.report_files(work.folder)
    first = report.rows[0]
    means = work.all_runs(first)  # before writing anything: this may take hours
    for path, kept in set_aside_edited(files).items():
        print(
            f"trivd: {path} was edited, or comes from an earlier version: kept as {kept.name}",
            file=sys.stderr,
        )
    with claimed(files):
        report = _with_pictures(report, work)
        report = dataclasses.replace(report, rows=[means, *report.rows[1:]])
        report.save(work.folder)
    work.forget()
    return report


def _with_pictures(report: Report, work: Work) -> Report:
    if "truncation" in work.pictures.kinds:
        report = dataclasses.replace(report, truncation=truncation_scores(report))
    return draw_all(report, work.pictures, work.scored, work.predictor, work.folder)


def output_folder(model_dir: str | pathlib.Path, step: int, scoring: Scoring) -> pathlib.Path:
    """Return the default folder of a report."""
    return pathlib.Path(model_dir) / model_files.EVALUATIONS / str(step) / scoring.protocol


def make_extractor(
    experiment: Experiment, strategy: tf.distribute.Strategy | None
) -> FeatureExtractor:
    """Create I3D by the evaluation options, on the replicas of `strategy` if there are several."""
    options = experiment.evaluation
    if strategy is None or strategy.num_replicas_in_sync == 1:
        model = I3D.from_pretrained(options.i3d) if options.i3d else None
        return FeatureExtractor(model, resize=options.resize)
    with strategy.scope():
        model = I3D.from_pretrained(options.i3d)
    return FeatureExtractor(model, resize=options.resize, strategy=strategy)


def build_untrained(
    experiment: Experiment, seed: int, strategy: tf.distribute.Strategy | None = None
):
    """Build the generator as it is before training, with standing statistics estimated."""
    strategy = strategy or tf.distribute.get_strategy()
    generator = build_step(experiment, strategy, seed).generator
    estimate_from_training_data(experiment, generator, strategy=strategy)
    return generator


def _paper(model_dir: str | pathlib.Path, scoring: Scoring) -> tuple[str, ...]:
    names = run_record.gin_names(model_dir)
    rows = [row for name in names for row in rows_of_run(name)]
    return tuple(describe(row) for row in rows if row.protocol == scoring.protocol)


def with_options(experiment: Experiment, **changes) -> Experiment:
    """Return the experiment with changed evaluation options."""
    evaluation = dataclasses.replace(experiment.evaluation, **changes)
    return dataclasses.replace(experiment, evaluation=evaluation)
