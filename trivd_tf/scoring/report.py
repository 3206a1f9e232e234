"""Formats the scores of two sets of videos as a table and as JSON."""

import dataclasses
import json
from typing import Any

from trivd_tf.metrics.uncertainty import LEVEL, Estimate
from trivd_tf.scoring.curve import Point


@dataclasses.dataclass(frozen=True)
class Figure:
    """One score.

    Attributes:
        title: title in the table.
        estimate: value and interval.
        protocol: settings that it depends on besides the clips.
        digits: number of decimals.
    """

    title: str
    estimate: Estimate
    protocol: str
    digits: int


@dataclasses.dataclass(frozen=True)
class Score:
    """Scores of FAKE against REAL.

    Attributes:
        figures: scores by key: fvd, fvd_infinite, kvd, inception_score; psnr, ssim, mse_sum and
            mae_sum if the videos are paired.
        protocol: settings that all figures depend on.
        warnings: warnings for the reader.
        by_samples: FVD and KVD for fewer samples, in ascending order of samples.
    """

    figures: dict[str, Figure]
    protocol: dict[str, Any]
    warnings: tuple[str, ...] = ()
    by_samples: tuple[Point, ...] = ()

    def value(self, key: str) -> float:
        """Returns the value of a figure."""
        return self.figures[key].estimate.value

    def __str__(self) -> str:
        rows = [
            (figure.title, figure.estimate.text(figure.digits), figure.protocol)
            for figure in self.figures.values()
        ]
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        lines = [f"{a.ljust(widths[0])}  {b.ljust(widths[1])}  {c}" for a, b, c in rows]
        lines += ["", *(f"{key}: {value}" for key, value in self.protocol.items())]
        lines += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Returns the content of `score.json`."""
        figures = {
            key: {
                **dataclasses.asdict(figure.estimate),
                "level": LEVEL,
                "title": figure.title,
                "protocol": figure.protocol,
            }
            for key, figure in self.figures.items()
        }
        content = {
            "figures": figures,
            "protocol": self.protocol,
            "warnings": list(self.warnings),
            "by_samples": [dataclasses.asdict(point) for point in self.by_samples],
        }
        return json.dumps(content, indent=1)
