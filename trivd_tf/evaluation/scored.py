"""Scores of several kinds of prediction of the same clips, in one pass, batch by batch.

Memory use does not grow with the number of clips: each batch is read, predicted, scored and
released, and its logits go to a file.
"""

import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from trivd_tf.base.progress import Progress
from trivd_tf.data import BouncingDigits, center_distance, digit_centers
from trivd_tf.evaluation.clips import RealClips, batches_of, other_real_clips, sample_counts
from trivd_tf.evaluation.logits import LogitsFile
from trivd_tf.evaluation.partial import Arrays, PartialResult, below, digest, prefixed
from trivd_tf.evaluation.real_features import MomentsByCount, RealFeatures, update_by_count
from trivd_tf.experiment import Experiment
from trivd_tf.inference.latents import latents
from trivd_tf.inference.predictor_base import Predictor
from trivd_tf.metrics import (
    FeatureExtractor,
    StreamedInceptionScore,
    StreamedMoments,
    copy_last_frame,
    frechet_distance_from_moments,
    psnr,
    ssim,
)
from trivd_tf.metrics.frames import SSIM_WINDOW
from trivd_tf.metrics.uncertainty import FvdEstimate, Resampling, estimate_fvd

# PSNR of identical frames is infinite; a mean over frames needs a bound (8-bit noise floor).
_PSNR_CEILING = 100.0

# Bootstrap samples; `trivd score` uses more, of fewer clips.
_REPLICATES = 100

# Maps real clips to clips of the same shape to be scored, uint8 `[b, Tc + T, S, S, 3]`.
Candidate = Callable[[RealClips], np.ndarray]


class ScoredVideos:
    """Accumulates the scores of one kind of prediction, batch by batch.

    Args:
        name: name of the row.
        extractor: I3D.
        num_samples: total number of clips.
        logits: file for the logits of all clips.
        num_digits: also measure the distance of this many digits' centers; 0 for other data.

    Attributes:
        by_count: moments of the first n clips, for each n of `sample_counts`.
        logits: logits of all clips so far.
    """

    def __init__(
        self,
        name: str,
        extractor: FeatureExtractor,
        num_samples: int,
        logits: LogitsFile,
        num_digits: int = 0,
    ):
        self.name = name
        self.logits = logits
        self._extractor = extractor
        self._num_digits = num_digits
        self._counts = sample_counts(num_samples)
        self._moments = StreamedMoments()
        self.by_count: MomentsByCount = {}
        self._inception = StreamedInceptionScore(num_samples)
        self._sums: dict[str, np.ndarray] = {}

    def update(self, real: np.ndarray, predicted: np.ndarray, skip: int) -> None:
        """Add whole clips, uint8 `[b, Tc + T, S, S, 3]`, with `skip` conditioning frames."""
        logits = self._extractor(predicted)
        self.logits.append(logits)
        update_by_count(self._moments, logits, self._counts, self.by_count)
        self._inception.update(logits)
        real, predicted = real[:, skip:], predicted[:, skip:]
        scores = {"psnr": psnr(real, predicted, ceiling=_PSNR_CEILING)}
        if min(real.shape[2:4]) >= SSIM_WINDOW:
            scores["ssim"] = ssim(real, predicted)
        if self._num_digits:
            centers = [digit_centers(video, self._num_digits) for video in (predicted, real)]
            scores["center_distance"] = center_distance(*centers)
        for key, value in scores.items():
            self._sums[key] = self._sums.get(key, 0.0) + value.sum(axis=0)

    def fvd(self, real: RealFeatures) -> dict[int, float]:
        """Return the Frechet distance to as many real clips, by number of clips."""
        return {
            count: frechet_distance_from_moments(real.by_count[count], moments)
            for count, moments in self.by_count.items()
        }

    def fvd_estimate(self, real: RealFeatures, *, paired: bool) -> FvdEstimate:
        """Return the Frechet distance to all real clips with its uncertainty.

        Args:
            real: features of the real clips.
            paired: whether clip n was predicted from real clip n.
        """
        clips = np.arange(self._moments.count)
        resampling = Resampling(clips, clips, paired=paired, replicates=_REPLICATES)
        return estimate_fvd(real.logits, self.logits.rows(), resampling)

    @property
    def inception_score(self) -> float:
        return self._inception.result()[0]

    @property
    def by_frame(self) -> dict[str, list[float]]:
        """Return PSNR, SSIM, ...: means over clips for every predicted frame."""
        return {key: (total / self._moments.count).tolist() for key, total in self._sums.items()}

    def arrays(self) -> Arrays:
        """Return all partial sums."""
        kept = prefixed("moments", self._moments.arrays()) | {"logits": self.logits.name}
        for count, part in self.by_count.items():
            kept |= prefixed(f"first/{count}", part.arrays())
        return kept | prefixed("inception", self._inception.arrays()) | prefixed("sums", self._sums)

    def set_arrays(self, arrays: Arrays) -> None:
        """Resume from the partial sums returned by `arrays`."""
        self._moments = StreamedMoments.from_arrays(below("moments", arrays))
        self.by_count = {
            count: StreamedMoments.from_arrays(below(f"first/{count}", arrays))
            for count in self._counts
            if count <= self._moments.count
        }
        self._inception.set_arrays(below("inception", arrays))
        self._sums = below("sums", arrays)


def model_candidate(
    experiment: Experiment, predictor: Predictor, *, seed: int, truncation: float | None
) -> Candidate:
    """Return conditioning frames followed by a model's prediction for them and their class.

    Clip n has the same latent in any batch.
    """
    skip = experiment.clip.num_conditioning_frames

    def predict(real: RealClips) -> np.ndarray:
        z = latents(
            seed,
            num_clips=len(real),
            num_samples=1,
            latent_size=predictor.latent_size,
            truncation=truncation,
            first_clip=real.first,
        )
        given = real.videos[:, :skip]
        predicted, _ = predictor.predict_from_z(given, z[:, 0], labels=real.labels)
        return np.concatenate([given, predicted], axis=1)

    return predict


def copy_candidate(experiment: Experiment) -> Candidate:
    """Return conditioning frames followed by copies of the last one."""
    skip = experiment.clip.num_conditioning_frames

    def copy(real: RealClips) -> np.ndarray:
        given = real.videos[:, :skip]
        copies = copy_last_frame(given, real.videos.shape[1] - skip)
        return np.concatenate([given, copies], axis=1)

    return copy


def other_real_candidate(experiment: Experiment) -> Candidate:
    """Return other real clips, none of which is among the scored ones."""
    split, skipped = other_real_clips(experiment)
    batches: list[Iterator[RealClips]] = []

    def other(real: RealClips) -> np.ndarray:
        if not batches:
            left = experiment.evaluation.num_samples - real.first
            first = skipped + real.first
            batches.append(batches_of(experiment, split, first=first, num_clips=left))
        return next(batches[0]).videos

    return other


def score_all(
    experiment: Experiment,
    candidates: dict[str, Candidate],
    extractor: FeatureExtractor,
    *,
    identity: Any,
    path: pathlib.Path,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, ScoredVideos]:
    """Score every candidate on the same real clips.

    Args:
        experiment: the experiment, configured for scoring.
        candidates: predictions by the names of their rows.
        extractor: I3D.
        identity: everything that candidates depend on besides `experiment`, for the key of the
            partial result.
        path: file of the partial result.
        should_stop: polled between batches.

    Raises:
        EvaluationStopped: `should_stop` returned True; the next call resumes from there.
    """
    options = experiment.evaluation
    data = experiment.data
    num_digits = data.num_digits if isinstance(data, BouncingDigits) else 0
    total = options.num_samples
    scored = {
        name: ScoredVideos(
            name,
            extractor,
            total,
            LogitsFile(path.with_stem(f"{path.stem}_{index}")),
            num_digits,
        )
        for index, name in enumerate(candidates)
    }
    key = digest([work_key(experiment), identity, list(candidates), "logits"])
    partial = PartialResult(path, key, should_stop)
    done = 0
    stored = partial.load()
    if stored is not None and _resume_logits(list(scored.values()), stored, total):
        done = int(stored["done"])
        for index, videos in enumerate(scored.values()):
            videos.set_arrays(below(str(index), stored))

    def arrays() -> Arrays:
        kept: Arrays = {}
        for index, videos in enumerate(scored.values()):
            kept |= prefixed(str(index), videos.arrays())
        return kept

    skip = experiment.clip.num_conditioning_frames
    with Progress("scoring", total=total, initial=done, unit="clip") as progress:
        for real in batches_of(experiment, options.split, first=done, num_clips=total - done):
            for name, candidate in candidates.items():
                scored[name].update(real.videos, candidate(real), skip)
            done += len(real)
            progress.update(len(real))
            partial.step(done, arrays, last=done == total)
    return scored


def _resume_logits(scored: list[ScoredVideos], stored: Arrays, total: int) -> bool:
    """Whether the logits of a partial result are complete."""
    done = int(stored["done"])
    return all(
        videos.logits.resume(str(stored[f"{index}/logits"]), done, complete=done == total)
        for index, videos in enumerate(scored)
    )


def work_key(experiment: Experiment) -> list[Any]:
    """Return what scores depend on besides the candidates, for keys of partial results."""
    options = experiment.evaluation
    return [
        experiment.data.fingerprint(experiment.clip, options.split),
        experiment.clip.num_conditioning_frames,
        experiment.class_conditional,
        options.split,
        options.num_samples,
        options.resize,
        options.i3d,
    ]
