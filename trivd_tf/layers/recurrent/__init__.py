"""Recurrent units with a common protocol, and `unroll` to run them over time."""

import functools
from collections.abc import Callable
from typing import Any

from trivd_tf.layers.recurrent.base import RecurrentCell
from trivd_tf.layers.recurrent.conv_gru import ConvGRU
from trivd_tf.layers.recurrent.conv_lstm import ConvLSTM
from trivd_tf.layers.recurrent.dynamic_conv_lstm import DynamicConvLSTM
from trivd_tf.layers.recurrent.traj_gru import KTrajGRU, TrajGRU
from trivd_tf.layers.recurrent.tsru import TSRU
from trivd_tf.layers.recurrent.tsru_extended import ExtendedTSRU
from trivd_tf.layers.recurrent.unroll import Unroll, unroll


def _make_tsru(channels: int, **options: Any) -> TSRU:
    """Return the paper's TSRU, or `ExtendedTSRU` if an option requires it."""
    extends = options.get("num_warps", 1) != 1 or options.get("read_gate", False)
    if not extends:
        options.pop("read_gate", None)
    return (ExtendedTSRU if extends else TSRU)(channels, **options)


CELLS: dict[str, Callable[..., RecurrentCell]] = {
    "conv_gru": ConvGRU,
    "conv_lstm": ConvLSTM,
    "traj_gru": TrajGRU,
    "k_traj_gru": KTrajGRU,
    **{f"tsru_{v}": functools.partial(_make_tsru, variant=v) for v in "cps"},
    **{f"ptsru_{v}": functools.partial(_make_tsru, variant=v, pixelwise=True) for v in "cps"},
    "dynamic_conv_lstm": DynamicConvLSTM,
}


def make_cell(name: str, channels: int, **options: Any) -> RecurrentCell:
    """Create a recurrent unit by name.

    Args:
        name: one of `CELLS`.
        channels: width of the unit's output (for LSTMs: half hidden state, half memory).
        **options: options of the unit's class. Every unit takes `activation`, `kernel_size`,
            `spectral_norm`, `epsilon` and Keras's `dtype`.

    Returns:
        The unit. The width of its inputs is determined at its first call.
    """
    if name not in CELLS:
        raise ValueError(f"name must be one of {', '.join(CELLS)}. Received: name={name!r}.")
    return CELLS[name](channels, **options)


__all__ = [
    "CELLS",
    "TSRU",
    "ConvGRU",
    "ConvLSTM",
    "DynamicConvLSTM",
    "ExtendedTSRU",
    "KTrajGRU",
    "RecurrentCell",
    "TrajGRU",
    "Unroll",
    "make_cell",
    "unroll",
]
