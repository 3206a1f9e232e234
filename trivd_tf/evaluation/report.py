"""What an evaluation found, as a table, as Markdown and as JSON."""

import dataclasses
import json
import os
import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from trivd_tf.evaluation.options import EvaluationOptions

if TYPE_CHECKING:
    from trivd_tf.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class Row:
    """Scores of one kind of prediction.

    Attributes:
        name: what predicted.
        fvd: Frechet video distance to the real clips.
        inception_score: of I3D's softmax.
        by_frame: PSNR (dB), SSIM and, for bouncing digits, the distance of the digits' centres
            (pixels), each a mean over clips for every predicted frame.
    """

    name: str
    fvd: float
    inception_score: float
    by_frame: dict[str, list[float]]

    def mean(self, score: str) -> float:
        """A score by frame, averaged over the predicted frames."""
        return float(np.mean(self.by_frame[score]))


@dataclasses.dataclass(frozen=True)
class Report:
    """The rows, and the protocol that they depend on."""

    rows: list[Row]
    protocol: dict[str, Any]

    @classmethod
    def build(
        cls, experiment: "Experiment", options: EvaluationOptions, step: int, rows: list[Row]
    ) -> "Report":
        """Writes down beside the rows all that the scores depend on."""
        clip = experiment.clip
        protocol = {
            "title": experiment.title,
            "step": step,
            "data": experiment.data.name,
            "split": options.split,
            "samples": options.num_samples,
            "frames": f"{clip.num_conditioning_frames} given + {clip.num_predicted_frames}",
            "size": clip.size,
            "stride": clip.stride,
            "fvd": f"logits of {options.i3d or 'I3D Kinetics-400'}, given frames included",
            "inception_score": "softmax of the same network, one split",
            "resize": f"{options.resize} to 224 x 224",
            "standing_statistics": f"{options.standing_batches} x {options.standing_batch_size}",
            "truncation": options.truncation,
            "seed": options.seed,
        }
        return cls(rows, protocol)

    def row(self, beginning: str) -> Row:
        """The row whose name begins so."""
        return next(row for row in self.rows if row.name.startswith(beginning))

    def columns(self) -> list[tuple[str, str]]:
        """Titles and keys of the columns after the name."""
        columns = [("FVD", "fvd"), ("IS", "inception_score")]
        titles = {"psnr": "PSNR dB", "ssim": "SSIM", "center_distance": "centre distance px"}
        return columns + [(titles[key], key) for key in self.rows[0].by_frame]

    def _cells(self) -> list[list[str]]:
        cells = [["", *(title for title, _ in self.columns())]]
        for row in self.rows:
            values = [row.fvd, row.inception_score, *map(row.mean, row.by_frame)]
            digits = [1, 2, *(3 if key == "ssim" else 2 for key in row.by_frame)]
            numbers = [f"{v:.{d}f}" for v, d in zip(values, digits, strict=True)]
            cells.append([row.name, *numbers])
        return cells

    def protocol_line(self) -> str:
        """One line of everything that the scores depend on."""
        return "; ".join(f"{key}: {value}" for key, value in self.protocol.items() if value != "")

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
        return "\n".join([*lines, self.protocol_line()])

    def markdown(self) -> str:
        """The same table in Markdown."""
        cells = self._cells()
        rule = ["---", *["---:"] * (len(cells[0]) - 1)]
        rows = ["| " + " | ".join(row) + " |" for row in [cells[0], rule, *cells[1:]]]
        return "\n".join([*rows, "", self.protocol_line(), ""])

    def save(self, directory: pathlib.Path) -> None:
        """Writes `report.json` and `report.md`; each appears whole."""
        directory.mkdir(parents=True, exist_ok=True)
        rows = [dataclasses.asdict(row) for row in self.rows]
        text = json.dumps({"protocol": self.protocol, "rows": rows}, indent=1)
        for name, content in (("report.json", text), ("report.md", self.markdown())):
            temporary = directory / f"{name}.{os.getpid()}.tmp"
            temporary.write_text(content)
            temporary.replace(directory / name)
