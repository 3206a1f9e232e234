"""Plots of a comparison: scores with error bars over seeds, and scores per predicted frame."""

import pathlib

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from trivd_tf.comparison.report import TITLES, Comparison, mean_and_deviation, score_of

_COLORS = ("#1d4ed8", "#c2410c", "#15803d", "#7e22ce", "#be123c", "#0f766e", "#a16207", "#334155")
_MARKERS = "osD^vP*X"
_LINES = ("--", ":", "-.")


def _style(index: int) -> dict[str, str]:
    return {"color": _COLORS[index % len(_COLORS)], "marker": _MARKERS[index % len(_MARKERS)]}


def scores_figure(comparison: Comparison) -> Figure:
    """Draw a panel per score: mean and deviation over seeds, each seed, and the baselines."""
    names, keys = list(comparison.cells), comparison.keys
    height = 1.6 + 0.35 * len(names)
    figure = Figure(figsize=(3.2 * len(keys) + 1.5, height + 0.6), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(keys), sharey=True))
    places = np.arange(len(names))[::-1]
    for panel, key in zip(panels, keys, strict=True):
        for index, (name, place) in enumerate(zip(names, places, strict=True)):
            values = comparison.scores(name, key)
            mean, deviation = mean_and_deviation(values)
            panel.errorbar(mean, place, xerr=deviation, capsize=4, markersize=7, **_style(index))
            panel.plot(values, [place] * len(values), "|", color="black", markersize=9)
        for row, line in zip(comparison.baselines, _LINES, strict=False):
            # PSNR and SSIM of unrelated clips are so low that they would compress the scale.
            if row.name.startswith("real") and key not in ("fvd", "inception_score"):
                continue
            panel.axvline(score_of(row, key), color="gray", linestyle=line, label=row.name)
        better = "lower is better" if key in ("fvd", "center_distance") else "higher is better"
        panel.set_xlabel(f"{TITLES[key]} ({better})")
        panel.set_yticks(places, [comparison.cells[name][0].title for name in names])
        panel.set_ylim(-0.6, len(names) - 0.4)
        panel.grid(axis="x", alpha=0.3)
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def by_frame_figure(comparison: Comparison) -> Figure:
    """Draw a panel per per-frame score: mean over seeds, deviation as a band, last-frame copy."""
    keys = comparison.keys[2:]
    figure = Figure(figsize=(4.4 * len(keys), 4.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(keys)))
    for panel, key in zip(panels, keys, strict=True):
        for index, cells in enumerate(comparison.cells.values()):
            curves = np.array([cell.model.by_frame[key] for cell in cells])
            steps, mean = np.arange(1, curves.shape[1] + 1), curves.mean(axis=0)
            panel.plot(steps, mean, label=cells[0].title, markersize=4, **_style(index))
            if len(curves) > 1:
                deviation = curves.std(axis=0, ddof=1)
                color = _style(index)["color"]
                panel.fill_between(
                    steps, mean - deviation, mean + deviation, color=color, alpha=0.15
                )
        copy = next((row for row in comparison.baselines if row.name.startswith("copy")), None)
        if copy:
            panel.plot(steps, copy.by_frame[key], "--", color="gray", label=copy.name)
        panel.set_xlabel("predicted frame")
        panel.set_ylabel(TITLES[key])
        panel.grid(alpha=0.3)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)))
    return figure


def save_plots(comparison: Comparison, directory: pathlib.Path) -> None:
    """Write `scores.png` and `by_frame.png`."""
    figures = {"scores": scores_figure(comparison), "by_frame": by_frame_figure(comparison)}
    for name, figure in figures.items():
        FigureCanvasAgg(figure)
        figure.savefig(directory / f"{name}.png", dpi=110)
