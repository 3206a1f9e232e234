"""The convolutional gated recurrent unit."""

from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers.recurrent.base import (
    RecurrentCell,
    Structure,
    convolve,
    convolve_over_time,
    joined,
    joined_biases,
    split_kernels,
    width_of,
)


@keras.saving.register_keras_serializable("trivd_tf")
class ConvGRU(RecurrentCell):
    """ConvGRU (paper, Sec. 3.2; DVD-GAN's unit).

        r  = s(W_r [h; x])
        c  = rho(W_c [r * h; x])
        u  = s(W_u [h; x])
        h' = u * h + (1 - u) * c

    Args:
        channels: width of h.
        **kwargs: `RecurrentCell`'s.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = self.channels + width_of(input_shape)
        self.read = self.make_conv("read", self.channels, width)
        self.update = self.make_conv("update", self.channels, width)
        self.candidate = self.make_conv("candidate", self.channels, width)
        self.built = True

    def normalized_weights(self) -> Structure:
        layers = [self.read, self.update, self.candidate]
        of_hidden, of_inputs = split_kernels(layers, self.channels)
        return {
            "inputs": joined(of_inputs),
            "bias": joined_biases(layers, self.compute_dtype),
            "gates": joined(of_hidden[:2]),
            "candidate": of_hidden[2],
        }

    def project(self, inputs: tf.Tensor, weights: Structure) -> Structure:
        projected = convolve_over_time(inputs, weights["inputs"], weights["bias"])
        return tuple(tf.split(projected, [2 * self.channels, self.channels], axis=-1))

    def step(
        self, projected: Structure, state: tf.Tensor, weights: Structure
    ) -> tuple[tf.Tensor, tf.Tensor, Any]:
        of_gates, of_candidate = projected
        gates = tf.sigmoid(of_gates + convolve(state, weights["gates"]))
        r, u = tf.split(gates, 2, axis=-1)
        c = self.activation(of_candidate + convolve(r * state, weights["candidate"]))
        state = c + u * (state - c)
        return state, state, None
