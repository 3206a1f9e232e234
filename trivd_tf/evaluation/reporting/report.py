"""Report of an evaluation, as a table, in Markdown and as JSON."""

import dataclasses
import json
import pathlib
import statistics
from typing import Any

import numpy as np

from trivd_tf.base import model_files
from trivd_tf.base.storage import write_whole
from trivd_tf.evaluation.protocols import Scoring
from trivd_tf.metrics.uncertainty import Estimate

MODEL_ROW = "model, step"
# Columns after FVD: 95 % interval, and extrapolation in 1/N.
_SURE = ("95 %", "FVD, infinitely many")


@dataclasses.dataclass(frozen=True)
class Row:
    """Scores of one kind of prediction.

    Attributes:
        name: name of the prediction.
        fvd: Frechet video distance to the real clips; the mean if there are several runs.
        inception_score: Inception Score of I3D's softmax; likewise.
        by_frame: PSNR (dB), SSIM and, for bouncing digits, the distance of the digits' centers
            (pixels): the mean over clips for every predicted frame, of the first run.
        fvd_by_samples: number of samples -> FVD between that many predicted and real clips, of the
            first run.
        runs: seed, FVD and IS of each run, if the model was scored several times.
        fvd_interval: 95 % interval, of the first run; see `trivd_tf.metrics.uncertainty`.
        fvd_infinite: FVD extrapolated to infinitely many samples, of the first run.
        fvd_infinite_interval: its 95 % interval.
    """

    name: str
    fvd: float
    inception_score: float
    by_frame: dict[str, list[float]]
    fvd_by_samples: dict[int, float] = dataclasses.field(default_factory=dict)
    runs: tuple[dict[str, float], ...] = ()
    fvd_interval: tuple[float, float] | None = None
    fvd_infinite: float | None = None
    fvd_infinite_interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        # Restore integer keys: JSON makes them strings.
        by_samples = {int(count): fvd for count, fvd in self.fvd_by_samples.items()}
        object.__setattr__(self, "fvd_by_samples", by_samples)
        object.__setattr__(self, "runs", tuple(self.runs))
        for name in ("fvd_interval", "fvd_infinite_interval"):
            if (interval := getattr(self, name)) is not None:
                object.__setattr__(self, name, tuple(interval))

    def mean(self, score: str) -> float:
        """Return a per-frame score, averaged over the predicted frames."""
        return float(np.mean(self.by_frame[score]))

    def deviation(self, score: str) -> float | None:
        """Return the unbiased standard deviation over runs of a score; None for fewer than two."""
        values = [run[score] for run in self.runs]
        return statistics.stdev(values) if len(values) > 1 else None


@dataclasses.dataclass(frozen=True)
class Report:
    """The rows of an evaluation and its protocol.

    Attributes:
        rows: the scored predictions.
        protocol: everything that the scores depend on.
        deviations: differences from the named protocol.
        best_of: draws l -> SSIM of each frame of the best of l (paper, Fig. 5).
        truncation: truncation as text -> FVD and IS.
        figures: file names of pictures beside the report -> their captions.
        paper: the paper's figures for this run and protocol, one line each.
        weights: what the scored weights depend on (`runs.stored_weights.WeightsKey`), for the first
            run if there are several; empty for an exported model.
    """

    rows: list[Row]
    protocol: dict[str, Any]
    deviations: tuple[str, ...] = ()
    best_of: dict[int, list[float]] = dataclasses.field(default_factory=dict)
    truncation: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    figures: dict[str, str] = dataclasses.field(default_factory=dict)
    paper: tuple[str, ...] = ()
    weights: dict[str, Any] = dataclasses.field(default_factory=dict)

    def row(self, beginning: str) -> Row:
        """Return the row whose name starts with `beginning`."""
        return next(row for row in self.rows if row.name.startswith(beginning))

    def columns(self) -> list[tuple[str, str]]:
        """Return titles and keys of the columns after the name."""
        columns = [("FVD", "fvd"), ("IS", "inception_score")]
        titles = {"psnr": "PSNR dB", "ssim": "SSIM", "center_distance": "centre distance px"}
        return columns + [(titles[key], key) for key in self.rows[0].by_frame]

    def _cells(self) -> list[list[str]]:
        (fvd, _), *others = self.columns()
        sure = any(row.fvd_interval for row in self.rows)
        cells = [["", fvd, *([*_SURE] if sure else []), *(title for title, _ in others)]]
        for row in self.rows:
            scores = [
                with_deviation(row.fvd, row.deviation("fvd"), 1),
                *(_how_sure(row) if sure else []),
                with_deviation(row.inception_score, row.deviation("inception_score"), 2),
            ]
            frames = [f"{row.mean(key):.{3 if key == 'ssim' else 2}f}" for key in row.by_frame]
            cells.append([row.name, *scores, *frames])
        return cells

    def protocol_line(self) -> str:
        """Return one line of everything that the scores depend on."""
        return protocol_line(self.protocol)

    def notes(self) -> list[str]:
        """Return the lines below the table: protocol, deviations, the paper's figures."""
        lines = [self.protocol_line()]
        if self.deviations:
            lines.append(f"deviations from the protocol: {'; '.join(self.deviations)}")
        return [*lines, *(f"paper: {line}" for line in self.paper)]

    def __str__(self) -> str:
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(
                [row[0].ljust(widths[0])]
                + [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
            )
            for row in cells
        ]
        return "\n".join([*lines, *self.notes()])

    def markdown(self) -> str:
        """Return the report in Markdown, with the other tables and the pictures."""
        parts = [markdown_table(self._cells()), "", *(f"{note}\n" for note in self.notes())]
        counts = sorted(self.rows[0].fvd_by_samples) if self.rows else []
        if len(counts) > 1:
            head = ["FVD at samples", *map(str, counts)]
            body = [
                [row.name, *(f"{row.fvd_by_samples[count]:.1f}" for count in counts)]
                for row in self.rows
            ]
            parts += [markdown_table([head, *body]), ""]
        if self.truncation:
            body = [
                [name, f"{score['fvd']:.1f}", f"{score['inception_score']:.2f}"]
                for name, score in self.truncation.items()
            ]
            parts += [markdown_table([["truncation", "FVD", "IS"], *body]), ""]
        if self.best_of:
            frames = range(1, len(next(iter(self.best_of.values()))) + 1)
            head = ["SSIM, best of", *(f"+{frame}" for frame in frames), "mean"]
            body = [
                [str(draws), *(f"{value:.3f}" for value in [*values, float(np.mean(values))])]
                for draws, values in self.best_of.items()
            ]
            parts += [markdown_table([head, *body]), ""]
        parts += [f"![{caption}]({name})\n\n{caption}\n" for name, caption in self.figures.items()]
        return "\n".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return the content of `report.json`."""
        return {**dataclasses.asdict(self), "rows": [dataclasses.asdict(row) for row in self.rows]}

    def save(self, directory: pathlib.Path) -> None:
        """Write `report.json` and `report.md`, each atomically."""
        text = json.dumps(self.to_json(), indent=1)
        for name, content in ((model_files.REPORT, text), ("report.md", self.markdown())):
            write_whole(directory / name, content)


def describe_scoring(
    scoring: Scoring, step: int, standing: str, *, has_classes: bool = False
) -> dict[str, Any]:
    """Describe everything that the scores depend on.

    Args:
        scoring: how the model is scored.
        step: step of its checkpoint.
        standing: origin of its standing statistics.
        has_classes: whether it was trained with the labels of its data.
    """
    experiment = scoring.experiment
    options, clip = experiment.evaluation, experiment.clip
    runs = f"{options.num_runs}, of seeds {options.seed} to {options.seed + options.num_runs - 1}"
    described = {
        "protocol": scoring.protocol or "the run's own options",
        "title": experiment.title,
        "step": step,
        "data": experiment.data.name,
        "fingerprint": experiment.data.fingerprint(clip, options.split),
        "split": options.split,
        "samples": options.num_samples,
        "frames": f"{clip.num_conditioning_frames} conditioning + {clip.num_predicted_frames}",
        "size": clip.size,
        "stride": clip.stride,
        **({} if clip.fps is None else {"frames_per_second": clip.fps}),
        "fvd": f"logits of {options.i3d or 'I3D Kinetics-400'}, conditioning frames included",
        "inception_score": "softmax of the same network, one split",
        "resize": f"{options.resize} to 224 x 224",
        "intervals": "95 %, bootstrap over clips, of the first run; the bias of few samples is not "
        "in them",
        "standing_statistics": standing,
        "truncation": "none" if options.truncation is None else options.truncation,
        "runs": runs if options.num_runs > 1 else 1,
        "seed": f"{options.seed}: of latents, clip by clip, and of standing statistics",
    }
    if has_classes and experiment.class_conditional:
        described["classes"] = f"each clip's own label, one of {experiment.num_classes}"
    elif has_classes:
        described["classes"] = (
            f"class 0 for every clip: the classes of {experiment.data.name} are not the model's"
        )
    return {**described, "note": scoring.note} if scoring.note else described


def _how_sure(row: Row) -> list[str]:
    """Return the cells of the columns `_SURE`."""
    shown = [Estimate(0.0, *(row.fvd_interval or (None, None))).interval_text(1)]
    if row.fvd_infinite is None:
        return [*shown, ""]
    return [*shown, Estimate(row.fvd_infinite, *(row.fvd_infinite_interval or ())).text(1)]


def protocol_line(protocol: dict[str, Any]) -> str:
    """Return one line of a described protocol."""
    return "; ".join(f"{key}: {value}" for key, value in protocol.items() if value != "")


def with_deviation(mean: float, deviation: float | None, digits: int) -> str:
    """Format as `31.8 ± 0.2`, or `31.8` without a deviation."""
    if deviation is None:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def markdown_table(cells: list[list[str]]) -> str:
    """Return a table whose first column is text and whose other columns are numbers."""
    rule = ["---", *["---:"] * (len(cells[0]) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [cells[0], rule, *cells[1:]])
