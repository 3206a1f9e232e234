"""The convolutional long short-term memory."""

from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers.recurrent.base import FusedConvs, RecurrentCell, Structure, concat, width_of


class LSTMCell(RecurrentCell):
    """Base of LSTM units: the output [h; m] is half hidden state and half memory.

        i, f, o = s(W [h; x])    g = rho(W [h; x])
        m' = f * m + i * g
        h' = o * rho(m')

    Args:
        channels: width of [h; m], an even number.
        **kwargs: arguments of `RecurrentCell`.
    """

    def __init__(self, channels: int, **kwargs: Any):
        super().__init__(channels, **kwargs)
        if channels % 2:
            raise ValueError(
                f"{type(self).__name__} gives half of its channels to h and half to the memory: "
                f"channels must be even. Received: channels={channels}."
            )

    @property
    def half(self) -> int:
        """Width of h and of the memory."""
        return self.channels // 2

    def initial_state(self, encoding: tf.Tensor) -> Structure:
        """Return (h, m): the two halves of an encoding `[B, H, W, channels]`."""
        return tuple(tf.split(super().initial_state(encoding), 2, axis=-1))

    def next_state(self, logits: list[tf.Tensor], memory: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return (h', m') from the logits of i, f, o and g, each `[B, H, W, half]`."""
        *gates, of_g = logits
        i, f, o = map(tf.sigmoid, gates)
        m = f * memory + i * self.activation(of_g)
        return o * self.activation(m), m


@keras.saving.register_keras_serializable("trivd_tf")
class ConvLSTM(LSTMCell):
    """ConvLSTM with half of the channels for h and half for the memory (paper, Sec. 3.2).

    The equations are those of `LSTMCell`, with a separate convolution for each of the four W.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        names = ("input_gate", "forget_gate", "output_gate", "candidate")
        self.gates = [
            self.make_conv(n, self.half, self.half + width_of(input_shape)) for n in names
        ]
        self.convs = FusedConvs(h=(self.half, self.gates))
        self.built = True

    def normalized_weights(self) -> Structure:
        return self.convs.normalized_weights()

    def project(self, inputs: tf.Tensor, weights: Structure) -> Structure:
        return self.convs.project(inputs, weights)

    def step(
        self, projected: Structure, state: Structure, weights: Structure
    ) -> tuple[tf.Tensor, Structure, Any]:
        h, m = state
        h, m = self.next_state(self.convs.read("h", h, projected, weights), m)
        return concat([h, m]), (h, m), None
