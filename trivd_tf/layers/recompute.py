"""Layers that may run again in the backward pass instead of keeping what they computed.

Of such a layer only inputs and weights stay in memory until its gradient is taken: less memory for
one more forward. Values and gradients are the same; moments that are synchronised over replicas are
summed once more.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers.spectral_norm import prepared_layers, using_kernels
from trivd_tf.layers.walk import sublayers


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
    spectral, kernels = prepared_layers(layer)
    first, last = len(inputs), len(inputs) + len(trainable)
    end = last + len(state)

    def run(*given: tf.Tensor) -> tf.Tensor:
        with using_kernels(spectral, given[end:]):
            outputs, _ = layer.stateless_call(
                list(given[first:last]), list(given[last:end]), *given[:first], **options
            )
        return outputs

    @tf.custom_gradient
    def forgetful(*given: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        def gradient(upstream: tf.Tensor) -> list[tf.Tensor]:
            again = [*(_after(upstream, value) for value in given[:first]), *given[first:]]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(again)
                outputs = run(*again)
            return tape.gradient(outputs, again, upstream, unconnected_gradients="zero")

        return run(*given), gradient

    return forgetful(*inputs, *weights, *kernels)


def _after(upstream: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """`value`, in a way that XLA cannot have before `upstream`, nor take for what it had before.

    Otherwise its common subexpressions undo the recomputation, as they do on TPU with
    `tf.recompute_grad`: its guard compares a boolean with itself. Whether a number is finite no
    compiler can know. Where the gradient is not finite, what comes of it is not either.
    """
    probe = tf.reshape(upstream, [-1])[0]
    zero = tf.where(tf.math.is_finite(probe), tf.zeros_like(probe), probe)
    return value + tf.cast(zero, value.dtype)


def recomputable_layers(root: keras.layers.Layer) -> Iterator[RecomputableLayer]:
    """Every layer in `root` that can recompute, in a fixed order."""
    yield from sublayers(root, RecomputableLayer)
