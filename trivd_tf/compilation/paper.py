"""Compiled steps beside the milliseconds and GB of the paper's Table 1."""

from collections.abc import Mapping, Sequence

from trivd_tf.compilation.report import StepCost, aligned
from trivd_tf.evaluation.paper_figures import PAPER_ROWS, PaperRow


def paper_row(run: str) -> PaperRow | None:
    """The row of Table 1 that the gin file `run` reproduces."""
    for row in PAPER_ROWS:
        if row.run == run and row.step_ms is not None:
            return row
    return None


def ranks(values: Sequence[float]) -> list[float]:
    """Each value's rank, from 1 on; equal values share the mean of their ranks."""
    order = sorted(values)
    return [order.index(value) + (order.count(value) + 1) / 2 for value in values]


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's: the correlation of ranks, -1 to 1."""
    a, b = ranks(first), ranks(second)
    middle = (len(a) + 1) / 2
    products = sum((x - middle) * (y - middle) for x, y in zip(a, b, strict=True))
    spread = [sum((x - middle) ** 2 for x in one) for one in (a, b)]
    return products / (spread[0] * spread[1]) ** 0.5


def beside_the_paper(costs: Mapping[str, StepCost]) -> str:
    """A table of the runs that the paper gives time and memory of, with the rank correlation.

    Args:
        costs: name of a gin file, such as `table1_clip` -> its step.

    Returns:
        Lines; none where the paper gives nothing.
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
        found = rank_correlation(
            [cost.flops for _, cost in pairs], [row.step_ms or 0 for row, _ in pairs]
        )
        lines.append(f"rank correlation of FLOPs and ms over {len(pairs)} rows: {found:.3f}")
    return "\n".join(lines) + "\n"
