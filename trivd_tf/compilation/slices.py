"""How long a train step takes on a slice of a TPU pod, from what `trivd compile` recorded.

A step that does F operations and moves M bytes on each replica, and sums S bytes over all replicas
in n all-reduces, takes on a slice of C chips

    t = a F / P + b M / W + A,        A = 2 (C - 1) / C * S / R + 2 n h L

P, W and R are the rates of the data sheet: operations and HBM bytes of a replica, bytes of an
all-reduce of a chip. h is the number of hops across the torus, L the time of a hop. a and b, at
least 0, say how much of the two rates is missed; they are fitted to the paper's milliseconds.
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from scipy.optimize import nnls

from trivd_tf.compilation.report import StepCost


@dataclasses.dataclass(frozen=True)
class Chip:
    """Rates of a chip, by its data sheet.

    Attributes:
        flops: operations a second, bfloat16.
        memory_bytes: of HBM, read or written a second.
        reduce_bytes: of an all-reduce a second.
        hop_seconds: latency to the next chip.
        cores: replicas on a chip; they share its rates.
    """

    flops: float
    memory_bytes: float
    reduce_bytes: float
    hop_seconds: float
    cores: int


# Google Cloud's page on TPU v3: 123 TFLOP/s and 900 GB/s a chip, all-reduce of a pod of 1,024 chips
# 340 TB/s. It gives no latency; a microsecond is assumed.
TPU_V3 = Chip(123e12, 900e9, 340e12 / 1024, 1e-6, cores=2)


def hops(num_chips: int) -> int:
    """Across the torus nearest to a square that `num_chips`, a power of two, can form."""
    exponent = num_chips.bit_length() - 1
    if num_chips < 1 or num_chips != 1 << exponent:
        raise ValueError(f"num_chips must be a power of two. Received: {num_chips}")
    short = 1 << exponent // 2
    return short - 1 + num_chips // short - 1


def reduce_seconds(cost: StepCost, num_replicas: int, chip: Chip = TPU_V3) -> float:
    """A: of a step's all-reduces."""
    chips = max(1, num_replicas // chip.cores)
    amount = 2 * (chips - 1) / chips * cost.collective_bytes / chip.reduce_bytes
    return amount + 2 * cost.collectives * hops(chips) * chip.hop_seconds


@dataclasses.dataclass(frozen=True)
class StepTime:
    """The fitted equation.

    Attributes:
        compute: a.
        memory: b.
        chip: of the slice.
    """

    compute: float
    memory: float
    chip: Chip = TPU_V3

    def seconds(self, cost: StepCost, num_replicas: int) -> float:
        """t: of a step on `num_replicas` replicas, each with the batch that `cost` is of."""
        rates = _at_full_rate(cost, self.chip)
        local = float(np.dot([self.compute, self.memory], rates))
        return local + reduce_seconds(cost, num_replicas, self.chip)


def _at_full_rate(cost: StepCost, chip: Chip) -> tuple[float, float]:
    """Seconds of the operations and of the bytes, each alone."""
    return (
        cost.flops * chip.cores / chip.flops,
        cost.accessed_bytes * chip.cores / chip.memory_bytes,
    )


def fit(
    costs: Mapping[str, StepCost],
    measured: Mapping[str, float],
    num_replicas: int,
    chip: Chip = TPU_V3,
) -> StepTime:
    """The `a` and `b` with the least sum of squares of relative errors.

    Args:
        costs: a step of each row.
        measured: seconds of a step of each row.
        num_replicas: that `measured` is of.
        chip: of the slice.

    Raises:
        ValueError: fewer than two rows.
    """
    if len(costs) < 2:
        raise ValueError(f"two unknowns need two rows or more. Received: {list(costs)}")
    rates = np.array([_at_full_rate(cost, chip) for cost in costs.values()])
    local = [
        measured[name] - reduce_seconds(cost, num_replicas, chip) for name, cost in costs.items()
    ]
    seconds = np.array([measured[name] for name in costs])
    (compute, memory), _ = nnls(rates / seconds[:, None], np.array(local) / seconds)
    return StepTime(float(compute), float(memory), chip)


def errors(
    costs: Mapping[str, StepCost],
    measured: Mapping[str, float],
    num_replicas: int,
    chip: Chip = TPU_V3,
) -> dict[str, tuple[float, float]]:
    """Of each row: the relative error of the fit to all rows, and of the fit to the others.

    The second is what to expect of a row that was never measured; NaN with fewer than three rows.
    """
    whole = fit(costs, measured, num_replicas, chip)
    found = {}
    for name, cost in costs.items():
        others = {other: costs[other] for other in costs if other != name}
        alone = math.nan
        if len(others) > 1:
            without = fit(others, measured, num_replicas, chip)
            alone = without.seconds(cost, num_replicas) / measured[name] - 1
        found[name] = (whole.seconds(cost, num_replicas) / measured[name] - 1, alone)
    return found
