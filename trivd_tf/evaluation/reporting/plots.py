"""The report's plots and pictures (paper, Fig. 3, Fig. 5 and appendix)."""

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from trivd_tf.base.storage import whole_file
from trivd_tf.evaluation.reporting.report import Row
from trivd_tf.pictures import figures
from trivd_tf.pictures.figures import Prediction
from trivd_tf.pictures.video_io import write_gif, write_png

# Distinguishable without color vision (Okabe and Ito), and by their markers.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "osD^vPX"
_FRAMES_A_SECOND = 5.0


def plot_by_samples(rows: list[Row], path: pathlib.Path) -> None:
    """Plot FVD over the number of samples, which shows the bias of small counts."""

    def draw(axes: Any) -> None:
        for index, row in enumerate(rows):
            counts = sorted(row.fvd_by_samples)
            values = [row.fvd_by_samples[count] for count in counts]
            axes.plot(counts, values, label=row.name, **_style(index))
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, map(str, counts))
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel("samples, predicted and real alike")
        axes.set_ylabel("FVD (lower is better)")

    _plot(path, draw)


def plot_best_of(best_of: dict[int, list[float]], path: pathlib.Path) -> None:
    """Plot the SSIM of each predicted frame of the best of l predictions (paper, Fig. 5)."""

    def draw(axes: Any) -> None:
        import matplotlib

        shades = matplotlib.colormaps["viridis"](np.linspace(0.9, 0, len(best_of)))
        for index, (draws, values) in enumerate(reversed(best_of.items())):
            frames = range(1, len(values) + 1)
            style = {"color": shades[len(best_of) - 1 - index], "marker": _MARKERS[index % 7]}
            axes.plot(frames, values, label=f"best of {draws}", markersize=4, **style)
        axes.set_xlabel("predicted frame")
        axes.set_ylabel("SSIM (higher is better)")
        axes.xaxis.get_major_locator().set_params(integer=True)

    _plot(path, draw)


def plot_truncation(scores: dict[str, dict[str, float]], path: pathlib.Path) -> None:
    """Plot FVD and IS for latents truncated at several thresholds."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(7, 3.2), layout="constrained")
    titles = {"fvd": "FVD (lower is better)", "inception_score": "IS (higher is better)"}
    for axes, (key, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        values = [score[key] for score in scores.values()]
        bars = axes.bar(list(scores), values, color=_COLORS[0], width=0.6)
        axes.bar_label(bars, fmt="%.1f" if key == "fvd" else "%.2f")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("truncation")
        axes.margins(y=0.15)
        axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def draw_predictions(prediction: Prediction, path: pathlib.Path) -> None:
    """Write a GIF of conditioning frames, real continuation and predictions side by side."""
    write_gif(path, figures.animation(prediction), frame_rate=_FRAMES_A_SECOND)


def draw_motion(prediction: Prediction, path: pathlib.Path) -> None:
    """Draw a prediction above its motion field (paper, Fig. 3)."""
    write_png(path, figures.motion_sheet(prediction))


def _style(index: int) -> dict[str, Any]:
    return {"color": _COLORS[index % 7], "marker": _MARKERS[index % 7], "markersize": 4}


def _plot(path: pathlib.Path, draw: Callable[[Any], None]) -> None:
    """Save a plot of one pair of axes, without pyplot's windows and global figures."""
    import matplotlib.figure

    figure = matplotlib.figure.Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    draw(axes)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _save(figure, path)


def _save(figure: Any, path: pathlib.Path) -> None:
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=150)
