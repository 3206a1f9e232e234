"""Train several configurations under one budget and compare their scores.

Every --gin_file with every seed is a cell of a grid. All cells are trained from scratch for the
same number of steps, or the same minutes of training time, on the same data, and evaluated with the
same protocol. The report (OUTPUT/comparison.md and .json, plots, videos of the same clips continued
by each model) lists the paper's figures next to the measured ones.

Running the command again resumes the comparison: finished cells are kept, an interrupted cell
resumes from its checkpoint, and configurations and seeds can be added. --minutes counts the
compiled training loops only, without the first compilation, checkpoints and evaluation.

example:
  trivd compare --gin_file table2_conv_gru_small --gin_file table2_tsru_p_small \\
      --minutes 10 --seeds 0 1 --output runs/small_table2
  trivd compare --gin_file table1_clip_small --gin_file table1_dvd_gan_fp_small \\
      --steps 2000 --output runs/small_table1
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivd_tf.base import model_files
from trivd_tf.base.errors import InputError, RunError
from trivd_tf.cli.flags import (
    add_compared_flags,
    local_output,
    natural_number,
    positive_number,
)
from trivd_tf.cli.signals import StopSignal

if TYPE_CHECKING:
    from trivd_tf.comparison import Budget, CellResult
    from trivd_tf.config import ParsedConfig
    from trivd_tf.experiment import Experiment

_SETTINGS = "settings.json"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `trivd compare`."""
    parser.add_argument(
        "--output", metavar="DIR", required=True, help="directory of the cells and the report"
    )
    add_compared_flags(parser)
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument(
        "--steps", metavar="N", type=positive_number, help="training steps per cell"
    )
    budget.add_argument(
        "--minutes", metavar="M", type=_minutes, help="minutes of training per cell"
    )
    parser.add_argument(
        "--seeds",
        metavar="N",
        type=natural_number,
        nargs="+",
        default=[0],
        help="seeds; one cell per configuration and seed (default: 0)",
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="rerun cells whose data, evaluation or code have changed; the earlier ones are kept "
        "under another name (default: list them separately in the report)",
    )
    # Passed to a cell's own process.
    parser.add_argument("--cell", type=natural_number, help=argparse.SUPPRESS)


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = float("nan")
    if not 0 < minutes < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of minutes, such as 10 or 0.5")
    return minutes


@dataclasses.dataclass(frozen=True)
class Cell:
    """One configuration with one seed, and its model directory."""

    gin_file: str
    name: str
    seed: int
    directory: Path


def run(args: argparse.Namespace) -> int:
    """Run unfinished cells, each in its own process, and write the report."""
    # As in `trivd train`, for runs that are repeatable to the last bit.
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

    from trivd_tf.cli.tensorflow_log import import_tensorflow

    local_output("--output", args.output)
    import_tensorflow(debug=args.debug)

    from trivd_tf.base.lock import directory_lock
    from trivd_tf.base.outputs import check_outputs, claimed
    from trivd_tf.comparison import Budget

    budget = Budget(args.steps, args.minutes)
    cells = _cells(args)
    if args.cell is not None:
        return _run_here(args, next(cell for cell in cells if cell.seed == args.cell), budget)
    output = Path(args.output).expanduser()
    facts = _check_alike(args, cells)
    check_outputs(_report_files(output))
    with directory_lock(output, "trivd compare"):
        _check_settings(output, budget)
        results, set_apart = _run_cells(args, cells, facts)
        if not results:
            raise InputError(
                f"{output} has no cell with the current data, evaluation and code "
                f"({set_apart[0]}); pass --again to rerun all"
            )
        with claimed(_report_files(output)):
            print(_report(output, results, budget, set_apart))
    print(f"\n{output / 'comparison.md'}")
    return 0


def _run_cells(
    args: argparse.Namespace, cells: list[Cell], facts: dict[str, Any]
) -> tuple[dict[str, list[CellResult]], list[str]]:
    """Run unfinished cells; return results by name, and the reasons for cells set apart."""
    from trivd_tf.comparison import CellResult
    from trivd_tf.comparison.facts import differences, move_aside, read_facts, write_facts

    results: dict[str, list[CellResult]] = {}
    set_apart = []
    for number, cell in enumerate(cells):
        label = f"cell {number + 1} of {len(cells)}: {cell.name}, seed {cell.seed}"
        result = CellResult.load(cell.directory)
        begun = result is not None or model_files.has_checkpoint(cell.directory)
        differ = differences(read_facts(cell.directory), facts) if begun else []
        if differ and args.again:
            moved = move_aside(cell.directory)
            _say(f"{label}: run again ({'; '.join(differ)}); the earlier one is now {moved}")
            result = None
        elif differ:
            scored = f", FVD {result.model.fvd:.1f}" if result else ""
            set_apart.append(f"{cell.name}, seed {cell.seed}{scored}: {'; '.join(differ)}")
            _say(f"{label}: set apart ({'; '.join(differ)}); --again runs it again")
            continue
        if result is None:
            _say(label)
            write_facts(cell.directory, facts)
            _run_in_a_process(args, cell, label)
            result = CellResult.load(cell.directory)
        else:
            _say(f"{label}: finished before")
        if result is None:
            raise RunError(f"{label} left no result in {cell.directory}")
        results.setdefault(cell.name, []).append(result)
    return results, set_apart


def _say(line: str) -> None:
    print(f"trivd: {line}", file=sys.stderr, flush=True)


def _cells(args: argparse.Namespace) -> list[Cell]:
    """Return all configurations with the first seed, then the next: partial results are useful."""
    names = [Path(gin_file).name.removesuffix(".gin") for gin_file in args.gin_file]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(f"--gin_file {', '.join(sorted(twice))} is repeated; name each once")
    root = Path(args.output).expanduser() / "cells"
    return [
        Cell(gin_file, name, seed, root / name / f"seed_{seed}")
        for seed in dict.fromkeys(args.seeds)
        for gin_file, name in zip(args.gin_file, names, strict=True)
    ]


def _load(args: argparse.Namespace, cell: Cell) -> tuple[ParsedConfig, Experiment]:
    from trivd_tf import config

    parsed = config.parse([cell.gin_file], args.gin_bindings, data_dir=args.data_dir)
    experiment = parsed.build()
    _refuse_changes(parsed, cell)
    return parsed, experiment


def _refuse_changes(parsed: ParsedConfig, cell: Cell) -> None:
    from trivd_tf import config

    saved = cell.directory / model_files.CONFIG
    if not saved.is_file() or not model_files.has_checkpoint(cell.directory):
        return
    changes = config.changed_bindings(saved.read_text(encoding="utf-8"), parsed.operative_text)
    for name, (old, new) in changes.items():
        raise InputError(
            f"{cell.directory} was started with another configuration: "
            f"{name.removeprefix('trivd_tf.')} was {old} and is now {new}; restore the old value, "
            "or choose another --output"
        )


def _check_alike(args: argparse.Namespace, cells: list[Cell]) -> dict[str, Any]:
    """Check that every configuration is valid and shares data and evaluation with the first.

    Returns:
        The shared facts.

    Raises:
        InputError: a configuration is invalid or differs.
    """
    from trivd_tf.comparison.facts import facts_of

    first: tuple[str, dict[str, object]] | None = None
    shared: dict[str, Any] = {}
    for cell in cells:
        experiment = _load(args, cell)[1]
        experiment.data.prepare(experiment.clip)
        options = dataclasses.asdict(experiment.evaluation)
        facts = {
            "data": experiment.data.fingerprint(experiment.clip, options["split"]),
            **{f"EvaluationOptions.{name}": value for name, value in options.items()},
        }
        if first is None:
            first = (cell.name, facts)
            shared = facts_of(experiment)
        for name, value in facts.items():
            if value != first[1].get(name):
                raise InputError(
                    f"{cell.name} and {first[0]} cannot be compared: {name} is {value} and "
                    f"{first[1].get(name)}; use the same value for all of them"
                )
    return shared


def _check_settings(output: Path, budget: Budget) -> None:
    path = output / _SETTINGS
    settings = {"budget": str(budget)}
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            before = None
        if not isinstance(before, dict) or "budget" not in before:
            raise InputError(f"{path} was not written by `trivd compare`; choose another --output")
        if before != settings:
            raise InputError(
                f"{output} holds a comparison of {before['budget']}, not of {budget}; choose "
                "another --output"
            )
        return
    output.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings) + "\n")


def _run_in_a_process(args: argparse.Namespace, cell: Cell, label: str) -> None:
    """Run a cell in a new process, with its own memory, compiled functions and random state."""
    command = [sys.executable, "-m", "trivd_tf", "compare", "--gin_file", cell.gin_file]
    command += ["--output", args.output, "--seeds", str(cell.seed), "--cell", str(cell.seed)]
    for binding in args.gin_bindings:
        command += ["--gin_bindings", binding]
    if args.data_dir is not None:
        command += ["--data_dir", args.data_dir]
    command += ["--steps", str(args.steps)] if args.steps else ["--minutes", str(args.minutes)]
    if args.debug:
        command.append("--debug")
    # Its own session, so that signals reach the cell only through this process, and only once.
    process = subprocess.Popen(command, start_new_session=True)
    try:
        status = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if status:
        error = InputError if status == 2 else RunError
        raise error(f"{label} ended with status {status}; the same command resumes from there")


class _StopWithParent:
    """Stop request: a signal came, or the comparison that started this cell has ended."""

    def __init__(self, signals: StopSignal) -> None:
        self._signals = signals
        self._parent = os.getppid()

    def is_set(self) -> bool:
        return self._signals.is_set() or os.getppid() != self._parent


def _run_here(args: argparse.Namespace, cell: Cell, budget: Budget) -> int:
    from trivd_tf.base.lock import directory_lock
    from trivd_tf.comparison import run_cell
    from trivd_tf.runs import record as run_record

    parsed, experiment = _load(args, cell)
    resume = model_files.has_checkpoint(cell.directory)
    class_names = run_record.class_names_of(experiment)
    experiment.data.prepare(experiment.clip)
    with directory_lock(cell.directory, "trivd compare"), StopSignal() as signals:
        run_record.write(
            cell.directory,
            seed=cell.seed,
            class_names=class_names,
            data=run_record.data_of(experiment),
            resume=resume,
        )
        parsed.save(cell.directory / model_files.CONFIG)
        stop = _StopWithParent(signals)
        result = run_cell(
            experiment,
            cell.directory,
            name=cell.name,
            seed=cell.seed,
            budget=budget,
            stop=stop,
        )
    return 0 if result is not None else signals.exit_status or 1


def _report_files(output: Path) -> list[Path]:
    pictures = ["scores.png", "by_frame.png"]
    pictures += [f"side_by_side.{ending}" for ending in ("gif", "mp4", "png")]
    return [output / name for name in ("comparison.md", "comparison.json", *pictures)]


def _report(
    output: Path, results: dict[str, list[CellResult]], budget: Budget, set_apart: list[str]
) -> str:
    """Write tables, plots and videos; return the table."""
    import numpy as np

    from trivd_tf.comparison import Comparison
    from trivd_tf.comparison.cell import SAMPLES
    from trivd_tf.comparison.plots import save_plots
    from trivd_tf.comparison.videos import save_videos

    comparison = Comparison(results, str(budget), tuple(set_apart))
    predicted: dict[str, np.ndarray] = {}
    real = np.zeros([0])
    for name, cells in results.items():
        directory = output / "cells" / name / f"seed_{cells[0].seed}"
        with np.load(directory / SAMPLES) as samples:
            real, predicted[cells[0].title] = samples["real"], samples["predicted"]
    save_plots(comparison, output)
    save_videos(real, predicted, output)
    comparison.save(output)
    return str(comparison)
