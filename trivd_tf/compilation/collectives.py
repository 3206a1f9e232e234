"""Communication between replicas, read from a compiled program."""

import collections
import dataclasses
import re
from collections.abc import Iterable

_KINDS = ("all-reduce", "all-gather", "reduce-scatter", "collective-permute", "all-to-all")
_INSTRUCTION = re.compile(rf"= (?P<shape>.*?) (?P<kind>{'|'.join(_KINDS)})(?P<start>-start)?\(")
_ARRAY = re.compile(r"\b(pred|[subf]\d+|bf16|f8\w*)\[([\d,]*)\]")
_BYTES = {"pred": 1, "bf16": 2}


@dataclasses.dataclass(frozen=True)
class Collective:
    """All collectives of one kind in a program.

    Attributes:
        kind: kind of the collective, for example `all-reduce`.
        count: number of instructions; each is one exchange over the links.
        num_bytes: total bytes of their results.
        largest: bytes of the largest result.
    """

    kind: str
    count: int
    num_bytes: int
    largest: int


def array_bytes(shape: str) -> int:
    """Return the bytes of an HLO shape, `f32[3,8]{1,0}` or a tuple of them, without padding."""
    total = 0
    for dtype, sides in _ARRAY.findall(shape):
        count = 1
        for side in filter(None, sides.split(",")):
            count *= int(side)
        width = _BYTES.get(dtype) or int(re.sub(r"\D.*", "", dtype[1:])) // 8
        total += count * max(width, 1)
    return total


def find_collectives(lines: Iterable[str]) -> list[Collective]:
    """Count the collectives of an optimized HLO module.

    Args:
        lines: lines of its text. Instructions inside a loop count once.
    """
    sizes: dict[str, list[int]] = collections.defaultdict(list)
    for line in lines:
        match = _INSTRUCTION.search(line)
        if match is None:
            continue
        shape = match["shape"]
        # An asynchronous start returns both its operands and its results.
        size = array_bytes(shape) // (2 if match["start"] else 1)
        sizes[match["kind"]].append(size)
    return [Collective(kind, len(own), sum(own), max(own)) for kind, own in sizes.items()]
