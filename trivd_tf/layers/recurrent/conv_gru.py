"""The convolutional gated recurrent unit."""

from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers.recurrent.base import FusedConvs, RecurrentCell, Structure, width_of


@keras.saving.register_keras_serializable("trivd_tf")
class ConvGRU(RecurrentCell):
    """ConvGRU (paper, Sec. 3.2; DVD-GAN's unit).

        r  = s(W_r [h; x])
        c  = rho(W_c [r * h; x])
        u  = s(W_u [h; x])
        h' = u * h + (1 - u) * c

    Args:
        channels: width of h.
        **kwargs: arguments of `RecurrentCell`.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = self.channels + width_of(input_shape)
        self.read = self.make_conv("read", self.channels, width)
        self.update = self.make_conv("update", self.channels, width)
        self.candidate = self.make_conv("candidate", self.channels, width)
        self.convs = FusedConvs(
            h=(self.channels, [self.read, self.update]), rh=(self.channels, [self.candidate])
        )
        self.built = True

    def normalized_weights(self) -> Structure:
        return self.convs.normalized_weights()

    def project(self, inputs: tf.Tensor, weights: Structure) -> Structure:
        return self.convs.project(inputs, weights)

    def step(
        self, projected: Structure, state: tf.Tensor, weights: Structure
    ) -> tuple[tf.Tensor, tf.Tensor, Any]:
        h = state
        r, u = map(tf.sigmoid, self.convs.read("h", h, projected, weights))
        (of_c,) = self.convs.read("rh", r * h, projected, weights)
        c = self.activation(of_c)
        h = c + u * (h - c)
        return h, h, None
