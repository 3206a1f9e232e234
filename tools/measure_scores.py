"""Measures what affects FVD, on any folder of videos: the figures of docs/evaluation.md.

    python tools/measure_scores.py VIDEOS --output measured

The first half of each video is compared with its second half. Each measurement goes into a file of
OUTPUT: the scores of 2, 10, 100, ... samples (`samples.json` and `score_by_samples.png`), the
effect of each part of a rule (`rules.json`), and of lossy codecs (`codecs.json`). Logits are
cached, so an interrupted measurement resumes. `--only sets` writes folders for `trivd score`: clips
of 16 frames of 128 x 128, alternately to `A` and `B`, and those of B blurred and encoded.
"""

import argparse
import dataclasses
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from scipy.ndimage import gaussian_filter

from trivd_tf.metrics import FeatureExtractor
from trivd_tf.metrics.frechet import fit, quick_distance
from trivd_tf.metrics.kernel import kernel_distance
from trivd_tf.metrics.uncertainty import Resampling, estimate_fvd, estimate_kvd
from trivd_tf.scoring import RULES, Rule
from trivd_tf.scoring.clips import Clip, choose, cropped, read_clips, shuffled
from trivd_tf.scoring.features import (
    FeatureCache,
    default_cache_dir,
    logits_of,
    measure_lengths,
)
from trivd_tf.scoring.readers import Video, find_videos

# The shortest clips that I3D accepts: the same bias as longer ones in half the time.
SMALL = Rule(frames=9, size=128, crop="center")
COUNTS = (2, 10, 100)
_N1 = "unbiased"  # covariances, divided by N - 1


@dataclasses.dataclass(frozen=True)
class Halves:
    """Clips of the first half of each video, and of the second half."""

    videos: list[Video]
    first: list[Clip]
    second: list[Clip]


def halves(folder: Path, hop: int, samples: int, span: int) -> Halves:
    """Return windows `hop` frames apart; none spans both halves."""
    videos = shuffled(find_videos(folder)[0], seed=0)
    cache = FeatureCache(default_cache_dir(), i3d("tf1_bilinear").model, "tf1_bilinear")
    lengths, _ = measure_lengths(videos, RULES["reference"], "all", cache, "videos")
    starts: tuple[list[range], list[range]] = ([], [])
    for length in lengths:
        starts[0].append(range(0, length // 2 - span + 1, hop))
        starts[1].append(range(length // 2, length - span + 1, hop))
    chosen = [choose(side, None) for side in starts]
    number = min(samples, *map(len, chosen))
    return Halves(videos, *(clips[:number] for clips in chosen))


_EXTRACTORS: dict[str, FeatureExtractor] = {}


def i3d(resize: str) -> FeatureExtractor:
    """Return I3D with a resize rule; the weights are read once."""
    if resize not in _EXTRACTORS:
        _EXTRACTORS[resize] = FeatureExtractor(resize=resize)
    return _EXTRACTORS[resize]


def logits(videos: list[Video], clips: list[Clip], rule: Rule) -> np.ndarray:
    """Compute logits by a rule, cached if possible."""
    extractor = i3d(rule.resize)
    cache = FeatureCache(default_cache_dir(), extractor.model, rule.resize)
    return logits_of(videos, clips, rule, extractor, cache, f"{len(clips)} clips")


def resampling_of(first: list[Clip], second: list[Clip], *, paired: bool = False) -> Resampling:
    """Return a resampling that draws clips of one video together."""
    return Resampling(
        [clip.video for clip in first], [clip.video for clip in second], paired=paired
    )


def measure_samples(folder: Path, samples: int, output: Path) -> dict:
    """Measure bias, extrapolation and KVD over the number of samples."""
    sets = halves(folder, 4, samples, SMALL.span)
    first, second = (logits(sets.videos, clips, SMALL) for clips in (sets.first, sets.second))
    counts = [count for count in COUNTS if count < len(first)] + [len(first)]
    # Permute separately: clips at the same position are of one video, but samples must be unpaired.
    rng = np.random.default_rng(0)
    first, second = (side[rng.permutation(len(side))] for side in (first, second))
    found = []
    for count in counts:
        # Resample single clips: two clips may not come from two videos.
        resampling = Resampling(np.arange(count), np.arange(count))
        estimate = estimate_fvd(first[:count], second[:count], resampling)
        kvd = estimate_kvd(first[:count], second[:count], resampling)
        found.append(
            {
                "samples": count,
                **dataclasses.asdict(estimate),
                "kvd": kvd.__dict__,
                "mean over subsets": over_subsets(first, second, count),
            }
        )
    draw_samples(found, output / "score_by_samples.png")
    return {"counts": found}


def over_subsets(first: np.ndarray, second: np.ndarray, count: int) -> dict:
    """Return mean and standard error of FVD and KVD over all disjoint subsets of `count` clips."""
    parts = [slice(at, at + count) for at in range(0, len(first) - count + 1, count)]
    values = {
        "fvd": [quick_distance(fit(first[p], _N1), fit(second[p], _N1)) for p in parts],
        "kvd": [kernel_distance(first[p], second[p]) for p in parts],
    }
    found: dict[str, Any] = {"subsets": len(parts)}
    for name, of_subsets in values.items():
        error = np.std(of_subsets, ddof=1) / len(parts) ** 0.5 if len(parts) > 1 else None
        found[name] = {
            "mean": float(np.mean(of_subsets)),
            "error": None if error is None else float(error),
        }
    return found


def draw_samples(found: list[dict], path: Path) -> None:
    """Plot FVD, its extrapolation and KVD over the number of samples, with 95 % intervals."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(9, 3.8), layout="constrained")
    panels = figure.subplots(1, 2)
    means = {
        key: [one["mean over subsets"][key]["mean"] for one in found] for key in ("fvd", "kvd")
    }
    counts = [one["samples"] for one in found]
    styles = {
        "fvd": (0, "o-", "#0072B2", "FVD, mean over subsets"),
        "kvd": (1, "s-", "#D55E00", "KVD, mean over subsets"),
    }
    for key, (panel, style, color, label) in styles.items():
        errors = [one["mean over subsets"][key]["error"] or 0.0 for one in found]
        panels[panel].errorbar(
            counts, means[key], errors, fmt=style, color=color, markersize=5, capsize=3, label=label
        )
    extrapolated = ("infinite", 0, "#009E73", "extrapolated from one subset, 95 %", 1.12)
    one_subset = ("kvd", 1, "#56B4E9", "of one subset, 95 %", 1.12)
    for key, panel, color, label, shift in (extrapolated, one_subset):
        known = [one for one in found if one[key] and one[key]["low"] != one[key]["high"]]
        values = np.array([[one[key][name] for name in ("value", "low", "high")] for one in known])
        panels[panel].errorbar(
            [one["samples"] * shift for one in known],
            values[:, 0],
            np.abs(values[:, 1:] - values[:, :1]).T,
            fmt="D",
            color=color,
            markersize=4,
            capsize=3,
            label=label,
        )
    for axes, title, threshold in (
        (panels[0], "FVD: biased upwards; a line in 1/N takes part of it away", 100),
        (panels[1], "KVD: no bias, and noisy where samples are few", 10),
    ):
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=threshold)
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.minorticks_off()
        axes.margins(y=0.1)
        axes.set_xlabel("clips of either side")
        axes.set_title(title, fontsize=9)
        axes.legend(frameon=False, fontsize=8, loc="upper right")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="png", dpi=150)


def measure_rules(folder: Path, samples: int) -> dict:
    """Measure FVD of the halves by each rule, and FVD of the same clips by two rules."""
    reference = RULES["reference"]
    changes: dict[str, dict[str, Any]] = {
        "reference": {},
        "resize tf2_bilinear": {"resize": "tf2_bilinear"},
        "resize tf2_bilinear, crop center": {"resize": "tf2_bilinear", "crop": "center"},
        "resize antialiased": {"resize": "antialiased"},
        "size 64, crop center": {"size": 64, "crop": "center"},
        "stride 2": {"stride": 2},
    }
    # Windows long enough for a clip of stride 2, so that each rule uses the same starts.
    sets = halves(folder, 31, samples, 31)
    found, of_reference = {}, np.zeros(0)
    for name, change in changes.items():
        rule = dataclasses.replace(reference, **change)
        first, second = (logits(sets.videos, clips, rule) for clips in (sets.first, sets.second))
        if name == "reference":
            of_reference = first
        found[name] = {
            "halves": both(first, second, resampling_of(sets.first, sets.second)),
            "same clips, against the reference's": both(
                of_reference, first, resampling_of(sets.first, sets.first, paired=True)
            ),
        }
        found[name]["halves, biased covariance"] = estimate_fvd(
            first, second, resampling_of(sets.first, sets.second), covariance="biased"
        ).fvd.__dict__
    return {"clips": len(sets.first), "rules": found}


def measure_codecs(folder: Path, samples: int, output: Path) -> dict:
    """Measure FVD of clips against their lossy encodings, beside the halves' distance."""
    codecs = {
        "h264 crf 23 (the default)": ("libx264", {"crf": "23"}),
        "h264 crf 30": ("libx264", {"crf": "30"}),
        "mpeg4, the default bit rate": ("mpeg4", {}),
    }
    found = {}
    for size in (64, 128):
        rule = Rule(size=size, crop="center")
        sets = halves(folder, rule.span, samples, rule.span)
        first, second = (logits(sets.videos, clips, rule) for clips in (sets.first, sets.second))
        of_size = {"halves": both(first, second, resampling_of(sets.first, sets.second))}
        for name, (codec, options) in codecs.items():
            place = output / f"{size} {name}"
            encoded = []
            for number, clip in enumerate(sets.first):
                path = place / f"{number:04d}.mp4"
                if not path.exists():
                    ((_, frames),) = read_clips(sets.videos[clip.video], [clip.start], rule)
                    encode(path, frames, codec, options)
                encoded.append(path)
            videos = sorted(find_videos(place)[0], key=lambda video: video.name)
            coded = logits(videos, [Clip(n, 0) for n in range(len(videos))], Rule())
            paired = resampling_of(sets.first, sets.first, paired=True)
            of_size[name] = {
                **both(first, coded, paired),
                "the halves, the second uncoded": both(
                    coded, second, resampling_of(sets.first, sets.second)
                ),
            }
        found[f"{size} x {size}"] = {"clips": len(sets.first), **of_size}
    return found


def both(first: np.ndarray, second: np.ndarray, resampling: Resampling) -> dict:
    """Return FVD and KVD with their intervals."""
    estimate = estimate_fvd(first, second, resampling)
    kvd = estimate_kvd(first, second, resampling)
    return {**dataclasses.asdict(estimate), "kvd": kvd.__dict__}


def write_sets(folder: Path, output: Path) -> dict:
    """Write clips of every video, at most 8, for `trivd score`: `A`, `B`, `B_blurred`, `B_h264`."""
    rule = Rule(size=128, crop="center")
    number = 0
    for video in sorted(find_videos(folder)[0], key=lambda video: video.name):
        frames = np.stack([cropped(f, "center") for f in video.frames(size=128, frame_rate=None)])
        windows = len(frames) // rule.frames
        chosen = np.unique(np.linspace(0, windows - 1, min(windows, 8)).astype(int))
        for window in chosen.tolist():
            clip = frames[window * rule.frames : (window + 1) * rule.frames]
            name = f"{video.name.replace('/', '_')}_{window:02d}"
            side = "AB"[number % 2]
            number += 1
            encode(output / side / f"{name}.mkv", clip, "ffv1")
            if side == "B":
                blurred = gaussian_filter(clip, (0, 1.5, 1.5, 0))
                encode(output / "B_blurred" / f"{name}.mkv", blurred, "ffv1")
                encode(output / "B_h264" / f"{name}.mp4", clip, "libx264", {"crf": "23"})
    return {"clips": number}


def encode(
    path: Path, frames: np.ndarray, codec: str, options: dict[str, str] | None = None
) -> None:
    """Encode a clip: lossless with FFV1, otherwise with the usual halved chroma resolution."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(25), options=options or {})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("videos", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=400, help="clips of either half")
    parser.add_argument("--rule_samples", type=int, default=64, help="likewise, of the rest")
    parser.add_argument("--only", choices=("samples", "rules", "codecs", "sets"))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    measurements = {
        "samples": lambda: measure_samples(args.videos, args.samples, args.output),
        "rules": lambda: measure_rules(args.videos, args.rule_samples),
        "codecs": lambda: measure_codecs(args.videos, args.rule_samples, args.output),
        "sets": lambda: write_sets(args.videos, args.output / "sets"),
    }
    for name, measure in measurements.items():
        if args.only in (None, name):
            text = json.dumps(measure(), indent=1)
            (args.output / f"{name}.json").write_text(text, encoding="utf-8")
            print(f"{name}:\n{text}")


if __name__ == "__main__":
    main()
