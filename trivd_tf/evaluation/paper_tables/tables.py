"""Tables 1 to 4 of the paper with the measured results of runs."""

import dataclasses
import json
import logging
import pathlib
import statistics
from typing import Any

from trivd_tf.base import model_files
from trivd_tf.base.errors import InputError
from trivd_tf.evaluation.paper_tables.paper_figures import (
    PAPER_ROWS,
    TABLES,
    PaperRow,
    Score,
    rows_of_run,
    rows_of_table,
)
from trivd_tf.evaluation.paper_tables.step_time import seconds_a_step
from trivd_tf.evaluation.reporting.report import MODEL_ROW, markdown_table, with_deviation
from trivd_tf.runs import record as run_record
from trivd_tf.runs.best import read_best

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Measured:
    """One evaluation of one run.

    Attributes:
        run: the model directory.
        folder: folder of the report.
        names: names of the run, see `run_record.gin_names`.
        protocol: its protocol; empty for the run's own options.
        step: step of the checkpoint.
        content: content of `report.json`.
    """

    run: str
    folder: str
    names: tuple[str, ...]
    protocol: str
    step: int
    content: dict[str, Any]

    def row(self, beginning: str) -> dict[str, Any] | None:
        """Return the row of the report whose name starts with `beginning`."""
        rows = self.content["rows"]
        return next((row for row in rows if row["name"].startswith(beginning)), None)

    @property
    def deviates(self) -> bool:
        return bool(self.content.get("deviations"))


def read_runs(paths: list[pathlib.Path]) -> list[Measured]:
    """Read evaluations below `paths`: per run and protocol, that of the best or the last step.

    Args:
        paths: model directories, or directories that contain some at any depth.

    Raises:
        InputError: a path is no directory, or has no readable evaluation. An unreadable evaluation
            beside readable ones is skipped with a warning.
    """
    found: list[Measured] = []
    for path in paths:
        if not path.is_dir():
            raise InputError(f"{path}: no such directory; give directories of `trivd train`")
        problems: list[InputError] = []
        reports = [report for run in _runs_below(path) for report in _chosen(run, problems)]
        if not reports and problems:
            raise problems[0]
        for problem in problems:
            _LOG.warning("passed over: %s", problem)
        if not reports:
            raise InputError(f"{path}: nothing in it was evaluated; run `trivd evaluate` first")
        found += [report for report in reports if report not in found]
    return found


def _runs_below(path: pathlib.Path) -> list[pathlib.Path]:
    """Return the runs with evaluations, without those moved aside by `trivd train --restart`."""
    folders = [folder for folder in path.glob("**/evaluations") if folder.is_dir()]
    return sorted({f.parent for f in folders if "earlier" not in f.relative_to(path).parts})


def _chosen(run: pathlib.Path, problems: list[InputError]) -> list[Measured]:
    """Return one evaluation per protocol; append errors to `problems`."""
    best = None
    try:
        record = read_best(run)
        best = record.best.step if record and record.best else None
    except InputError as error:
        problems.append(error)
    by_protocol: dict[str, Measured] = {}
    for file in sorted((run / model_files.EVALUATIONS).glob(f"**/{model_files.REPORT}")):
        try:
            one = _read(run, file)
        except InputError as error:
            problems.append(error)
            continue
        old = by_protocol.get(one.protocol)
        if old is None or (old.step != best and (one.step == best or one.step > old.step)):
            by_protocol[one.protocol] = one
    return list(by_protocol.values())


def _read(run: pathlib.Path, file: pathlib.Path) -> Measured:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        protocol = content["protocol"]
        step = int(protocol["step"])
        for score in ("fvd", "inception_score"):
            float(content["rows"][0][score])
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(
            f"{file} is not a report of this version ({error!r}); run `trivd evaluate` again"
        ) from error
    parts = file.parent.relative_to(run / model_files.EVALUATIONS).parts
    name = parts[1] if len(parts) > 1 else ""
    names = tuple(run_record.gin_names(run))
    return Measured(str(run), str(file.parent), names, name, step, content)


@dataclasses.dataclass(frozen=True)
class TableRow:
    """A row of the paper with its measured values.

    Attributes:
        paper: row of the paper.
        fvd, inception_score: of one run, with the standard deviation over its evaluation runs; of
            several trainings, mean and unbiased standard deviation; None if not measured.
        trainings: number of measured trainings.
        steps: generator updates of each training.
        step_ms: time of a training step, the mean of the runs' medians; only for rows where the
            paper has it.
        deviations: deviations from the protocol, of any of them.
        folders: folders of the reports.
    """

    paper: PaperRow
    fvd: Score | None = None
    inception_score: Score | None = None
    trainings: int = 0
    steps: tuple[int, ...] = ()
    step_ms: float | None = None
    deviations: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


def fill_row(paper: PaperRow, runs: list[Measured]) -> TableRow:
    """Combine a row of the paper with the matching results of `runs`."""
    fitting = [run for run in runs if run.protocol == paper.protocol and _belongs(run, paper)]
    beginning = paper.baseline or MODEL_ROW
    rows = [row for run in fitting if (row := run.row(beginning)) is not None]
    if not rows:
        return TableRow(paper)
    if paper.baseline:  # independent of the model
        fitting = sorted(fitting, key=lambda run: run.deviates)[:1]
        rows = [row for run in fitting if (row := run.row(beginning)) is not None]
    return TableRow(
        paper,
        fvd=_score(rows, "fvd"),
        inception_score=_score(rows, "inception_score"),
        trainings=len(rows),
        steps=tuple(run.step for run in fitting),
        step_ms=_step_ms(fitting) if paper.step_ms is not None else None,
        deviations=tuple(
            dict.fromkeys(line for run in fitting for line in run.content.get("deviations", []))
        ),
        folders=tuple(run.folder for run in fitting),
    )


def _step_ms(runs: list[Measured]) -> float | None:
    found = [seconds for run in runs if (seconds := seconds_a_step(run.run)) is not None]
    return 1000 * statistics.mean(found) if found else None


def _belongs(run: Measured, paper: PaperRow) -> bool:
    """Whether a run belongs to a row: every run for a baseline, else by its first known name."""
    if paper.baseline:
        return True
    known = [name for name in run.names if rows_of_run(name)]
    return bool(known) and known[0] == paper.run


def _score(rows: list[dict[str, Any]], key: str) -> Score:
    values = [row[key] for row in rows]
    if len(values) > 1:
        return Score(statistics.mean(values), statistics.stdev(values))
    runs = [run[key] for run in rows[0].get("runs", [])]
    return Score(values[0], statistics.stdev(runs) if len(runs) > 1 else None)


def tables(runs: list[Measured]) -> dict[str, list[TableRow]]:
    """Return every table of the paper, filled with the results of `runs`."""
    return {table: [fill_row(row, runs) for row in rows_of_table(table)] for table in TABLES}


def markdown(runs: list[Measured]) -> str:
    """Return all tables in Markdown, then the runs that belong to no row."""
    parts = ["# The paper's tables, and what was measured", ""]
    filled = tables(runs)
    for table, rows in filled.items():
        parts += [f"## {_TITLES[table]}", "", markdown_table(_cells(table, rows)), ""]
    notes = [
        f"- {row.paper.table}, {row.paper.name}: {'; '.join(row.deviations)}"
        for rows in filled.values()
        for row in rows
        if row.deviations
    ]
    if notes:
        parts += ["\\* deviates from the protocol:", "", *notes, ""]
    used = {folder for rows in filled.values() for row in rows for folder in row.folders}
    others = [run for run in runs if run.folder not in used]
    if others:
        parts += ["## Other runs", "", markdown_table(_other_cells(others)), ""]
    return "\n".join(parts)


_TITLES = {
    "Table 1": "Table 1: discriminator decompositions (Kinetics-600, validation)",
    "Table 2": "Table 2: recurrent units (Kinetics-600, validation)",
    "Table 3": "Table 3: Kinetics-600, test",
    "Table 4": "Table 4: BAIR",
    "UCF-101": "UCF-101",
    "Text": "Figures in the text",
}


def _cells(table: str, rows: list[TableRow]) -> list[list[str]]:
    head = ["", "paper IS", "measured IS", "paper FVD", "measured FVD", "paper steps (K)"]
    head += ["measured steps (K)", "trainings"]
    costs = table == "Table 1"
    if costs:
        head += ["paper ms a step", "measured ms a step", "paper GB"]
    cells = [head]
    for row in rows:
        mark = r" \*" if row.deviations else ""
        steps = "/".join(dict.fromkeys(f"{step / 1000:g}" for step in row.steps))
        line = [
            row.paper.name,
            _shown(row.paper.inception_score),
            _rounded(row.inception_score, 2, mark),
            _shown(row.paper.fvd),
            _rounded(row.fvd, 1, mark),
            _shown(row.paper.steps),
            "" if row.paper.baseline else steps,
            str(row.trainings or ""),
        ]
        if costs:
            ms = "" if row.step_ms is None else f"{row.step_ms:.0f}"
            line += [_shown(row.paper.step_ms), ms, _shown(row.paper.memory_gb)]
        cells.append(line)
    return cells


def _shown(value: object) -> str:
    return "" if value is None else str(value)


def _rounded(score: Score | None, digits: int, mark: str) -> str:
    return "" if score is None else with_deviation(score.mean, score.deviation, digits) + mark


def _other_cells(runs: list[Measured]) -> list[list[str]]:
    cells = [["run", "protocol", "step", "samples", "IS", "FVD"]]
    for run in runs:
        row = run.row(MODEL_ROW) or run.content["rows"][0]
        cells.append(
            [
                run.names[0],
                run.protocol or "own options",
                str(run.step),
                str(run.content["protocol"].get("samples", "")),
                _rounded(_score([row], "inception_score"), 2, ""),
                _rounded(_score([row], "fvd"), 1, ""),
            ]
        )
    return cells


def to_json(runs: list[Measured]) -> dict[str, Any]:
    """Return the content of `markdown` as data."""
    return {
        "tables": {
            table: [dataclasses.asdict(row) for row in rows] for table, rows in tables(runs).items()
        },
        "runs": [
            {"folder": run.folder, "names": run.names, "protocol": run.protocol, "step": run.step}
            for run in runs
        ],
    }


__all__ = ["PAPER_ROWS", "Measured", "TableRow", "fill_row", "markdown", "read_runs", "tables"]
