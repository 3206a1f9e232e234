"""Layers that can be recomputed in the backward pass instead of storing their activations.

Only the inputs and weights of such a layer stay in memory until its gradient is taken. This saves
memory at the cost of one more forward pass. Values and gradients are the same; moments synchronized
over replicas are reduced once more.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers.spectral_norm import prepared_layers, using_kernels
from trivd_tf.layers.walk import sublayers


class RecomputableLayer(keras.layers.Layer):
    """A layer with a `recompute` attribute, which a train step may set once the layer is built.

    Its output must depend only on its inputs and variables. While recomputing, assignments to its
    variables are lost.
    """

    recompute = False

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        if self.recompute and self.built and not self.keeps_state():
            return _recomputed(self, *inputs, **options)
        return super().__call__(*inputs, **options)

    def keeps_state(self) -> bool:
        """Whether this call must not be recomputed because it assigns to variables."""
        return False


def _recomputed(layer: keras.layers.Layer, *inputs: tf.Tensor, **options: Any) -> tf.Tensor:
    trainable, state = layer.trainable_variables, layer.non_trainable_variables
    # Passed as arguments, not captured as variables, so that gradients reach any tape on any
    # replica.
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
    """Return `value` with a dependency on `upstream` that XLA cannot remove.

    Without it, XLA's common-subexpression elimination undoes the recomputation. This happens on TPU
    with `tf.recompute_grad`, whose guard compares a boolean with itself. No compiler can know
    whether a number is finite. Where the gradient is not finite, the result is not finite either.
    """
    probe = tf.reshape(upstream, [-1])[0]
    zero = tf.where(tf.math.is_finite(probe), tf.zeros_like(probe), probe)
    return value + tf.cast(zero, value.dtype)


def recomputable_layers(root: keras.layers.Layer) -> Iterator[RecomputableLayer]:
    """Iterate over every layer in `root` that can recompute, in a fixed order."""
    yield from sublayers(root, RecomputableLayer)
