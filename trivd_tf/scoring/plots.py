"""Plots FVD and KVD over the number of samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trivd_tf.base.storage import whole_file
from trivd_tf.metrics.uncertainty import Estimate
from trivd_tf.scoring.curve import Point
from trivd_tf.scoring.report import Score

_FVD, _KVD = "#0072B2", "#D55E00"


def plot_by_samples(score: Score, path: Path) -> None:
    """Plots FVD over 1 / N with the extrapolation to infinitely many samples, and KVD over N."""
    infinite = score.figures.get("fvd_infinite")
    draw_by_samples(
        score.by_samples,
        score.figures["fvd"].estimate,
        infinite.estimate if infinite else None,
        score.figures["kvd"].estimate,
        path,
    )


def draw_by_samples(
    points: Sequence[Point], fvd: Estimate, infinite: Estimate | None, kvd: Estimate, path: Path
) -> None:
    """As `plot_by_samples`, from the parts of a score."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    inverse = [1.0 / point.samples for point in points]
    left.plot(inverse, [point.fvd for point in points], "o-", color=_FVD, markersize=4)
    _error_bar(left, inverse[-1], fvd, _FVD)
    if infinite is not None:
        left.plot([0.0, inverse[-1]], [infinite.value, fvd.value], "--", color=_FVD)
        _error_bar(left, 0.0, infinite, _FVD)
    left.set_xticks(
        [0.0, *inverse], ["inf", *(str(point.samples) for point in points)], rotation=60
    )
    left.set_xlabel("samples of either side (the axis is 1 / samples)")
    left.set_title("FVD: biased; the line ends at infinitely many", fontsize=10)
    right.plot([p.samples for p in points], [p.kvd for p in points], "s-", color=_KVD, markersize=4)
    _error_bar(right, points[-1].samples, kvd, _KVD)
    right.set_xscale("log")
    right.set_xticks([point.samples for point in points], [str(p.samples) for p in points])
    right.minorticks_off()
    right.set_xlabel("samples of either side")
    right.set_title("KVD: unbiased", fontsize=10)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=150)


def _error_bar(axes: Any, place: float, estimate: Estimate, color: str) -> None:
    if estimate.low is not None and estimate.high is not None:
        axes.vlines(place, estimate.low, estimate.high, color=color, linewidth=2)
    axes.plot([place], [estimate.value], "o", color=color, markersize=6, clip_on=False)
