"""Recurrent units with one protocol, and `unroll` to run them over time."""

import functools
from collections.abc import Callable
from typing import Any

from trivd_tf.layers.recurrent.base import RecurrentCell
from trivd_tf.layers.recurrent.conv_gru import ConvGRU
from trivd_tf.layers.recurrent.tsru import TSRU
from trivd_tf.layers.recurrent.unroll import unroll

CELLS: dict[str, Callable[..., RecurrentCell]] = {
    "conv_gru": ConvGRU,
    **{f"tsru_{v}": functools.partial(TSRU, variant=v) for v in "cps"},
    **{f"ptsru_{v}": functools.partial(TSRU, variant=v, pixelwise=True) for v in "cps"},
}


def make_cell(name: str, channels: int, **options: Any) -> RecurrentCell:
    """The recurrent unit of that name.

    Args:
        name: one of `CELLS`.
        channels: width of the unit's output.
        **options: the unit's own.
    """
    if name not in CELLS:
        raise ValueError(f"name must be one of {', '.join(CELLS)}. Received: name={name!r}.")
    return CELLS[name](channels, **options)


__all__ = ["CELLS", "TSRU", "ConvGRU", "RecurrentCell", "make_cell", "unroll"]
