"""Layers that may run again in the backward pass instead of keeping what they computed.

Of such a layer only inputs and weights stay in memory until its gradient is taken: less memory for
one more forward. Values and gradients are the same; moments that are synchronised over replicas are
summed once more.
"""

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf


class RecomputableLayer(keras.layers.Layer):
    """A layer with `recompute`, which a train step may switch on once the layer is built.

    It must compute a tensor from its inputs and variables alone, and where it recomputes, what it
    assigns to variables is lost.
    """

    recompute = False

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        if self.recompute and self.built and not self.keeps_state():
            return _recomputed(self, *inputs, **options)
        return super().__call__(*inputs, **options)

    def keeps_state(self) -> bool:
        """Whether this call is made for what it assigns to variables."""
        return False


def _recomputed(layer: keras.layers.Layer, *inputs: tf.Tensor, **options: Any) -> tf.Tensor:
    trainable, state = layer.trainable_variables, layer.non_trainable_variables
    # As arguments, not as variables: so their gradients reach any tape, on any replica.
    weights = [tf.convert_to_tensor(variable) for variable in (*trainable, *state)]
    first, last = len(inputs), len(inputs) + len(trainable)

    def run(*given: tf.Tensor) -> tf.Tensor:
        outputs, _ = layer.stateless_call(
            list(given[first:last]), list(given[last:]), *given[:first], **options
        )
        return outputs

    return tf.recompute_grad(run)(*inputs, *weights)


def recomputable_layers(root: keras.layers.Layer) -> Iterator[RecomputableLayer]:
    """Every layer in `root` that can recompute, in a fixed order."""
    for layer in root._flatten_layers(include_self=True, recursive=True):
        if isinstance(layer, RecomputableLayer):
            yield layer
