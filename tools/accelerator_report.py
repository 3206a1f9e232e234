"""Runs the checks of `check_accelerator.py` and reports them, without using a device itself."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any


class Failure(Exception):
    """A check has a wrong result."""


@dataclasses.dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: name in the report.
        run: returns the measured values; raises Failure, or any error of the check.
        needs: `accelerator`, or nothing.
    """

    name: str
    run: Callable[[], dict[str, Any]]
    needs: str = ""


def carry_out(checks: list[Check], kind: str, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Run the checks that this kind of device allows; a failing check does not stop the others.

    Returns:
        For each check `name`, `status` (`passed`, `failed` or `left out`), `seconds`, and `found`
        (the result) or `reason`.
    """
    rows = []
    for check in checks:
        row: dict[str, Any] = {"name": check.name, "seconds": 0.0}
        started = time.perf_counter()
        if check.needs and kind == "CPU":
            row |= {"status": "left out", "reason": f"needs an {check.needs}"}
        else:
            try:
                row |= {"status": "passed", "found": check.run()}
            except Exception as error:  # any error: the other checks are still useful
                reason = str(error).strip().splitlines() or [type(error).__name__]
                row |= {"status": "failed", "reason": reason[0]}
        row["seconds"] = round(time.perf_counter() - started, 1)
        rows.append(row)
        say(f"{row['status']:9} {row['seconds']:6.1f} s  {check.name}  {row.get('reason', '')}")
    return rows


def step_row(name: str, found: dict[str, Any]) -> str:
    """Return a row of the table of timed steps."""
    share = f"{found['share_of_convolution_rate']:.0%}"
    first = f"{found['first_call_seconds']:.0f}"
    seconds = f"{found['seconds_a_step']:.3f}"
    return f"| {name} | {seconds} | {share} | {found['operations_a_step']:,.0f} | {first} |"


def note_on(row: dict[str, Any]) -> str:
    """Return why a check failed or was left out, or else its measured values."""
    if "reason" in row:
        return row["reason"].replace("|", "/")
    numbers = {
        name: value
        for name, value in row["found"].items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    if "seconds_a_step" in numbers:
        return "below"
    return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in numbers.items())


def as_markdown(report: dict[str, Any]) -> str:
    """Return the report as two tables: checks, and timed steps if there are any."""
    lines = [f"# {report['device']}, TensorFlow {report['tensorflow']}", ""]
    counts = {
        status: sum(row["status"] == status for row in report["checks"])
        for status in ("passed", "failed", "left out")
    }
    summary = ", ".join(f"{count} {status}" for status, count in counts.items())
    lines += [f"{summary}; {report['seconds'] / 60:.1f} minutes in all.", ""]
    lines += ["| check | result | seconds | |", "|---|---|---:|---|"]
    lines += [
        f"| {row['name']} | {row['status']} | {row['seconds']:.1f} | {note_on(row)} |"
        for row in report["checks"]
    ]
    timed = [
        (row["name"], row["found"])
        for row in report["checks"]
        if "seconds_a_step" in row.get("found", {})
    ]
    if timed:
        lines += ["", "| | s a step | of convolution's rate | operations | first step, s |"]
        lines += ["|---|---:|---:|---:|---:|"]
        lines += [step_row(name, found) for name, found in timed]
    return "\n".join(lines) + "\n"
