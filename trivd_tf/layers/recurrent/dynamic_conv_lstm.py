"""ConvLSTM with kernels predicted from frame differences; kept for the comparison of costs."""

from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers.recurrent.base import Structure, concat_biases, softmax, width_of
from trivd_tf.layers.recurrent.conv_lstm import LSTMCell
from trivd_tf.layers.spectral_norm import SpectralDense


@keras.saving.register_keras_serializable("trivd_tf")
class DynamicConvLSTM(LSTMCell):
    """ConvLSTM whose kernels are predicted at each step (docs/architecture.md, section 4).

    Let c_h be the width of h and c_x = q c_h that of x. Every pair of an input channel i and an
    output channel j (both below c_h) has a difference image F_t[i] - F_{t-1}[j], where F_t is the
    first c_h channels of x_t (before the first step: of the encoding). One small network with
    strides of 2, shared by all pairs,

        KernelCNN = dense(mean over space of relu(conv(relu(conv(difference)))))

    predicts q + 1 kernels per pair for each of the four gates: one for h[i] and one for each
    x[p c_h + i], p < q. The kernels are normalized by a softmax over the input channels of h and
    another over those of x, and are then used in the equations of `LSTMCell`.

    Args:
        channels: width of [h; m], an even number.
        kernel_channels: width of KernelCNN's convolutions.
        **kwargs: arguments of `RecurrentCell`; `kernel_size` is that of the predicted kernels.
    """

    def __init__(self, channels: int, *, kernel_channels: int = 16, **kwargs: Any):
        super().__init__(channels, **kwargs)
        if self.initial_gate_bias:
            raise ValueError(
                "DynamicConvLSTM starts all its biases at 0. "
                f"Received: initial_gate_bias={self.initial_gate_bias}."
            )
        self.kernel_channels = kernel_channels

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if width_of(input_shape) % self.half:
            raise ValueError(
                "DynamicConvLSTM needs inputs with a multiple of channels / 2 channels, "
                f"{self.half} here. Received: inputs of shape {tuple(input_shape)}."
            )
        self.blocks = 1 + width_of(input_shape) // self.half  # q + 1
        width = self.kernel_channels
        self.first = self.make_conv("first", width, 1, kernel_size=3)
        self.second = self.make_conv("second", width, width, kernel_size=3)
        self.kernels = SpectralDense(
            4 * self.blocks * self.kernel_size**2,
            spectral_norm=self.spectral_norm,
            epsilon=self.epsilon,
            name="kernels",
            dtype=self.dtype_policy,
        )
        self.kernels.build((None, width))
        self.gate_bias = self.add_weight(
            name="gate_bias", shape=(4 * self.half,), initializer="zeros", autocast=False
        )
        self.built = True

    def initial_state(self, encoding: tf.Tensor) -> Structure:
        """Return (h, m, F): both halves of the encoding, and the first half again as last frame."""
        hidden, memory = super().initial_state(encoding)
        return hidden, memory, hidden

    def normalized_weights(self) -> Structure:
        layers = {"first": self.first, "second": self.second, "kernels": self.kernels}
        weights: dict[str, Any] = {
            name: (layer.normalized_kernel(), concat_biases([layer], self.compute_dtype))
            for name, layer in layers.items()
        }
        bias = tf.convert_to_tensor(self.gate_bias)
        return {**weights, "gate_bias": tf.cast(bias, self.compute_dtype)}

    def project(self, inputs: tf.Tensor, weights: Structure) -> tf.Tensor:
        return inputs

    def step(
        self, projected: tf.Tensor, state: Structure, weights: Structure
    ) -> tuple[tf.Tensor, Structure, Any]:
        hidden, memory, previous = state
        features = projected[..., : self.half]
        kernels = self._predict_kernels(features, previous, weights)
        patches = _patches(tf.concat([hidden, projected], axis=-1), self.kernel_size)
        shape = tf.shape(hidden)
        flat = tf.reshape(patches, [shape[0], shape[1] * shape[2], kernels.shape[1]])
        logits = tf.reshape(
            tf.linalg.matmul(flat, kernels), tf.concat([shape[:3], kernels.shape[-1:]], 0)
        )
        gates = tf.split(tf.nn.bias_add(logits, weights["gate_bias"]), 4, axis=-1)
        hidden, memory = self.next_state(gates, memory)
        return tf.concat([hidden, memory], axis=-1), (hidden, memory, features), None

    def _predict_kernels(self, now: tf.Tensor, before: tf.Tensor, weights: Structure) -> tf.Tensor:
        """Predict the gates' kernels, one matrix `[k*k*(c_h + c_x), 4 c_h]` per sample."""
        half, blocks, taps = self.half, self.blocks, self.kernel_size**2
        kernel, bias = weights["first"]
        # The first convolution is linear: apply it once per image instead of once per difference.
        inputs = tf.nn.bias_add(_images(now, kernel), bias)[:, :, None]
        outputs = _images(before, kernel)[:, None]
        pairs = tf.nn.relu(inputs - outputs)  # [B, i, j, H/2, W/2, width]
        pairs = tf.reshape(pairs, tf.concat([[-1], tf.shape(pairs)[3:]], 0))
        kernel, bias = weights["second"]
        pairs = tf.nn.relu(tf.nn.bias_add(_strided(pairs, kernel), bias))
        kernel, bias = weights["kernels"]
        logits = tf.nn.bias_add(tf.linalg.matmul(tf.reduce_mean(pairs, [1, 2]), kernel), bias)
        logits = tf.reshape(logits, [-1, half, half, 4, blocks, taps])
        # [B, taps, block, i, gate, j]: the input channel is (block, i); block 0 is h.
        logits = tf.transpose(logits, [0, 5, 4, 1, 3, 2])
        of_hidden, of_inputs = tf.split(logits, [1, blocks - 1], axis=2)
        of_hidden = tf.reshape(of_hidden, [-1, taps, half, 4 * half])
        of_inputs = tf.reshape(of_inputs, [-1, taps, (blocks - 1) * half, 4 * half])
        kernels = tf.concat([softmax(of_hidden, 2), softmax(of_inputs, 2)], axis=2)
        return tf.reshape(kernels, [-1, taps * blocks * half, 4 * half])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kernel_channels": self.kernel_channels}


def _strided(frames: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Apply a 3x3 convolution with stride 2 and one row and column of zeros on each side."""
    return tf.nn.conv2d(frames, kernel, 2, [[0, 0], [1, 1], [1, 1], [0, 0]])


def _images(frames: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Apply `_strided` to each channel: `[B, H, W, C] -> [B, C, H/2, W/2, width]`."""
    shape = tf.shape(frames)
    images = tf.transpose(frames, [0, 3, 1, 2])
    outputs = _strided(tf.reshape(images, [-1, shape[1], shape[2], 1]), kernel)
    return tf.reshape(outputs, tf.concat([[-1, frames.shape[-1]], tf.shape(outputs)[1:]], 0))


def _patches(frames: tf.Tensor, size: int) -> tf.Tensor:
    """Return zero-padded neighborhoods `[B, H, W, size*size*C]`, taps before channels."""
    return tf.image.extract_patches(frames, [1, size, size, 1], [1, 1, 1, 1], [1, 1, 1, 1], "SAME")
