"""Frame-by-frame scores of predicted videos that are paired with real ones."""

from collections.abc import Sequence

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.base.progress import Progress
from trivd_tf.metrics import mae_sum, mse_sum, psnr, ssim
from trivd_tf.metrics.frames import SSIM_WINDOW
from trivd_tf.scoring.clips import Clip, read_clips
from trivd_tf.scoring.readers import Video
from trivd_tf.scoring.rules import Rule

# PSNR of identical frames is infinite; a mean over frames needs a bound (8-bit noise floor).
PSNR_CEILING = 100.0


class FramesDiffer(InputError):
    """The frames of a pair have different sizes."""


def frame_scores(
    real: Sequence[Video], fake: Sequence[Video], clips: Sequence[Clip], rule: Rule, skip: int = 0
) -> dict[str, np.ndarray]:
    """Computes PSNR, SSIM and summed errors of clips.

    Args:
        real, fake: videos, in pairs.
        clips: windows, the same for both sides.
        rule: rule of the clips.
        skip: number of conditioning frames at the start of a clip, which are not scored.

    Returns:
        Name of each score -> its mean over the frames of each clip, `[N]`.

    Raises:
        FramesDiffer: the frames of a pair have different sizes.
        InputError: a video cannot be read.
    """
    found: dict[Clip, dict[str, float]] = {}
    by_video: dict[int, list[int]] = {}
    for clip in clips:
        by_video.setdefault(clip.video, []).append(clip.start)
    with Progress("scores of frames", total=len(clips), unit="clip") as progress:
        for number, starts in by_video.items():
            both = zip(
                read_clips(real[number], starts, rule),
                read_clips(fake[number], starts, rule),
                strict=True,
            )
            for (start, a), (_, b) in both:
                if a.shape != b.shape:
                    raise FramesDiffer(
                        f"frames of {real[number].path} are {_size(a)}, of {fake[number].path} "
                        f"{_size(b)}"
                    )
                found[Clip(number, start)] = _scores(a[None, skip:], b[None, skip:])
                progress.update()
    return {name: np.array([found[clip][name] for clip in clips]) for name in found[clips[0]]}


def _scores(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    scores = {"psnr": psnr(real, fake, ceiling=PSNR_CEILING)}
    if min(real.shape[2:4]) >= SSIM_WINDOW:
        scores["ssim"] = ssim(real, fake)
    scores["mse_sum"] = mse_sum(real, fake)
    scores["mae_sum"] = mae_sum(real, fake)
    return {name: float(values.mean()) for name, values in scores.items()}


def _size(frames: np.ndarray) -> str:
    return f"{frames.shape[2]} x {frames.shape[1]}"
