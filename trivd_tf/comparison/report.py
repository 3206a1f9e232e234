"""Report of a comparison: one table over configurations, means and deviations over seeds."""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from trivd_tf.base.storage import write_whole
from trivd_tf.comparison.cell import CellResult
from trivd_tf.evaluation.paper_tables.paper_figures import PaperRow, rows_of_run
from trivd_tf.evaluation.reporting.report import Row

TITLES = {
    "fvd": "FVD",
    "inception_score": "IS",
    "psnr": "PSNR dB",
    "ssim": "SSIM",
    "center_distance": "centre distance px",
}
_DIGITS = {"fvd": 1, "inception_score": 2, "psnr": 2, "ssim": 3, "center_distance": 2}


def score_of(row: Row, key: str) -> float:
    """Return a score of a row; for per-frame scores the mean over frames."""
    return row.mean(key) if key in row.by_frame else float(getattr(row, key))


def mean_and_deviation(values: list[float]) -> tuple[float, float | None]:
    """Return the mean, and the unbiased standard deviation for at least two values."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return float(np.mean(values)), deviation


def paper_row(name: str) -> PaperRow | None:
    """Return the row of the paper that a gin file, or its `_small` form, reproduces."""
    rows = rows_of_run(name.removesuffix("_small"))
    return rows[0] if rows else None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Finished cells, in the order of the configurations.

    Attributes:
        cells: results by name of the configuration, one per seed.
        budget: budget as text.
        set_apart: cells with other data, evaluation or code, one line each with the reason. They
            are listed, but neither ranked nor averaged.
    """

    cells: dict[str, list[CellResult]]
    budget: str
    set_apart: tuple[str, ...] = ()

    @property
    def keys(self) -> list[str]:
        """Return the scores that every cell has."""
        first = next(iter(self.cells.values()))[0].model
        return ["fvd", "inception_score", *first.by_frame]

    def scores(self, name: str, key: str) -> list[float]:
        """Return a score of one configuration, one value per seed."""
        return [score_of(cell.model, key) for cell in self.cells[name]]

    @property
    def baselines(self) -> list[Row]:
        """Return the rows that do not depend on training, from the first cell."""
        return next(iter(self.cells.values()))[0].rows[1:]

    def order(self) -> list[str]:
        """Return the names, lowest mean FVD first."""
        return sorted(self.cells, key=lambda name: np.mean(self.scores(name, "fvd")))

    def _with_figures(self) -> list[tuple[str, float]]:
        """Return the configurations whose row of the paper has an FVD, with that FVD."""
        rows = [(name, paper_row(name)) for name in self.cells]
        return [(name, row.fvd.mean) for name, row in rows if row and row.fvd]

    def agreement(self) -> float | None:
        """Spearman's correlation of measured and published FVD; None for fewer than three."""
        pairs = self._with_figures()
        if len(pairs) < 3:
            return None
        measured = [float(np.mean(self.scores(name, "fvd"))) for name, _ in pairs]
        return float(spearmanr(measured, [figure for _, figure in pairs]).statistic)

    def summary(self) -> dict[str, Any]:
        """Return the complete content for JSON."""
        found = {}
        for name, cells in self.cells.items():
            row = paper_row(name)
            of_scores = {key: mean_and_deviation(self.scores(name, key)) for key in self.keys}
            found[name] = {
                "title": cells[0].title,
                "seeds": [cell.seed for cell in cells],
                "steps": [cell.step for cell in cells],
                "minutes": [round(cell.minutes, 3) for cell in cells],
                "parameters": cells[0].parameters,
                "scores": {
                    key: {"mean": mean, "deviation": deviation, "values": self.scores(name, key)}
                    for key, (mean, deviation) in of_scores.items()
                },
                "paper": dataclasses.asdict(row) if row else None,
            }
        return {
            "budget": self.budget,
            "configurations": found,
            "baselines": [dataclasses.asdict(row) for row in self.baselines],
            "set_apart": list(self.set_apart),
            "order": self.order(),
            "rank_correlation_with_the_paper": self.agreement(),
            "protocol": next(iter(self.cells.values()))[0].protocol,
        }

    def table(self) -> list[list[str]]:
        """Return the cells of the table, header first."""
        has_paper = any(paper_row(name) for name in self.cells)
        header = ["", *(TITLES[key] for key in self.keys), "steps", "parameters"]
        rows = [header + (["paper: FVD", "paper: IS"] if has_paper else [])]
        for name, cells in self.cells.items():
            line = [cells[0].title]
            line += [_number(self.scores(name, key), _DIGITS[key]) for key in self.keys]
            line.append(_number([float(cell.step) for cell in cells], 0))
            line.append(f"{cells[0].parameters / 1e6:.2f} M")
            rows.append(line + (_figures(paper_row(name)) if has_paper else []))
        for row in self.baselines:
            line = [row.name]
            line += [f"{score_of(row, key):.{_DIGITS[key]}f}" for key in self.keys]
            rows.append(line + [""] * (len(rows[0]) - len(line)))
        return rows

    def markdown(self) -> str:
        """Return the report, with links to the pictures beside it."""
        rows = self.table()
        lines = [f"# Comparison of {len(self.cells)} configurations", "", self._how(), ""]
        rule = ["---", *["---:"] * (len(rows[0]) - 1)]
        lines += ["| " + " | ".join(row) + " |" for row in [rows[0], rule, *rows[1:]]]
        lines += ["", self._verdict(), ""]
        if self.set_apart:
            lines += ["Set apart, because they cannot be compared with the others:", ""]
            lines += [*(f"- {line}" for line in self.set_apart), ""]
        protocol = next(iter(self.cells.values()))[0].protocol
        lines += ["Scored on: " + "; ".join(f"{k}: {v}" for k, v in protocol.items()) + ".", ""]
        lines += ["![scores, mean and deviation over seeds](scores.png)", ""]
        lines += ["![scores by predicted frame](by_frame.png)", ""]
        lines += [
            "The same clips continued by each model (first seed), moving: side_by_side.gif",
            "",
        ]
        lines += ["![the same clips continued by each model](side_by_side.png)", ""]
        return "\n".join(lines)

    def _how(self) -> str:
        seeds = sorted({cell.seed for cells in self.cells.values() for cell in cells})
        many = "seeds " if len(seeds) > 1 else "seed "
        text = f"Every configuration was trained for {self.budget} with {many}"
        text += ", ".join(map(str, seeds)) + ", on the same clips in the same order of a seed."
        if "minute" in self.budget:
            text += (
                " Counted is the time of the compiled training loops; the first loop of a process, "
                "which compiles, is charged at the rate of the one after it."
            )
        if len(seeds) > 1:
            text += " Figures are means ± unbiased standard deviations over seeds."
        return text

    def _verdict(self) -> str:
        titles = {name: cells[0].title for name, cells in self.cells.items()}
        text = "By FVD, the best first: " + ", ".join(titles[name] for name in self.order()) + "."
        figures = self._with_figures()
        if len(figures) > 1:
            order = [name for name, _ in sorted(figures, key=lambda pair: pair[1])]
            text += " The paper's order: " + ", ".join(titles[name] for name in order) + "."
        agreement = self.agreement()
        if agreement is not None:
            text += f" Spearman's rank correlation of the two: {agreement:.2f}."
        if any(name.endswith("_small") and paper_row(name) for name in self.cells):
            text += " The paper's figures are those of the rows in full size, on its own data."
        return text

    def save(self, directory: pathlib.Path) -> None:
        """Write `comparison.md` and `comparison.json`, each atomically."""
        texts = {
            "comparison.md": self.markdown(),
            "comparison.json": json.dumps(self.summary(), indent=1) + "\n",
        }
        for name, text in texts.items():
            write_whole(directory / name, text)

    def __str__(self) -> str:
        rows = self.table()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            first, *others = row
            numbers = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
            lines.append("  ".join([first.ljust(widths[0]), *numbers]).rstrip())
        apart = [f"set apart: {line}" for line in self.set_apart]
        return "\n".join([*lines, "", self._verdict(), *apart])


def _number(values: list[float], digits: int) -> str:
    mean, deviation = mean_and_deviation(values)
    if not deviation:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def _figures(row: PaperRow | None) -> list[str]:
    scores = (row.fvd, row.inception_score) if row else (None, None)
    return ["" if score is None else str(score) for score in scores]
