"""Scores a trained model next to simple baselines (architecture, section 7).

Everything is streamed: a batch of clips is read, predicted, scored and forgotten.
"""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from trivd_tf.data import BouncingDigits, center_distance, digit_centers
from trivd_tf.errors import InputError
from trivd_tf.evaluation.options import EvaluationOptions
from trivd_tf.evaluation.real_features import real_features
from trivd_tf.evaluation.report import Report, Row
from trivd_tf.inference.latents import latents
from trivd_tf.inference.predictor import GeneratorPredictor
from trivd_tf.inference.predictor_base import Predictor
from trivd_tf.metrics import (
    I3D,
    FeatureExtractor,
    StreamedInceptionScore,
    StreamedMoments,
    copy_last_frame,
    frechet_distance_from_moments,
    psnr,
    ssim,
)
from trivd_tf.progress import Progress
from trivd_tf.training.loop import build_step
from trivd_tf.training.restore import estimate_from_training_data, evaluation_generator

if TYPE_CHECKING:
    from trivd_tf.experiment import Experiment

# PSNR of identical frames is infinite; a mean over frames needs a bound (8-bit noise floor).
_PSNR_CEILING = 100.0


class ScoredVideos:
    """Adds up the scores of one kind of prediction, batch by batch.

    Args:
        name: of the row.
        extractor: I3D.
        num_samples: how many clips there will be.
        num_digits: also measure the distance of this many digits' centres; 0 for other data.
    """

    def __init__(
        self, name: str, extractor: FeatureExtractor, num_samples: int, num_digits: int = 0
    ):
        self.name = name
        self._extractor = extractor
        self._num_digits = num_digits
        self.moments = StreamedMoments()
        self._inception = StreamedInceptionScore(num_samples)
        self._frames: list[dict[str, np.ndarray]] = []

    def update(self, real: np.ndarray, predicted: np.ndarray, skip: int) -> None:
        """Takes whole clips, uint8 `[b, Tc + T, S, S, 3]`; the first `skip` frames are given."""
        logits = self._extractor(predicted)
        self.moments.update(logits)
        self._inception.update(logits)
        real, predicted = real[:, skip:], predicted[:, skip:]
        scores = {
            "psnr": psnr(real, predicted, ceiling=_PSNR_CEILING),
            "ssim": ssim(real, predicted),
        }
        if self._num_digits:
            centers = [digit_centers(video, self._num_digits) for video in (predicted, real)]
            scores["center_distance"] = center_distance(*centers)
        self._frames.append({key: value.sum(axis=0) for key, value in scores.items()})

    def row(self, real: StreamedMoments) -> Row:
        """The scores, the Frechet distance against the features of `real`."""
        by_frame = {
            key: np.asarray(sum(p[key] for p in self._frames) / self.moments.count).tolist()
            for key in self._frames[0]
        }
        return Row(
            name=self.name,
            fvd=frechet_distance_from_moments(real, self.moments),
            inception_score=self._inception.result()[0],
            by_frame=by_frame,
        )


def evaluate(
    experiment: "Experiment",
    model_dir: str | pathlib.Path,
    *,
    step: int | None = None,
    include_untrained: bool = False,
    seed: int = 0,
) -> Report:
    """Scores a run's model, copying the last frame, and real clips against other real clips.

    Writes `report.json` and `report.md` to `MODEL_DIR/evaluations/<step>/`.

    Args:
        experiment: what `model_dir` is a run of.
        model_dir: a run's directory.
        step: of the checkpoint; the newest when left out.
        include_untrained: also score the model as it was before the first step.
        seed: the run's, from which the untrained model is built again.

    Returns:
        The report; `str(report)` is the table.

    Raises:
        InputError: no checkpoint, or too few clips.
    """
    options = experiment.evaluation
    experiment.data.prepare(experiment.clip)
    _check_enough_clips(experiment)
    generator, step = evaluation_generator(experiment, model_dir, step=step, refresh=True)
    predictors: dict[str, Predictor] = {f"model, step {step}": GeneratorPredictor(generator)}
    if include_untrained:
        untrained = build_untrained(experiment, seed)
        predictors["untrained model"] = GeneratorPredictor(untrained)
    i3d = I3D.from_pretrained(options.i3d) if options.i3d else None
    extractor = FeatureExtractor(i3d, resize=options.resize)
    real = real_features(experiment, extractor)
    scored = _score_all(experiment, predictors, extractor)
    report = Report.build(experiment, options, step, [part.row(real) for part in scored])
    report.save(pathlib.Path(model_dir) / "evaluations" / str(step))
    return report


def build_untrained(experiment: "Experiment", seed: int):
    """The generator as training would begin with it, standing statistics estimated."""
    import tensorflow as tf

    generator = build_step(experiment, tf.distribute.get_strategy(), seed).generator
    estimate_from_training_data(experiment, generator)
    return generator


def other_real_clips(experiment: "Experiment") -> tuple[str, int]:
    """Where "real against real" takes its second set: (split, clips to skip before it)."""
    options = experiment.evaluation
    held = experiment.data.num_evaluation_clips(experiment.clip, options.split)
    if held >= 2 * options.num_samples:
        return options.split, options.num_samples
    return ("train" if options.split == "test" else "test"), 0


def _check_enough_clips(experiment: "Experiment") -> None:
    options = experiment.evaluation
    other, skipped = other_real_clips(experiment)
    for split, wanted in ((options.split, 0), (other, skipped)):
        held = experiment.data.num_evaluation_clips(experiment.clip, split)
        if held < wanted + options.num_samples:
            raise InputError(
                f"{experiment.data.name} holds {held} {split} clips, the evaluation asks for "
                f"{options.num_samples}: bind EvaluationOptions.num_samples = {held} or fewer, or "
                "add videos"
            )


def batches_of(experiment: "Experiment", split: str, skip: int = 0) -> Iterator[np.ndarray]:
    """Batches of `num_samples` evaluation clips, uint8 `[b, T, S, S, 3]`, after `skip` others."""
    options: EvaluationOptions = experiment.evaluation
    clips = experiment.data.evaluation_clips(
        experiment.clip,
        split=split,
        num_clips=skip + options.num_samples,
        batch_size=options.batch_size,
    )
    if skip:
        clips = clips.unbatch().skip(skip).batch(options.batch_size)
    for batch in clips:
        yield batch["video"].numpy()


def _score_all(
    experiment: "Experiment", predictors: dict[str, Predictor], extractor: FeatureExtractor
) -> list[ScoredVideos]:
    """Scores every predictor, the copy and the other real clips on the same real clips."""
    options = experiment.evaluation
    skip = experiment.clip.num_conditioning_frames
    data = experiment.data
    num_digits = data.num_digits if isinstance(data, BouncingDigits) else 0
    names = [*predictors, "copy of the last frame", "real against real"]
    scored = {n: ScoredVideos(n, extractor, options.num_samples, num_digits) for n in names}
    z = latents(
        options.seed,
        num_clips=options.num_samples,
        num_samples=1,
        latent_size=next(iter(predictors.values())).latent_size,
        truncation=options.truncation,
    )[:, 0]
    other = batches_of(experiment, *other_real_clips(experiment))
    done = 0
    with Progress("scoring", total=options.num_samples, unit="clip") as progress:
        for real, unrelated in zip(batches_of(experiment, options.split), other, strict=True):
            given = real[:, :skip]
            rows = slice(done, done + len(real))
            for name, predictor in predictors.items():
                predicted, _ = predictor.predict_from_z(given, z[rows])
                scored[name].update(real, np.concatenate([given, predicted], axis=1), skip)
            copied = copy_last_frame(given, experiment.clip.num_predicted_frames)
            scored[names[-2]].update(real, np.concatenate([given, copied], axis=1), skip)
            scored[names[-1]].update(real, unrelated, skip)
            done += len(real)
            progress.update(len(real))
    return list(scored.values())


def with_options(experiment: "Experiment", **changes) -> "Experiment":
    """The same experiment, evaluated otherwise."""
    evaluation = dataclasses.replace(experiment.evaluation, **changes)
    return dataclasses.replace(experiment, evaluation=evaluation)
