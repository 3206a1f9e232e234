"""Islands: parts of a network that XLA compiles to a single operation each.

A GPU is limited by kernel launches where a step consists of thousands of small operations. The
spectral norms, batch norms, recurrent step, orthogonality penalty, optimizer and weight average are
such parts. Convolutions outside the recurrent step are not compiled: that would take minutes.

An island changes results by rounding only. It must not reduce over replicas.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import tensorflow as tf

_Function = TypeVar("_Function", bound=Callable[..., Any])


class _State(threading.local):
    """Thread-local state: each replica is traced in its own thread."""

    def __init__(self) -> None:
        self.is_on = False


_STATE = _State()


@contextlib.contextmanager
def compiling_islands(wanted: bool = True) -> Iterator[None]:
    """Enable or disable XLA compilation of the islands traced inside the context."""
    before = _STATE.is_on
    _STATE.is_on = wanted
    try:
        yield
    finally:
        _STATE.is_on = before


def are_compiled() -> bool:
    """Whether islands are compiled here: enabled, and a graph is being traced."""
    return _STATE.is_on and not tf.executing_eagerly()


def island(function: _Function) -> _Function:
    """Return `function`, compiled by XLA as one operation where islands are compiled.

    The function takes tensors. It may read and assign variables and capture outside tensors.
    """
    if not are_compiled():
        return function
    return tf.function(function, jit_compile=True, autograph=False)  # type: ignore[return-value]
