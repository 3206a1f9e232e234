"""Score on the training set that selects the `best` checkpoint during training (section 6)."""

import dataclasses
import pathlib
import shutil
from collections.abc import Callable

import tensorflow as tf

from trivd_tf.base import model_files
from trivd_tf.base.errors import InputError
from trivd_tf.evaluation.clips import TooFewClips, check_enough_clips
from trivd_tf.evaluation.evaluate import make_extractor
from trivd_tf.evaluation.partial import EvaluationStopped
from trivd_tf.evaluation.protocols import Scoring
from trivd_tf.evaluation.real_features import real_features
from trivd_tf.evaluation.reporting.report import describe_scoring
from trivd_tf.evaluation.scored import model_candidate, score_all
from trivd_tf.experiment import Experiment
from trivd_tf.inference.open import open_model
from trivd_tf.metrics import FeatureExtractor
from trivd_tf.runs.best import BestRecord, StepScore, is_of, read_best, record_score
from trivd_tf.runs.stored_weights import file_digest
from trivd_tf.runs.weights import choose_checkpoint
from trivd_tf.training.checkpoints import checkpoint_paths
from trivd_tf.training.distribution.workers import Workers

_PARTIAL = "unfinished_training_score"


class TrainingScore:
    """Scores checkpoints on the training set and keeps the best; `on_score` of `training.train`.

    Scoring is as in `trivd evaluate` except for the split: it uses the first `num_samples`
    evaluation clips of the training videos. A scored step is not scored again; an interrupted score
    is resumed.

    Args:
        experiment: the experiment in training.
        model_dir: model directory of the run.
        strategy: strategy of the training.
        should_stop: polled between batches; stopping leaves the score unfinished.
        extractor: I3D; created at the first score by default.
    """

    def __init__(
        self,
        experiment: Experiment,
        model_dir: str | pathlib.Path,
        *,
        strategy: tf.distribute.Strategy | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        extractor: FeatureExtractor | None = None,
    ):
        options = dataclasses.replace(experiment.evaluation, split="train", num_runs=1)
        self._experiment = dataclasses.replace(experiment, evaluation=options)
        self._model_dir = pathlib.Path(model_dir)
        # Every worker has the whole model, so the chief scores it alone.
        self._is_chief = strategy is None or Workers(strategy).is_chief
        of_workers = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        self._strategy = None if of_workers else strategy
        self._should_stop = should_stop
        self._extractor = extractor

    @classmethod
    def where_possible(
        cls,
        experiment: Experiment,
        model_dir: str | pathlib.Path,
        *,
        resume: bool,
        report: Callable[[str], None],
        strategy: tf.distribute.Strategy | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> "TrainingScore | None":
        """Return the checked score of a training, or None if it trains without one.

        Scores are optional: too few clips do not prevent training, and a resumed run continues
        without scores for whatever reason they are impossible.

        Args:
            experiment: the experiment to train.
            model_dir: model directory of the run.
            resume: whether the run has a checkpoint.
            report: called with a line that states what is left out and why.
            strategy: strategy of the training.
            should_stop: polled between batches.

        Raises:
            InputError: the configuration of the scores is invalid, and the run is new.
        """
        if not experiment.training.evaluate_every_steps:
            return None
        score = cls(experiment, model_dir, strategy=strategy, should_stop=should_stop)
        try:
            score.check()
        except InputError as error:
            if not resume and not isinstance(error, TooFewClips):
                raise
            report(
                f"trivd: warning: this training is not scored and keeps no best checkpoint: {error}"
            )
            return None
        return score

    def check(self) -> None:
        """Raise TooFewClips, or InputError if I3D cannot be loaded."""
        self._experiment.data.prepare(self._experiment.clip)
        check_enough_clips(self._experiment, in_training=True)
        if self._extractor is None:
            self._extractor = make_extractor(self._experiment, self._strategy)

    def __call__(self, step: int) -> None:
        """Score the checkpoint of `step`, unless that is already done."""
        if not self._is_chief:
            return
        record = read_best(self._model_dir)
        checkpoint, _ = choose_checkpoint(self._model_dir, step)
        scores = record.scores if record else ()
        if any(score.step == step and is_of(score, checkpoint) for score in scores):
            return
        try:
            score, protocol = self._score(step)
        except EvaluationStopped:
            return
        score = dataclasses.replace(
            score, checkpoint=file_digest(pathlib.Path(f"{checkpoint}.index"))
        )
        record = BestRecord(protocol, scores)
        record = record_score(self._model_dir, checkpoint, record, score)
        self._log(score, record)
        shutil.rmtree(self._model_dir / _PARTIAL, ignore_errors=True)
        self._drop_old_weights(step)

    def _score(self, step: int) -> tuple[StepScore, dict]:
        scored = self._experiment
        if self._extractor is None:
            self.check()
        assert self._extractor is not None
        model = open_model(self._model_dir, step=step, experiment=scored, strategy=self._strategy)
        real = real_features(scored, self._extractor, self._should_stop)
        options = scored.evaluation
        candidate = model_candidate(
            scored,
            model.predictor(options.seed),
            seed=options.seed,
            truncation=options.truncation,
        )
        (videos,) = score_all(
            scored,
            {"model": candidate},
            self._extractor,
            identity=[model.identity, model.standing, options.seed, options.truncation],
            path=self._model_dir / _PARTIAL / f"{step}.npz",
            should_stop=self._should_stop,
        ).values()
        fvd = videos.fvd(real)
        protocol = describe_scoring(
            Scoring(scored), step, model.standing, has_classes=scored.class_conditional
        )
        protocol.pop("step")
        return StepScore(step, fvd[max(fvd)], videos.inception_score), protocol

    def _log(self, score: StepScore, record: BestRecord) -> None:
        writer = tf.summary.create_file_writer(str(self._model_dir / model_files.TENSORBOARD))
        with writer.as_default():
            tf.summary.scalar("training_set/fvd", score.fvd, score.step)
            tf.summary.scalar("training_set/inception_score", score.inception_score, score.step)
        writer.close()
        best = " (best so far)" if record.best == score else ""
        line = f"step {score.step}: FVD {score.fvd:.1f} on the training set{best}"
        print(line, flush=True)

    def _drop_old_weights(self, scored_step: int) -> None:
        """Delete evaluation weights, which are as large as the model, of deleted checkpoints.

        A step that was scored without being the best can estimate its weights again.
        """
        folder = self._model_dir / model_files.EVALUATION_WEIGHTS
        best = (record := read_best(self._model_dir)) and record.best
        checkpoints = checkpoint_paths(self._model_dir / model_files.CHECKPOINTS)
        held = {path.rpartition("-")[2] for path in checkpoints}
        if best:
            held.add(str(best.step))
        for file in folder.glob("*.npz"):
            if file.stem.partition("-")[0] not in held:
                file.unlink(missing_ok=True)
