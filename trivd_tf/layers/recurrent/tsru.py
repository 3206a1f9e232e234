"""The transformation-based spatial recurrent units (paper, Sec. 3.2)."""

from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers.recurrent.base import (
    FusedConvs,
    Structure,
    concat,
    concat_biases,
    convolve,
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

    Args:
        channels: width of h.
        variant: "c", "p" or "s".
        **kwargs: arguments of `TransformingCell` (PTSRU: `pixelwise=True`) and `RecurrentCell`.

    Raises:
        ValueError: unknown variant, or several warps (see `ExtendedTSRU`).

    Example:
        >>> import numpy as np
        >>> unit = TSRU(4, variant="s")
        >>> state = unit.initial_state(np.zeros([2, 8, 8, 4], np.float32))  # [B, H, W, channels]
        >>> output, state = unit(np.ones([2, 8, 8, 3], np.float32), state)
        >>> output.shape
        TensorShape([2, 8, 8, 4])
    """

    def __init__(self, channels: int, *, variant: str = "p", **kwargs: Any):
        super().__init__(channels, **kwargs)
        if variant not in ("c", "p", "s"):
            raise ValueError(f'variant must be "c", "p" or "s". Received: variant={variant!r}.')
        self.variant = variant
        self.check_options()

    def check_options(self) -> None:
        """Raise ValueError for options that only `ExtendedTSRU` accepts."""
        if self.num_warps != 1:
            raise ValueError(
                f"TSRU warps its state once; ExtendedTSRU takes num_warps={self.num_warps}."
            )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        h, x = self.channels, width_of(input_shape)
        self.transform.build((None, None, None, h + x))
        self.candidate = self.make_conv("candidate", h, h + x)
        self.update = self.make_conv("update", h, 2 * h if self.variant == "s" else h + x)
        f, c, u = self.transform.input_convs, self.candidate, self.update
        if self.variant == "c":
            self.convs = FusedConvs(h=(h, [*f, u]), hw=(h, [c]))
        elif self.variant == "p":
            self.convs = FusedConvs(h=(h, [*f, u, c]))
        else:
            self.convs = FusedConvs(h=(h, f), hw=(h, [c]))
        self.built = True

    def normalized_weights(self) -> Structure:
        weights = {
            "transform": self.transform.normalized_weights(),
            **self.convs.normalized_weights(),
        }
        if self.variant == "s":
            weights["update"] = self.update.normalized_kernel()
            weights["update_bias"] = concat_biases([self.update], self.compute_dtype)
        return weights

    def project(self, inputs: tf.Tensor, weights: Structure) -> Structure:
        return self.convs.project(inputs, weights)

    def step(
        self, projected: Structure, state: tf.Tensor, weights: Structure
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        h, rho, s = state, self.activation, tf.sigmoid

        def convs_of(name: str, a: tf.Tensor) -> list[tf.Tensor]:  # W [a; x] + b
            return self.convs.read(name, a, projected, weights)

        def warp(of_f: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            (hw,), warp_weights = self.warp_states(h, of_f, weights["transform"])
            return hw, warp_weights

        if self.variant == "c":
            *of_f, of_u = convs_of("h", h)
            hw, warp_weights = warp(of_f)
            (of_c,) = convs_of("hw", hw)
            c, u = rho(of_c), s(of_u)
        elif self.variant == "p":
            *of_f, of_u, of_c = convs_of("h", h)
            hw, warp_weights = warp(of_f)
            c, u = rho(of_c), s(of_u)
        else:
            hw, warp_weights = warp(convs_of("h", h))
            (of_c,) = convs_of("hw", hw)
            c = rho(of_c)
            of_u = convolve(concat([hw, c]), weights["update"])
            u = s(tf.nn.bias_add(of_u, weights["update_bias"]))
        h = c + u * (hw - c)  # u * hw + (1 - u) * c, with a single product
        return h, h, warp_weights

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "variant": self.variant}
