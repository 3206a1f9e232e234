"""The scores of a run's evaluation weights, as its model card prints them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trivd_tf.base.errors import InputError
from trivd_tf.runs.stored_weights import WeightsKey


def scores_of(report: Path, weights: WeightsKey) -> tuple[dict[str, dict[str, str]], str]:
    """Every row's figures and the protocol, where `report` scored exactly these weights.

    Of several runs, each with standing statistics of its own seed, the figures are those of the
    first, whose weights these are.

    Args:
        report: a `report.json`.
        weights: what the scores are wanted of.

    Returns:
        Row -> figure -> text, and the protocol in one line; both empty where there is no report, or
        it is of other weights: of an earlier run in the same directory, or with standing statistics
        that were estimated otherwise.

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
