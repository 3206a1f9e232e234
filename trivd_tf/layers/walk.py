"""The layers inside a layer, through public attributes of Python alone.

Keras has no public way to visit what is nested deeper than a model's own `layers`.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

import keras

LayerT = TypeVar("LayerT", bound=keras.layers.Layer)


def sublayers(root: keras.layers.Layer, kind: type[LayerT]) -> Iterator[LayerT]:
    """Every layer of that kind in `root`, itself included, once each.

    A layer is found in an attribute of another, or in a list, tuple or dictionary there. The order
    is that in which attributes were first set, depth first, so it is fixed once `root` is built.

    Args:
        root: a layer or model.
        kind: the class of the layers that are wanted.
    """
    seen: set[int] = set()
    waiting: list[Any] = [root]
    while waiting:
        found = waiting.pop()
        if id(found) in seen:
            continue
        if isinstance(found, keras.layers.Layer):
            seen.add(id(found))
            if isinstance(found, kind):
                yield found
            waiting += reversed(list(vars(found).values()))
        elif isinstance(found, (list, tuple)):
            waiting += reversed(found)
        elif isinstance(found, dict):
            waiting += reversed(list(found.values()))
