"""Reads the scores of a run's evaluation weights for its model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trivd_tf.base.errors import InputError
from trivd_tf.runs.stored_weights import WeightsKey


def scores_of(report: Path, weights: WeightsKey) -> tuple[dict[str, dict[str, str]], str]:
    """Returns the scores and the protocol of `report` if it scored exactly these weights.

    If the report covers several evaluation runs, each with its own seed of the standing statistics,
    the scores are those of the first run, which used these weights.

    Args:
        report: path of a `report.json`.
        weights: key of the weights.

    Returns:
        Row -> metric -> text, and the protocol in one line. Both are empty if there is no report,
        or if it scored other weights: those of an earlier run in the same directory, or weights
        with other standing statistics.

    Raises:
        InputError: the report cannot be read.
    """
    try:
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, ""
    except ValueError as error:
        raise InputError(
            f"{report} is not readable JSON ({error}); delete it, or run `trivd evaluate` again"
        ) from error
    scored = found.get("weights") or {}
    if not scored or not weights.matches(WeightsKey(**scored)):
        return {}, ""
    protocol = dict(found["protocol"])
    if protocol.get("runs", 1) != 1:
        protocol["runs"] = f"the first of {protocol['runs']}"
    lines = [str(protocol.pop("protocol", "protocol not stated"))]
    lines += [f"{key.replace('_', ' ')}: {value}" for key, value in protocol.items()]
    lines += [f"deviation: {text}" for text in found.get("deviations", [])]
    return {row["name"]: _figures(row) for row in found["rows"]}, "; ".join(lines)


def _figures(row: dict[str, Any]) -> dict[str, str]:
    first = {**row, **row["runs"][0]} if row.get("runs") else row
    figures = {"FVD": f"{first['fvd']:.1f}"}
    if first.get("inception_score") is not None:
        figures["IS"] = f"{first['inception_score']:.2f}"
    by_frame = row.get("by_frame") or {}
    for name, title, digits in (("psnr", "PSNR dB", 2), ("ssim", "SSIM", 3)):
        if by_frame.get(name):
            mean = sum(by_frame[name]) / len(by_frame[name])
            figures[title] = f"{mean:.{digits}f}"
    return figures
