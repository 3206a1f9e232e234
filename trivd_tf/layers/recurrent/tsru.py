"""The transformation-based spatial recurrent units (paper, Sec. 3.2)."""

from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers.recurrent.base import (
    Structure,
    convolve,
    convolve_over_time,
    joined,
    joined_biases,
    split_kernels,
    width_of,
)
from trivd_tf.layers.recurrent.transforming import TransformingCell


@keras.saving.register_keras_serializable("trivd_tf")
class TSRU(TransformingCell):
    """TSRU and PTSRU in the variants c, p and s (paper, Sec. 3.2).

        hw = w(h; f(h, x))
        h' = u * hw + (1 - u) * c

        c:  c = rho(W_c [hw; x])    u = s(W_u [h; x])
        p:  c = rho(W_c [h; x])     u = s(W_u [h; x])
        s:  c = rho(W_c [hw; x])    u = s(W_u [hw; c])

    Beyond the paper: with L = `num_warps` > 1, hw in these equations is [hw_1; ...; hw_L], W_u has
    L outputs a channel, and h' = sum of u_l * hw_l + (1 - sum of u_l) * c, where the u_l are the
    softmax of those outputs and a 0 (for L = 1 this is the sigmoid). With `read_gate`,
    r = s(W_r [h; x]) multiplies the state that the candidate reads.

    Args:
        channels: width of h.
        variant: "c", "p" or "s".
        read_gate: add ConvGRU's read gate.
        **kwargs: `TransformingCell`'s and `RecurrentCell`'s.
    """

    def __init__(
        self, channels: int, *, variant: str = "p", read_gate: bool = False, **kwargs: Any
    ):
        super().__init__(channels, **kwargs)
        if variant not in ("c", "p", "s"):
            raise ValueError(f'variant must be "c", "p" or "s". Received: variant={variant!r}.')
        self.variant = variant
        self.read_gate = read_gate

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width, inputs = self.channels, width_of(input_shape)
        warped = self.num_warps * width
        self.transform.build((None, None, None, width + inputs))
        self.candidate = self.make_conv(
            "candidate", width, (width if self.variant == "p" else warped) + inputs
        )
        self.update = self.make_conv(
            "update", warped, warped + width if self.variant == "s" else width + inputs
        )
        self.read = self.make_conv("read", width, width + inputs) if self.read_gate else None
        self.built = True

    @property
    def _early(self) -> list[Any]:
        """The convolutions of [h; x], which run before the warp."""
        early = [*self.transform.entries]
        if self.variant != "s":
            early.append(self.update)
        if self.read is not None:
            early.append(self.read)
        if self._candidate_is_early:
            early.append(self.candidate)
        return early

    @property
    def _candidate_is_early(self) -> bool:
        return self.variant == "p" and self.read is None

    def normalized_weights(self) -> Structure:
        early = self._early
        of_state, of_inputs = split_kernels(early, self.channels)
        weights = {"transform": self.transform.normalized_weights(), "early": joined(of_state)}
        biases = early
        if not self._candidate_is_early:
            kernel = self.candidate.normalized_kernel()
            seen = kernel.shape[2] - (self.transform.entries[0].kernel.shape[2] - self.channels)
            weights["candidate"] = kernel[:, :, :seen]
            of_inputs.append(kernel[:, :, seen:])
            biases = [*early, self.candidate]
        if self.variant == "s":
            kernel = self.update.normalized_kernel()
            warped = self.num_warps * self.channels
            weights["update_of_warped"] = kernel[:, :, :warped]
            weights["update_of_candidate"] = kernel[:, :, warped:]
            weights["update_bias"] = joined_biases([self.update], self.compute_dtype)
        weights["inputs"] = joined(of_inputs)
        weights["bias"] = joined_biases(biases, self.compute_dtype)
        return weights

    def project(self, inputs: tf.Tensor, weights: Structure) -> Structure:
        projected = convolve_over_time(inputs, weights["inputs"], weights["bias"])
        if self._candidate_is_early:
            return (projected,)
        early = weights["early"].shape[-1]
        return tuple(tf.split(projected, [early, self.channels], axis=-1))

    def step(
        self, projected: Structure, state: tf.Tensor, weights: Structure
    ) -> tuple[tf.Tensor, tf.Tensor, Any]:
        early = self._early
        outputs = tf.split(
            projected[0] + convolve(state, weights["early"]),
            [layer.filters for layer in early],
            axis=-1,
        )
        by_layer = dict(zip([layer.name for layer in early], outputs, strict=True))
        entries = [by_layer[layer.name] for layer in self.transform.entries]
        warped, warp_weights = self.warp_state(state, entries, weights["transform"])

        if self._candidate_is_early:
            candidate_logits = by_layer["candidate"]
        else:
            seen = [state] if self.variant == "p" else warped
            if self.read is not None:
                r = tf.sigmoid(by_layer["read"])
                seen = [r * one for one in seen]
            candidate_logits = projected[1] + convolve(joined(seen), weights["candidate"])
        c = self.activation(candidate_logits)

        if self.variant == "s":
            update_logits = convolve(joined(warped), weights["update_of_warped"])
            update_logits += convolve(c, weights["update_of_candidate"])
            update_logits = tf.nn.bias_add(update_logits, weights["update_bias"])
        else:
            update_logits = by_layer["update"]
        state = _blend(update_logits, warped, c)
        return state, state, warp_weights

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "variant": self.variant, "read_gate": self.read_gate}


def _blend(logits: tf.Tensor, warped: list[tf.Tensor], candidate: tf.Tensor) -> tf.Tensor:
    """Mixes the warped states and the candidate by the update gates."""
    if len(warped) == 1:
        return candidate + tf.sigmoid(logits) * (warped[0] - candidate)
    parts = tf.split(logits, len(warped), axis=-1)
    gates = tf.nn.softmax(tf.stack([*parts, tf.zeros_like(candidate)]), axis=0)
    return tf.reduce_sum(gates * tf.stack([*warped, candidate]), axis=0)
