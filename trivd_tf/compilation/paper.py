"""Comparison of compiled steps with the milliseconds and GB of the paper's Table 1."""

from collections.abc import Mapping

from scipy.stats import spearmanr

from trivd_tf.compilation.report import StepCost, aligned
from trivd_tf.evaluation.paper_tables.paper_figures import PAPER_ROWS, PaperRow


def paper_row(run: str) -> PaperRow | None:
    """Return the row of Table 1 that the gin file `run` reproduces."""
    for row in PAPER_ROWS:
        if row.run == run and row.step_ms is not None:
            return row
    return None


def beside_the_paper(costs: Mapping[str, StepCost]) -> str:
    """Return a table of the runs with published time and memory, and the rank correlation.

    Args:
        costs: name of a gin file, such as `table1_clip` -> cost of its step.

    Returns:
        Lines; none if the paper has no figures for these runs.
    """
    known = [(paper_row(run), cost) for run, cost in costs.items()]
    pairs = [(row, cost) for row, cost in known if row is not None]
    if not pairs:
        return ""
    rows = [("Table 1", "peak GB", "paper's GB", "GFLOP", "paper's ms")]
    rows += [
        (
            row.name,
            f"{cost.peak_bytes / 1e9:.2f}",
            f"{row.memory_gb:.2f}",
            f"{cost.flops / 1e9:.1f}",
            f"{row.step_ms:g}",
        )
        for row, cost in pairs
    ]
    lines = aligned(rows)
    over = [row.name for row, cost in pairs if cost.peak_bytes / 1e9 > (row.memory_gb or 0)]
    lines.append(f"above the paper's GB: {', '.join(over) or 'none'}")
    if len(pairs) > 2:
        flops, ms = zip(*((cost.flops, row.step_ms or 0) for row, cost in pairs), strict=True)
        found = spearmanr(flops, ms).statistic
        lines.append(f"rank correlation of FLOPs and ms over {len(pairs)} rows: {found:.3f}")
    return "\n".join(lines) + "\n"
