"""Visit the layers nested inside a layer, through public Python attributes alone.

Keras has no public way to visit layers nested deeper than a model's own `layers`.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

import keras

LayerT = TypeVar("LayerT", bound=keras.layers.Layer)


def sublayers(root: keras.layers.Layer, kind: type[LayerT]) -> Iterator[LayerT]:
    """Iterate over every layer of type `kind` in `root`, including `root`, once each.

    A layer is found in an attribute of another layer, or in a list, tuple or dictionary there. The
    order is depth first, by when attributes were first set, so it is fixed once `root` is built.

    Args:
        root: a layer or model.
        kind: class of the layers to find.
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
