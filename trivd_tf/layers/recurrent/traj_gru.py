"""TrajGRU as published (flow vectors) and the paper's K-TrajGRU (kernels)."""

from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers.recurrent.base import (
    FusedConvs,
    RecurrentCell,
    Structure,
    concat,
    concat_biases,
    convolve,
    convolve_over_time,
    width_of,
)
from trivd_tf.layers.recurrent.transforming import TransformingCell
from trivd_tf.ops import warp


@keras.saving.register_keras_serializable("trivd_tf")
class KTrajGRU(TransformingCell):
    """K-TrajGRU: TrajGRU with the kernel-based warp (paper, Sec. 3.2).

        hw = w(h; f(h, x))
        r  = s(W_r [hw; x])
        c  = rho(W_c [r * hw; x])
        u  = s(W_u [hw; x])
        h' = u * h + (1 - u) * c        (h itself, not hw)

    With `num_warps` = L > 1, hw is [hw_1; ...; hw_L], and r has the same width.

    Args:
        channels: width of h.
        activation: the candidate's activation; tanh, as printed in the paper for this unit.
        **kwargs: arguments of `TransformingCell` and `RecurrentCell`.
    """

    def __init__(self, channels: int, *, activation: str = "tanh", **kwargs: Any):
        super().__init__(channels, activation=activation, **kwargs)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        inputs, warped = width_of(input_shape), self.num_warps * self.channels
        self.transform.build((None, None, None, self.channels + inputs))
        self.read = self.make_conv("read", warped, warped + inputs)
        self.update = self.make_conv("update", self.channels, warped + inputs)
        self.candidate = self.make_conv("candidate", self.channels, warped + inputs)
        self.convs = FusedConvs(
            h=(self.channels, self.transform.input_convs),
            hw=(warped, [self.read, self.update]),
            rhw=(warped, [self.candidate]),
        )
        self.built = True

    def normalized_weights(self) -> Structure:
        return {
            "transform": self.transform.normalized_weights(),
            **self.convs.normalized_weights(),
        }

    def project(self, inputs: tf.Tensor, weights: Structure) -> Structure:
        return self.convs.project(inputs, weights)

    def step(
        self, projected: Structure, state: tf.Tensor, weights: Structure
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        h = state
        of_f = self.convs.read("h", h, projected, weights)
        parts, warp_weights = self.warp_states(h, of_f, weights["transform"])
        hw = concat(parts)
        r, u = map(tf.sigmoid, self.convs.read("hw", hw, projected, weights))
        (of_c,) = self.convs.read("rhw", r * hw, projected, weights)
        c = self.activation(of_c)
        h = c + u * (h - c)
        return h, h, warp_weights


@keras.saving.register_keras_serializable("trivd_tf")
class TrajGRU(RecurrentCell):
    """TrajGRU with flow vectors (Shi et al., "Deep Learning for Precipitation Nowcasting", 2017).

        F_1, ..., F_L = conv5x5(leaky_relu(conv5x5(x) + conv5x5(h)))    flow fields (dy, dx)
        hw_l = h read at the positions that F_l points to, bilinear, zeros outside
        r  = s(W_r x + V_r [hw_1; ...; hw_L])
        c  = rho(W_c x + r * V_c [hw_1; ...; hw_L])
        u  = s(W_u x + V_u [hw_1; ...; hw_L])
        h' = u * h + (1 - u) * c

    with W 3x3 and V 1x1 convolutions. The last flow convolution is initialized to zero, so the unit
    starts without motion. It has no spectral norm, which would scale its first update up to a
    kernel of norm 1.

    Args:
        channels: width of h.
        num_warps: L, the number of flow fields.
        flow_channels: width of the flow network's hidden layer.
        flow_kernel_size: kernel size of the flow network's convolutions.
        flow_slope: slope of its leaky ReLU for negative values.
        **kwargs: arguments of `RecurrentCell`.
    """

    has_motion = True

    def __init__(
        self,
        channels: int,
        *,
        num_warps: int = 1,
        flow_channels: int = 32,
        flow_kernel_size: int = 5,
        flow_slope: float = 0.2,
        **kwargs: Any,
    ):
        super().__init__(channels, **kwargs)
        if num_warps < 1:
            raise ValueError(f"num_warps must be at least 1. Received: num_warps={num_warps}.")
        self.num_warps = num_warps
        self.flow_channels = flow_channels
        self.flow_kernel_size = flow_kernel_size
        self.flow_slope = flow_slope

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        inputs, width, size = width_of(input_shape), self.channels, self.flow_kernel_size
        self.flow_of_inputs = self.make_conv(
            "flow_of_inputs", self.flow_channels, inputs, kernel_size=size
        )
        self.flow_of_state = self.make_conv(
            "flow_of_state", self.flow_channels, width, kernel_size=size, use_bias=False
        )
        self.flow_fields = self.make_conv(
            "flow_fields",
            2 * self.num_warps,
            self.flow_channels,
            kernel_size=size,
            kernel_initializer="zeros",
            spectral_norm=False,
        )
        names = ("read", "update", "candidate")
        self.gates_of_inputs = [self.make_conv(f"{n}_of_inputs", width, inputs) for n in names]
        self.gates_of_warped = [
            self.make_conv(
                f"{n}_of_warped", width, self.num_warps * width, kernel_size=1, use_bias=False
            )
            for n in names
        ]
        self.built = True

    def flow(self, warp_weights: tf.Tensor) -> tf.Tensor:
        """Return the warp from `step` unchanged: it is the mean flow field `[B, H, W, 2]`."""
        return tf.cast(warp_weights, tf.float32)

    def normalized_weights(self) -> Structure:
        return {
            "inputs": concat([layer.normalized_kernel() for layer in self.gates_of_inputs]),
            "bias": concat_biases(self.gates_of_inputs, self.compute_dtype),
            "warped": concat([layer.normalized_kernel() for layer in self.gates_of_warped]),
            "flow_of_inputs": self.flow_of_inputs.normalized_kernel(),
            "flow_bias": concat_biases([self.flow_of_inputs], self.compute_dtype),
            "flow_of_state": self.flow_of_state.normalized_kernel(),
            "flow_fields": self.flow_fields.normalized_kernel(),
            "flow_fields_bias": concat_biases([self.flow_fields], self.compute_dtype),
        }

    def project(self, inputs: tf.Tensor, weights: Structure) -> Structure:
        return (
            convolve_over_time(inputs, weights["inputs"], weights["bias"]),
            convolve_over_time(inputs, weights["flow_of_inputs"], weights["flow_bias"]),
        )

    def step(
        self, projected: Structure, state: tf.Tensor, weights: Structure
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        of_gates, of_flow = projected
        features = tf.nn.leaky_relu(
            of_flow + convolve(state, weights["flow_of_state"]), self.flow_slope
        )
        fields = convolve(features, weights["flow_fields"])
        fields = tf.split(
            tf.nn.bias_add(fields, weights["flow_fields_bias"]), self.num_warps, axis=-1
        )
        warped = concat([warp.bilinear_sample(state, field) for field in fields])
        of_r_u, of_c = tf.split(of_gates, [2 * self.channels, self.channels], axis=-1)
        warped_r_u, warped_c = tf.split(
            convolve(warped, weights["warped"]), [2 * self.channels, self.channels], axis=-1
        )
        r, u = tf.split(tf.sigmoid(of_r_u + warped_r_u), 2, axis=-1)
        c = self.activation(of_c + r * warped_c)
        state = c + u * (state - c)
        return state, state, tf.add_n(fields) / len(fields)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_warps": self.num_warps,
            "flow_channels": self.flow_channels,
            "flow_kernel_size": self.flow_kernel_size,
            "flow_slope": self.flow_slope,
        }
