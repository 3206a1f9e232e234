"""Scores one set of videos against another, for `trivd score`."""

import collections
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.metrics import FeatureExtractor
from trivd_tf.metrics.uncertainty import (
    LEVEL,
    REPLICATES,
    Resampling,
    estimate_fvd,
    estimate_inception_score,
    estimate_kvd,
    estimate_mean,
)
from trivd_tf.metrics.videos import Range
from trivd_tf.scoring import curve
from trivd_tf.scoring.clips import Clip, choose, shuffled, starts
from trivd_tf.scoring.features import FeatureCache, logits_of, measure_lengths
from trivd_tf.scoring.paired import PSNR_CEILING, FramesDiffer, frame_scores
from trivd_tf.scoring.readers import ARRAY, Video, find_videos
from trivd_tf.scoring.report import Figure, Score
from trivd_tf.scoring.rules import Rule

PAIRS = ("auto", "always", "never")

_FRAME_TITLES = {
    "psnr": ("PSNR dB", 2, f"mean over frames, each at most {PSNR_CEILING:g} dB"),
    "ssim": ("SSIM", 4, "mean over frames; 11 x 11 Gaussian window"),
    "mse_sum": ("MSE, sum over pixels", 2, "mean over frames of the sum over pixels and channels, "
                "frames in [0, 1] (OpenSTL's)"),
    "mae_sum": ("MAE, sum over pixels", 2, "likewise, absolute errors"),
}  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Options for scoring two sets of videos.

    Attributes:
        rule: rule for the clips and FVD.
        rule_name: name of the rule, for the report.
        num_samples: maximum number of clips per side; both sides use the same number.
        seed: seed of the choice and order of clips, and of bootstrap samples.
        pairs: whether videos of the same name are paired: `auto` if every video of FAKE in a folder
            has one in REAL; `always` also pairs the rows of arrays; `never`.
        num_conditioning_frames: number of frames at the start of each clip that PSNR, SSIM and
            errors exclude.
        replicates: number of bootstrap samples; 0 for no intervals.
        value_range: values of black and white in arrays of floats.
    """

    rule: Rule = dataclasses.field(default_factory=Rule)
    rule_name: str = "reference"
    num_samples: int = 2048
    seed: int = 0
    pairs: str = "auto"
    num_conditioning_frames: int = 0
    replicates: int = REPLICATES
    value_range: Range | None = None

    def __post_init__(self) -> None:
        if self.pairs not in PAIRS:
            raise InputError(f"--pairs {self.pairs}: unknown; choose one of {', '.join(PAIRS)}")
        if self.num_samples < 2:
            raise InputError(f"--num_samples {self.num_samples}: choose 2 or more")
        if not 0 <= self.num_conditioning_frames < self.rule.frames:
            raise InputError(
                f"--num_conditioning_frames {self.num_conditioning_frames}: choose fewer than the "
                f"{self.rule.frames} frames of a clip"
            )


@dataclasses.dataclass(frozen=True)
class _Side:
    """The videos of one side, and the clips that are scored."""

    videos: list[Video]
    clips: list[Clip]

    @property
    def of_clip(self) -> np.ndarray:
        """The index of each clip's video."""
        return np.array([clip.video for clip in self.clips])


def score(
    real: str | os.PathLike[str],
    fake: str | os.PathLike[str],
    options: Options | None = None,
    *,
    extractor: FeatureExtractor | None = None,
    cache_dir: Path | None = None,
) -> Score:
    """Computes FVD, KVD and IS of FAKE, and frame scores if its videos are paired with REAL.

    Args:
        real, fake: folders of videos or of frame folders, or `.npy` or `.npz` files.
        options: options of the scores.
        extractor: I3D with the resize rule of `options`; created if None.
        cache_dir: folder of cached logits; None disables the cache.

    Raises:
        InputError: nothing can be scored, or the options do not fit.
    """
    options = options or Options()
    rule = options.rule
    found, unreadable = {}, []
    for name, path in (("REAL", real), ("FAKE", fake)):
        found[name], problems = find_videos(path, options.value_range)
        unreadable += [f"{name}: left out {problem}" for problem in problems]
    paired = _are_paired(found, options)
    if paired:
        names = {video.name for video in found["FAKE"]}
        found["REAL"] = [video for video in found["REAL"] if video.name in names]
    extractor = extractor or FeatureExtractor(resize=rule.resize)
    cache = FeatureCache(cache_dir, extractor.model, rule.resize)
    sides, warnings = _choose_clips(found, options, paired, cache)
    warnings = [*unreadable, *warnings, *_warn_of_coding(found)]
    logits = {
        name: logits_of(side.videos, side.clips, rule, extractor, cache, name)
        for name, side in sides.items()
    }
    resampling = Resampling(
        sides["REAL"].of_clip,
        sides["FAKE"].of_clip,
        paired=paired,
        replicates=options.replicates,
        seed=options.seed,
    )
    if options.replicates and not resampling.possible:
        warnings.append("one side is a single video, so that there is nothing to resample: no "
                        "intervals")  # fmt: skip
    figures = _distances(logits["REAL"], logits["FAKE"], resampling, options)
    if paired:
        figures |= _frames(sides, options, resampling, warnings)
    count = len(sides["REAL"].clips)
    points = curve.by_samples(
        logits["REAL"],
        logits["FAKE"],
        curve.halves_of(count),
        paired=paired,
        covariance=rule.covariance,
        seed=options.seed,
    )
    protocol = _describe(real, fake, found, sides, options, paired)
    return Score(figures, protocol, tuple(warnings), tuple(points))


def _are_paired(found: dict[str, list[Video]], options: Options) -> bool:
    real, fake = ({video.name for video in found[name]} for name in ("REAL", "FAKE"))
    if options.pairs == "never":
        return False
    if options.pairs == "always":
        if not fake <= real:
            raise InputError(
                f"--pairs always: FAKE has {len(fake - real)} videos without one in REAL, such as "
                f"{min(fake - real)}; name them alike, or choose --pairs never"
            )
        return True
    arrays = any(video.encoding == ARRAY for videos in found.values() for video in videos)
    same_windows = options.rule.windows == options.rule.fake_windows
    return fake <= real and not arrays and same_windows


def _choose_clips(
    found: dict[str, list[Video]], options: Options, paired: bool, cache: FeatureCache
) -> tuple[dict[str, _Side], list[str]]:
    rule, warnings = options.rule, []
    windows = {"REAL": rule.windows, "FAKE": rule.fake_windows}
    videos = {name: shuffled(found[name], options.seed) for name in found}
    lengths = {}
    for name in found:
        lengths[name], problems = measure_lengths(videos[name], rule, windows[name], cache, name)
        warnings += [f"{name}: left out {reason}" for reason in problems.values()]
    if paired:
        shortest = [min(pair) for pair in zip(lengths["REAL"], lengths["FAKE"], strict=True)]
        lengths = dict.fromkeys(lengths, shortest)
        windows["REAL"] = windows["FAKE"]
    of_videos = {
        name: [
            starts(video, length, rule, windows[name], options.seed)
            for video, length in zip(videos[name], lengths[name], strict=True)
        ]
        for name in found
    }
    for name, lists in of_videos.items():
        short = [length for length in lengths[name] if 0 < length < rule.span]
        if short:
            warnings.append(
                f"{name}: left out {len(short)} of {len(lists)} videos, shorter than the "
                f"{rule.span} frames of a clip"
            )
    available = {name: sum(map(len, lists)) for name, lists in of_videos.items()}
    number = min(*available.values(), options.num_samples)
    if number < 2:
        raise InputError(
            f"REAL has {available['REAL']} clips of {rule.span} frames, FAKE {available['FAKE']}; "
            "a score takes 2 of each: give more or longer videos, or a shorter --clip_length"
        )
    sides = {name: _Side(videos[name], choose(of_videos[name], number)) for name in found}
    return sides, warnings


def _warn_of_coding(found: dict[str, list[Video]]) -> list[str]:
    lossy = {name: [video.lossy for video in videos] for name, videos in found.items()}
    if all(any(values) == any(lossy["REAL"]) for values in lossy.values()):
        return []
    name = "REAL" if any(lossy["REAL"]) else "FAKE"
    return [
        f"{name} went through a lossy codec ({_codings(found[name])}), the other did not: the "
        "coding alone moves FVD (H.264 at crf 23 moved that of 64 clips of 128 x 128 by 83.5; "
        "docs/evaluation.md, Lossy files); store both alike"
    ]


def _codings(videos: Sequence[Video]) -> str:
    counts = collections.Counter(video.encoding for video in videos)
    return ", ".join(f"{coding} {count}" for coding, count in counts.most_common())


def _distances(
    real: np.ndarray, fake: np.ndarray, resampling: Resampling, options: Options
) -> dict[str, Figure]:
    rule = options.rule
    found = estimate_fvd(real, fake, resampling, covariance=rule.covariance)
    clips = f"{len(real)} + {len(fake)} clips of {rule.frames} frames"
    how = f"I3D logits, {rule.resize}, {clips}"
    figures = {
        "fvd": Figure("FVD", found.fvd, f"{how}, {rule.covariance} covariance", 2),
    }
    if found.infinite is not None:
        figures["fvd_infinite"] = Figure(
            "FVD, infinitely many samples",
            found.infinite,
            "line in 1/N through all videos and halves of them",
            2,
        )
    kvd = estimate_kvd(real, fake, resampling)
    figures["kvd"] = Figure(
        "KVD",
        kvd,
        f"{how}, kernel (x.y/{real.shape[1]} + 1)^3, unbiased"
        + (", pairs do not meet" if resampling.paired else ""),
        4,
    )
    inception = estimate_inception_score(fake, resampling)
    figures["inception_score"] = Figure(
        "IS of FAKE", inception, f"softmax of the same logits, one split, {len(fake)} clips", 2
    )
    return figures


def _frames(
    sides: dict[str, _Side], options: Options, resampling: Resampling, warnings: list[str]
) -> dict[str, Figure]:
    skip = options.num_conditioning_frames
    try:
        scores = frame_scores(
            sides["REAL"].videos, sides["FAKE"].videos, sides["FAKE"].clips, options.rule, skip
        )
    except FramesDiffer as error:
        warnings.append(f"no PSNR, SSIM, MSE or MAE: {error}; --size N --crop center makes them so")
        return {}
    frames = f"frames {skip + 1} to {options.rule.frames} of each clip"
    figures = {}
    for key, values in scores.items():
        title, digits, how = _FRAME_TITLES[key]
        estimate = estimate_mean(values, resampling)
        figures[key] = Figure(title, estimate, f"{how}; {frames}", digits)
    return figures


def _describe(
    real: str | os.PathLike[str],
    fake: str | os.PathLike[str],
    found: dict[str, list[Video]],
    sides: dict[str, _Side],
    options: Options,
    paired: bool,
) -> dict[str, object]:
    rule = options.rule
    described: dict[str, object] = {"rule": options.rule_name}
    for name, path in (("REAL", real), ("FAKE", fake)):
        used = len({clip.video for clip in sides[name].clips})
        described[name] = (
            f"{path}: {len(sides[name].clips)} clips of {used} videos ({_codings(found[name])})"
        )
    described["clips"] = rule.describe_clips()
    described["frames"] = rule.describe_frames()
    described["pairs"] = "by name" if paired else "none"
    described["intervals"] = (
        f"{LEVEL:.0%}, {options.replicates} bootstrap samples of "
        f"{'pairs of videos' if paired else 'videos'}; the bias of few samples is not in them"
    )
    described["seed"] = options.seed
    return described
