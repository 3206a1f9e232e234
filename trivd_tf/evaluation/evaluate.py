"""Scores a model next to simple baselines, by a protocol (architecture, section 7)."""

import dataclasses
import pathlib
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from trivd_tf import run_record
from trivd_tf.evaluation.best_of import best_of_draws
from trivd_tf.evaluation.clips import check_enough_clips
from trivd_tf.evaluation.model import ScoredModel, as_predictor, open_model
from trivd_tf.evaluation.paper_figures import describe, rows_of_run
from trivd_tf.evaluation.pictures import (
    TRUNCATIONS,
    Pictures,
    draw_all,
    truncation_row,
    truncation_scores,
)
from trivd_tf.evaluation.protocols import Scoring
from trivd_tf.evaluation.real_features import MomentsByCount, real_features
from trivd_tf.evaluation.report import MODEL_ROW, Report, Row, describe_scoring, protocol_line
from trivd_tf.evaluation.scored import (
    Candidate,
    ScoredVideos,
    copy_candidate,
    model_candidate,
    other_real_candidate,
    score_all,
)
from trivd_tf.inference.predictor_base import Predictor
from trivd_tf.metrics import I3D, FeatureExtractor
from trivd_tf.training.loop import build_step
from trivd_tf.training.restore import Step, estimate_from_training_data

if TYPE_CHECKING:
    from trivd_tf.experiment import Experiment

_PARTIAL = "unfinished"


def evaluate(
    experiment: "Experiment",
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
    """Scores a model, copying the last frame, and real clips against other real clips.

    Writes `report.json`, `report.md` and pictures to `output`. What is unfinished is kept there
    too: the same call goes on where an earlier one was cut off.

    Args:
        experiment: what `model_dir` is a run of.
        model_dir: a run's directory, or an exported model.
        step: of the checkpoint, or "best"; the newest when left out.
        scoring: by which protocol, on which data; the experiment's own options when left out.
        include_untrained: also score the model as it was before the first step.
        seed: the run's, from which the untrained model is built again.
        pictures: what to show besides the table.
        strategy: shares clips out between its replicas.
        output: where to; `MODEL_DIR/evaluations/<step>/<protocol>` when left out.
        extractor: I3D, where it is at hand already.
        should_stop: asked between batches.

    Returns:
        The report; `str(report)` is the table.

    Raises:
        InputError: no checkpoint, too few clips, or a combination that cannot be.
        EvaluationStopped: `should_stop` said so.
    """
    scoring = scoring or Scoring(experiment)
    pictures = pictures or Pictures()
    scored = scoring.experiment
    options = scored.evaluation
    scored.data.prepare(scored.clip)
    check_enough_clips(scored)
    # Standing statistics are of the data that the model was trained on.
    trained = dataclasses.replace(experiment, evaluation=options)
    model = open_model(trained, model_dir, step=step, strategy=strategy)
    protocol = describe_scoring(scoring, model.step, model.standing)
    if experiment.class_conditional:
        protocol["classes"] = "class 0 for every clip, whatever its label"
    print(f"scoring by: {protocol_line(protocol)}", file=sys.stderr)
    folder = output_folder(model_dir, model.step, scoring) if output is None else output
    folder = pathlib.Path(folder)
    extractor = extractor or make_extractor(scored, strategy)
    real = real_features(scored, extractor, should_stop)
    predictor = model.predictor(options.seed)
    candidates = _candidates(scored, model, predictor, pictures)
    if include_untrained:
        untrained = as_predictor(build_untrained(trained, seed, strategy), strategy)
        candidates |= _model_row("untrained model", scored, untrained)
    candidates["copy of the last frame"] = copy_candidate(scored)
    candidates["real against real"] = other_real_candidate(scored)
    first = score_all(
        scored,
        candidates,
        extractor,
        identity=_identity(scored, model, options.seed, seed if include_untrained else None),
        path=folder / _PARTIAL / "run_0.npz",
        should_stop=should_stop,
    )
    best_of = {}
    if "best_of" in pictures.kinds:
        best_of = best_of_draws(
            scored,
            predictor,
            num_clips=min(pictures.best_of_clips, options.num_samples),
            identity=model.identity,
            path=folder / _PARTIAL / "best_of.npz",
            should_stop=should_stop,
        )
    rows = [_row(videos, real) for videos in first.values()]
    report = Report(
        rows,
        protocol,
        scoring.deviations,
        best_of=best_of,
        paper=_paper(model_dir, scoring),
    )
    report = draw_all(
        dataclasses.replace(
            report, truncation=truncation_scores(report) if "truncation" in pictures.kinds else {}
        ),
        pictures,
        scored,
        predictor,
        _made(folder),
    )
    rows[0] = _further_runs(rows[0], scored, model, extractor, real, folder, should_stop)
    report = dataclasses.replace(report, rows=rows)
    report.save(folder)
    shutil.rmtree(folder / _PARTIAL, ignore_errors=True)
    return report


def output_folder(model_dir: str | pathlib.Path, step: int, scoring: Scoring) -> pathlib.Path:
    """Where a report goes when nobody says where."""
    return pathlib.Path(model_dir) / "evaluations" / str(step) / scoring.protocol


def make_extractor(
    experiment: "Experiment", strategy: tf.distribute.Strategy | None
) -> FeatureExtractor:
    """I3D as the evaluation options say, on the replicas of `strategy` if there are several."""
    options = experiment.evaluation
    if strategy is None or strategy.num_replicas_in_sync == 1:
        model = I3D.from_pretrained(options.i3d) if options.i3d else None
        return FeatureExtractor(model, resize=options.resize)
    with strategy.scope():
        model = I3D.from_pretrained(options.i3d)
    return FeatureExtractor(model, resize=options.resize, strategy=strategy)


def build_untrained(
    experiment: "Experiment", seed: int, strategy: tf.distribute.Strategy | None = None
):
    """The generator as training would begin with it, standing statistics estimated."""
    strategy = strategy or tf.distribute.get_strategy()
    generator = build_step(experiment, strategy, seed).generator
    estimate_from_training_data(experiment, generator, strategy=strategy)
    return generator


def _candidates(
    scored: "Experiment", model: ScoredModel, predictor: Predictor, pictures: Pictures
) -> dict[str, Candidate]:
    """The model, and the model with other truncations where they are asked for."""
    options = scored.evaluation
    candidates = _model_row(f"{MODEL_ROW} {model.step}", scored, predictor)
    if "truncation" in pictures.kinds:
        for name, value in TRUNCATIONS.items():
            if value is not None:
                candidates[truncation_row(name)] = model_candidate(
                    scored, predictor, seed=options.seed, truncation=value
                )
    return candidates


def _model_row(name: str, scored: "Experiment", predictor: Predictor) -> dict[str, Candidate]:
    options = scored.evaluation
    return {
        name: model_candidate(scored, predictor, seed=options.seed, truncation=options.truncation)
    }


def _identity(
    scored: "Experiment", model: ScoredModel, seed: int, untrained_seed: int | None
) -> list[object]:
    return [model.identity, model.standing, seed, scored.evaluation.truncation, untrained_seed]


def _row(videos: ScoredVideos, real: MomentsByCount) -> Row:
    fvd = videos.fvd(real)
    return Row(
        videos.name,
        fvd=fvd[max(fvd)],
        inception_score=videos.inception_score,
        by_frame=videos.by_frame,
        fvd_by_samples=fvd,
    )


def _further_runs(
    row: Row,
    scored: "Experiment",
    model: ScoredModel,
    extractor: FeatureExtractor,
    real: MomentsByCount,
    folder: pathlib.Path,
    should_stop: Callable[[], bool],
) -> Row:
    """The model's row with means over all runs; each has latents and statistics of its own seed."""
    options = scored.evaluation
    if options.num_runs == 1:
        return row
    runs = [{"seed": options.seed, "fvd": row.fvd, "inception_score": row.inception_score}]
    for seed in range(options.seed + 1, options.seed + options.num_runs):
        candidate = _seeded(scored, model, seed)
        (videos,) = score_all(
            scored,
            {row.name: candidate},
            extractor,
            identity=_identity(scored, model, seed, None),
            path=folder / _PARTIAL / f"run_{seed - options.seed}.npz",
            should_stop=should_stop,
        ).values()
        one = _row(videos, real)
        runs.append({"seed": seed, "fvd": one.fvd, "inception_score": one.inception_score})
    return dataclasses.replace(
        row,
        fvd=float(np.mean([run["fvd"] for run in runs])),
        inception_score=float(np.mean([run["inception_score"] for run in runs])),
        runs=tuple(runs),
    )


def _seeded(scored: "Experiment", model: ScoredModel, seed: int) -> Candidate:
    """A run's candidate; its model is made when the first clip comes: a finished run needs none."""
    made: list[Candidate] = []

    def candidate(real: np.ndarray, first: int) -> np.ndarray:
        if not made:
            truncation = scored.evaluation.truncation
            predictor = model.predictor(seed)
            made.append(model_candidate(scored, predictor, seed=seed, truncation=truncation))
        return made[0](real, first)

    return candidate


def _paper(model_dir: str | pathlib.Path, scoring: Scoring) -> tuple[str, ...]:
    names = run_record.gin_names(model_dir)
    rows = [row for name in names for row in rows_of_run(name)]
    return tuple(describe(row) for row in rows if row.protocol == scoring.protocol)


def _made(folder: pathlib.Path) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def with_options(experiment: "Experiment", **changes) -> "Experiment":
    """The same experiment, evaluated otherwise."""
    evaluation = dataclasses.replace(experiment.evaluation, **changes)
    return dataclasses.replace(experiment, evaluation=evaluation)
