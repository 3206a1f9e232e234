"""TSRU with several warps and a read gate, an extension beyond the paper."""

from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers.recurrent.base import (
    FusedConvs,
    Structure,
    concat,
    convolve,
    width_of,
)
from trivd_tf.layers.recurrent.tsru import TSRU


@keras.saving.register_keras_serializable("trivd_tf")
class ExtendedTSRU(TSRU):
    """`TSRU` with L warped states and, optionally, ConvGRU's read gate.

    With L = `num_warps`, hw in TSRU's equations is [hw_1; ...; hw_L], W_u has L outputs per
    channel, and h' = sum of u_l * hw_l + (1 - sum of u_l) * c. The u_l are the softmax of these
    outputs and an additional 0 (for L = 1: the sigmoid). With `read_gate`, r = s(W_r [h; x])
    multiplies the state that the candidate reads.

    Args:
        channels: width of h.
        read_gate: add ConvGRU's read gate.
        **kwargs: arguments of `TSRU`; `num_warps` is L.
    """

    def __init__(self, channels: int, *, read_gate: bool = False, **kwargs: Any):
        super().__init__(channels, **kwargs)
        self.read_gate = read_gate

    def check_options(self) -> None:
        """Accept all options."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        h, x = self.channels, width_of(input_shape)
        hw = self.num_warps * h
        self.transform.build((None, None, None, h + x))
        read_by_candidate = h if self.variant == "p" else hw
        self.candidate = self.make_conv("candidate", h, read_by_candidate + x)
        self.update = self.make_conv("update", hw, hw + h if self.variant == "s" else h + x)
        self.read = self.make_conv("read", h, h + x) if self.read_gate else None
        of_h = [*self.transform.input_convs]
        of_h += [] if self.variant == "s" else [self.update]
        of_h += [] if self.read is None else [self.read]
        # The candidate reads either h itself, or a state known only after the warp or the read
        # gate.
        if self.variant == "p" and not self.read_gate:
            self.convs = FusedConvs(h=(h, [*of_h, self.candidate]))
        else:
            self.convs = FusedConvs(h=(h, of_h), candidate=(read_by_candidate, [self.candidate]))
        self.built = True

    def step(
        self, projected: Structure, state: tf.Tensor, weights: Structure
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        h, num_features = state, len(self.transform.input_convs)
        of_h = self.convs.read("h", h, projected, weights)
        of_f, others = of_h[:num_features], of_h[num_features:]
        hw, warp_weights = self.warp_states(h, of_f, weights["transform"])
        of_u = None if self.variant == "s" else others.pop(0)
        if self.variant == "p" and not self.read_gate:
            of_c = others.pop(0)
        else:
            seen = [h] if self.variant == "p" else hw
            if self.read_gate:
                r = tf.sigmoid(others.pop(0))
                seen = [r * one for one in seen]
            (of_c,) = self.convs.read("candidate", concat(seen), projected, weights)
        c = self.activation(of_c)
        if of_u is None:
            of_u = convolve(concat([*hw, c]), weights["update"])
            of_u = tf.nn.bias_add(of_u, weights["update_bias"])
        h = _blend(of_u, hw, c)
        return h, h, warp_weights

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "read_gate": self.read_gate}


def _blend(logits: tf.Tensor, warped: list[tf.Tensor], candidate: tf.Tensor) -> tf.Tensor:
    """Mix the warped states and the candidate by the update gates."""
    parts = tf.split(logits, len(warped), axis=-1)
    gates = tf.nn.softmax(tf.stack([*parts, tf.zeros_like(candidate)]), axis=0)
    return tf.reduce_sum(gates * tf.stack([*warped, candidate]), axis=0)
