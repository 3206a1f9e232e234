"""Per-frame SSIM of the best of l predictions (paper, Fig. 5; docs/architecture.md, section 7)."""

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from trivd_tf.base.progress import Progress
from trivd_tf.evaluation.clips import RealClips, batches_of
from trivd_tf.evaluation.partial import Arrays, PartialResult, digest
from trivd_tf.evaluation.scored import work_key
from trivd_tf.experiment import Experiment
from trivd_tf.inference.latents import latents
from trivd_tf.inference.predictor_base import Predictor
from trivd_tf.metrics import best_of, ssim

DRAWS = (1, 2, 5, 10, 20, 50, 100)
_SAVE_EVERY = 16  # clips, each with the maximum number of draws


def best_of_draws(
    experiment: Experiment,
    predictor: Predictor,
    *,
    num_clips: int,
    identity: Any,
    path: pathlib.Path,
    draws: tuple[int, ...] = DRAWS,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[int, list[float]]:
    """Return the per-frame SSIM of the best of the first l draws by mean SSIM, averaged over clips.

    Args:
        experiment: the experiment, configured for scoring.
        predictor: makes the predictions.
        num_clips: number of evaluation clips to use.
        identity: identity of the predictor.
        path: file of the partial result.
        draws: values of l, ascending.
        should_stop: polled between clips.

    Returns:
        l -> SSIM of each predicted frame.

    Raises:
        EvaluationStopped: `should_stop` returned True; the next call resumes from there.
    """
    options = experiment.evaluation
    skip = experiment.clip.num_conditioning_frames
    key = digest([work_key(experiment), identity, options.seed, draws, num_clips])
    partial = PartialResult(path, key, should_stop, save_every=_SAVE_EVERY)
    sums = np.zeros((len(draws), experiment.clip.num_predicted_frames))
    done = 0
    if (stored := partial.load()) is not None:
        done, sums = int(stored["done"]), stored["sums"]

    def arrays() -> Arrays:
        return {"sums": sums}

    with Progress(f"best of {draws[-1]}", total=num_clips, initial=done, unit="clip") as progress:
        for real in batches_of(experiment, options.split, first=done, num_clips=num_clips - done):
            for index in range(len(real)):
                clip = real.one(index)
                scores = _ssim_of_draws(predictor, clip, skip, options.seed, draws[-1])
                sums += [best_of(scores[:count, None])[0] for count in draws]
                done += 1
                progress.update()
                partial.step(done, arrays, last=done == num_clips)
    return {count: (total / num_clips).tolist() for count, total in zip(draws, sums, strict=True)}


def _ssim_of_draws(
    predictor: Predictor, clip: RealClips, skip: int, seed: int, count: int
) -> np.ndarray:
    """Return the per-frame SSIM of `count` predictions of one clip, `[count, T]`."""
    z = latents(
        seed,
        num_clips=1,
        num_samples=count,
        latent_size=predictor.latent_size,
        truncation=None,
        first_clip=clip.first,
    )[0]
    real = clip.repeated(count)
    futures, _ = predictor.predict_from_z(real.videos[:, :skip], z, labels=real.labels)
    return ssim(real.videos[:, skip:], futures)
