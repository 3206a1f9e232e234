"""Non-trainable layer state that every replica computes for itself."""

from collections.abc import Callable
from typing import Any

import keras


def replicated_state(
    layer: keras.layers.Layer,
    name: str,
    shape: tuple[int, ...],
    initializer: str | Callable[..., Any],
) -> keras.Variable:
    """Create a float32 non-trainable variable whose updates are the same on every replica.

    Each replica assigns its own copy, without communication, so it also works inside loops and on
    TPU. Reading it outside the replicas and saving it use the first replica's copy.

    Args:
        layer: the owner; assign the result to one of its attributes, so that Keras tracks it.
        name: the variable's name.
        shape: its shape.
        initializer: a Keras initializer's name or a callable `(shape, dtype) -> value`.
    """
    # Inside the layer's name scope, like its other variables.
    with keras.name_scope(layer.name, caller=layer):
        return keras.Variable(
            initializer=initializer,
            shape=shape,
            dtype="float64" if layer.variable_dtype == "float64" else "float32",
            trainable=False,
            autocast=False,
            synchronization="on_read",
            aggregation="only_first_replica",
            name=name,
        )
