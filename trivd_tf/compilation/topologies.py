"""TPU topologies that programs can be compiled for."""

import dataclasses
import re

from trivd_tf.base.errors import InputError


@dataclasses.dataclass(frozen=True)
class Generation:
    """A generation of TPUs.

    Attributes:
        axes: dimensions of the torus of its chips, 2 or 3.
        default: topology for a bare generation name: one host.
        cores: replicas per chip.
        gibibytes: HBM available to a replica's program, as reported by libtpu 0.0.52 when one
            does not fit; the data sheets state a little more.
        chip: libtpu's name for the mode of the chip's cores. The two of a v4 work as one, as on a
            Cloud TPU VM.
    """

    axes: int
    default: str
    cores: int
    gibibytes: float
    chip: str = "default"


GENERATIONS = {
    "v2": Generation(2, "2x2", 2, 7.48),
    "v3": Generation(2, "2x2", 2, 15.48),
    "v4": Generation(3, "2x2x1", 1, 30.75, chip="megacore"),
    "v5e": Generation(2, "2x2", 1, 15.75),
    "v5p": Generation(3, "2x2x1", 1, 95.73),
    "v6e": Generation(2, "2x4", 1, 31.24),
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """A slice; `v3:2x2` for example has four chips and eight replicas."""

    generation: str
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name for libtpu, for example `v4:2x2x1`."""
        return f"{self.generation}:{'x'.join(str(side) for side in self.shape)}"

    @property
    def hbm_bytes(self) -> int:
        """HBM bytes available to a replica's program."""
        return int(GENERATIONS[self.generation].gibibytes * 2**30)

    @property
    def num_replicas(self) -> int:
        """Number of cores that run a replica each."""
        chips = 1
        for side in self.shape:
            chips *= side
        return chips * GENERATIONS[self.generation].cores


def parse_topology(text: str) -> Topology:
    """Parse `v3:2x2`, `v4:2x2x1`, or a generation alone for one host of it.

    Raises:
        InputError: unknown generation, or a shape that does not fit it.
    """
    name, _, shape = text.partition(":")
    generation = GENERATIONS.get(name)
    if generation is None:
        raise InputError(
            f"--topology {text}: no TPU {name!r} is known; give one of {', '.join(GENERATIONS)}, "
            "for example v3:2x2"
        )
    shape = shape or generation.default
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", shape) or len(shape.split("x")) != generation.axes:
        raise InputError(
            f"--topology {text}: a {name} slice has {generation.axes} sides, for example "
            f"{name}:{generation.default}"
        )
    return Topology(name, tuple(int(side) for side in shape.split("x")))
