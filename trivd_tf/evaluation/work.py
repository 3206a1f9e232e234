"""An evaluation in progress; each of its scores can be interrupted and resumed."""

import dataclasses
import functools
import pathlib
import shutil
from collections.abc import Callable

import numpy as np

from trivd_tf.evaluation.best_of import best_of_draws
from trivd_tf.evaluation.clips import RealClips
from trivd_tf.evaluation.real_features import RealFeatures, real_features
from trivd_tf.evaluation.reporting.pictures import TRUNCATIONS, Pictures, truncation_row
from trivd_tf.evaluation.reporting.report import MODEL_ROW, Row
from trivd_tf.evaluation.scored import (
    Candidate,
    ScoredVideos,
    copy_candidate,
    model_candidate,
    other_real_candidate,
    score_all,
)
from trivd_tf.experiment import Experiment
from trivd_tf.inference.open import OpenedModel
from trivd_tf.inference.predictor_base import Predictor
from trivd_tf.metrics import FeatureExtractor
from trivd_tf.metrics.uncertainty import Estimate

_PARTIAL = "unfinished"
_OTHER_REAL = "real against real"


@dataclasses.dataclass(frozen=True)
class Untrained:
    """The model before its first step: its seed, and a function that builds it."""

    seed: int
    predictor: Callable[[], Predictor]


@dataclasses.dataclass(frozen=True)
class Work:
    """A model to score, its data and the folder of the report.

    Methods raise `EvaluationStopped` if `should_stop` returns True. Partial results are kept in
    `folder`, and the same calls resume from there.

    Attributes:
        scored: the experiment, configured for scoring.
        model: the model to score.
        extractor: I3D.
        pictures: pictures for which more is measured.
        folder: folder of the report.
        should_stop: polled between batches.
    """

    scored: Experiment
    model: OpenedModel
    extractor: FeatureExtractor
    pictures: Pictures
    folder: pathlib.Path
    should_stop: Callable[[], bool]

    @functools.cached_property
    def predictor(self) -> Predictor:
        """The model with the statistics of the first run."""
        return self.model.predictor(self.scored.evaluation.seed)

    @functools.cached_property
    def real(self) -> RealFeatures:
        """Logits of the real clips and their statistics."""
        return real_features(self.scored, self.extractor, self.should_stop)

    def first_run(self, untrained: Untrained | None = None) -> list[Row]:
        """Score the model, its requested variants (truncated, untrained) and the baselines."""
        real = self.real  # before the model, which may take long to build
        seed = self.scored.evaluation.seed
        candidates = {f"{MODEL_ROW} {self.model.step}": self._candidate(self.predictor)}
        if "truncation" in self.pictures.kinds:
            for name, value in TRUNCATIONS.items():
                if value is not None:
                    candidates[truncation_row(name)] = model_candidate(
                        self.scored, self.predictor, seed=seed, truncation=value
                    )
        if untrained is not None:
            candidates["untrained model"] = self._candidate(untrained.predictor())
        candidates["copy of the last frame"] = copy_candidate(self.scored)
        candidates[_OTHER_REAL] = other_real_candidate(self.scored)
        untrained_seed = None if untrained is None else untrained.seed
        scored = self._score(candidates, seed, untrained_seed)
        return [_row(videos, real) for videos in scored.values()]

    def best_of(self) -> dict[int, list[float]]:
        """Return `best_of_draws`; empty if no picture shows it."""
        if "best_of" not in self.pictures.kinds:
            return {}
        return best_of_draws(
            self.scored,
            self.predictor,
            num_clips=min(self.pictures.best_of_clips, self.scored.evaluation.num_samples),
            identity=[self.model.identity, self.model.standing],
            path=self.folder / _PARTIAL / "best_of.npz",
            should_stop=self.should_stop,
        )

    def all_runs(self, row: Row) -> Row:
        """Average the model's row over all runs, each with its own latents and statistics."""
        options = self.scored.evaluation
        if options.num_runs == 1:
            return row
        runs = [{"seed": options.seed, "fvd": row.fvd, "inception_score": row.inception_score}]
        for seed in range(options.seed + 1, options.seed + options.num_runs):
            (videos,) = self._score({row.name: self._seeded(seed)}, seed).values()
            by_samples = videos.fvd(self.real)
            fvd, inception_score = by_samples[max(by_samples)], videos.inception_score
            runs.append({"seed": seed, "fvd": fvd, "inception_score": inception_score})
        return dataclasses.replace(
            row,
            fvd=float(np.mean([run["fvd"] for run in runs])),
            inception_score=float(np.mean([run["inception_score"] for run in runs])),
            runs=tuple(runs),
        )

    def forget(self) -> None:
        """Delete the partial results."""
        shutil.rmtree(self.folder / _PARTIAL, ignore_errors=True)

    def _score(
        self, candidates: dict[str, Candidate], seed: int, untrained_seed: int | None = None
    ) -> dict[str, ScoredVideos]:
        options, model = self.scored.evaluation, self.model
        return score_all(
            self.scored,
            candidates,
            self.extractor,
            identity=[model.identity, model.standing, seed, options.truncation, untrained_seed],
            path=self.folder / _PARTIAL / f"run_{seed - options.seed}.npz",
            should_stop=self.should_stop,
        )

    def _candidate(self, predictor: Predictor, seed: int | None = None) -> Candidate:
        options = self.scored.evaluation
        seed = options.seed if seed is None else seed
        return model_candidate(self.scored, predictor, seed=seed, truncation=options.truncation)

    def _seeded(self, seed: int) -> Candidate:
        """Return a run's candidate, which builds its model only when a first clip comes."""
        made: list[Candidate] = []

        def candidate(real: RealClips) -> np.ndarray:
            if not made:
                made.append(self._candidate(self.model.predictor(seed), seed))
            return made[0](real)

        return candidate


def _row(videos: ScoredVideos, real: RealFeatures) -> Row:
    by_samples = videos.fvd(real)
    # A prediction belongs to the real clip with its conditioning frames.
    estimate = videos.fvd_estimate(real, paired=videos.name != _OTHER_REAL)
    infinite = estimate.infinite
    return Row(
        videos.name,
        fvd=by_samples[max(by_samples)],
        inception_score=videos.inception_score,
        by_frame=videos.by_frame,
        fvd_by_samples=by_samples,
        fvd_interval=_interval(estimate.fvd),
        fvd_infinite=None if infinite is None else infinite.value,
        fvd_infinite_interval=None if infinite is None else _interval(infinite),
    )


def _interval(estimate: Estimate) -> tuple[float, float] | None:
    if estimate.low is None or estimate.high is None:
        return None
    return estimate.low, estimate.high
