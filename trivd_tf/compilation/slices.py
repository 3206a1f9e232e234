"""Time of a train step on a slice of a TPU pod, modeled from the records of `trivd compile`.

A step with F operations and M bytes of memory traffic per replica, which sums S bytes over all
replicas in n all-reduces, takes on a slice of C chips

    t = a F / P + b M / W + A,        A = 2 (C - 1) / C * S / R + 2 n h L

P, W and R are rates from the data sheet: operations and HBM bytes of a replica, all-reduce bytes of
a chip. h is the number of hops across the torus, L the latency of a hop. a and b, at least 0,
scale the first two terms; they are fitted to the paper's milliseconds.
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from scipy.optimize import nnls

from trivd_tf.compilation.report import StepCost


@dataclasses.dataclass(frozen=True)
class Chip:
    """Data-sheet rates of a chip.

    Attributes:
        flops: bfloat16 operations per second.
        memory_bytes: HBM bytes read or written per second.
        reduce_bytes: all-reduce bytes per second.
        hop_seconds: latency to the next chip.
        cores: replicas per chip, which share its rates.
    """

    flops: float
    memory_bytes: float
    reduce_bytes: float
    hop_seconds: float
    cores: int


# Google Cloud's page on TPU v3: 123 TFLOP/s and 900 GB/s per chip, and 340 TB/s all-reduce for a
# pod of 1,024 chips. It states no latency; a microsecond is assumed.
TPU_V3 = Chip(123e12, 900e9, 340e12 / 1024, 1e-6, cores=2)


def hops(num_chips: int) -> int:
    """Return the hops across the squarest torus of `num_chips`, a power of two."""
    exponent = num_chips.bit_length() - 1
    if num_chips < 1 or num_chips != 1 << exponent:
        raise ValueError(f"num_chips must be a power of two. Received: {num_chips}")
    short = 1 << exponent // 2
    return short - 1 + num_chips // short - 1


def reduce_seconds(cost: StepCost, num_replicas: int, chip: Chip = TPU_V3) -> float:
    """Return A, the seconds of a step's all-reduces."""
    chips = max(1, num_replicas // chip.cores)
    amount = 2 * (chips - 1) / chips * cost.collective_bytes / chip.reduce_bytes
    return amount + 2 * cost.collectives * hops(chips) * chip.hop_seconds


@dataclasses.dataclass(frozen=True)
class StepTime:
    """The fitted model of step time.

    Attributes:
        compute: a.
        memory: b.
        chip: chip of the slice.
    """

    compute: float
    memory: float
    chip: Chip = TPU_V3

    def seconds(self, cost: StepCost, num_replicas: int) -> float:
        """Return t for a step on `num_replicas` replicas, each with the batch of `cost`."""
        rates = _at_full_rate(cost, self.chip)
        local = float(np.dot([self.compute, self.memory], rates))
        return local + reduce_seconds(cost, num_replicas, self.chip)


def _at_full_rate(cost: StepCost, chip: Chip) -> tuple[float, float]:
    """Return the seconds of the operations and of the memory traffic, each at full rate."""
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
    """Fit `a` and `b` by least squares of the relative errors.

    Args:
        costs: cost of each row's step.
        measured: measured seconds of each row's step.
        num_replicas: number of replicas in `measured`.
        chip: chip of the slice.

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
    """Return per row the relative error of the fit to all rows, and of the fit to the others.

    The second is the expected error for an unmeasured row; NaN with fewer than three rows.
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
