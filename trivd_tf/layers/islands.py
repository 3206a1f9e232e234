"""Islands: parts of a network that XLA compiles to one operation each.

A GPU waits for launches where a step is thousands of small operations. Spectral norms, batch norms,
the recurrent step, the penalty, the optimiser and the average are such parts. Convolutions outside
of the recurrent step stay what they are: the compiler would take minutes for all of them.

An island changes nothing but rounding. It must not reduce over replicas.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import tensorflow as tf

_Function = TypeVar("_Function", bound=Callable[..., Any])


class _State(threading.local):
    """Each replica is traced in a thread of its own."""

    def __init__(self) -> None:
        self.is_on = False


_STATE = _State()


@contextlib.contextmanager
def compiling_islands(wanted: bool = True) -> Iterator[None]:
    """What is traced within it has its islands compiled by XLA, or not."""
    before = _STATE.is_on
    _STATE.is_on = wanted
    try:
        yield
    finally:
        _STATE.is_on = before


def are_compiled() -> bool:
    """Whether islands are compiled here: asked for, and while a graph is traced."""
    return _STATE.is_on and not tf.executing_eagerly()


def island(function: _Function) -> _Function:
    """`function` of tensors, compiled by XLA as one operation where islands are compiled.

    It may read and assign variables, and use tensors from outside of it.
    """
    if not are_compiled():
        return function
    return tf.function(function, jit_compile=True, autograph=False)  # type: ignore[return-value]
