"""Base of the units that warp their state with a predicted transform."""

from typing import Any

import tensorflow as tf

from trivd_tf.layers.recurrent.base import RecurrentCell, Structure
from trivd_tf.layers.recurrent.transform import (
    FactorizedTransform,
    PixelwiseTransform,
    TransformNetwork,
)
from trivd_tf.ops import warp


class TransformingCell(RecurrentCell):
    """A unit that warps its state by the warps that a transform network f predicts from [h; x].

    Args:
        channels: width of h.
        pixelwise: predict warp weights at each pixel instead of factorized ones.
        warp_size: k; the warp looks at k x k displacements.
        num_kernels: N of the factorized warp; k*k if None.
        dense_width: width option of the factorized transform network.
        second_width: width option of the pixelwise transform network.
        num_warps: L, how many warped states f predicts.
        warp_edges: values that a warp reads outside the frame: "zeros", or "replicate" for the
            nearest pixel.
        kernel_softmax, selection_softmax: options of the factorized transform network.
        **kwargs: arguments of `RecurrentCell`.
    """

    has_motion = True

    def __init__(
        self,
        channels: int,
        *,
        pixelwise: bool = False,
        warp_size: int = 3,
        num_kernels: int | None = None,
        dense_width: str | int = "half_channels",
        second_width: str | int = "half",
        num_warps: int = 1,
        warp_edges: str = "zeros",
        kernel_softmax: str = "taps",
        selection_softmax: str = "kernels",
        **kwargs: Any,
    ):
        super().__init__(channels, **kwargs)
        self.pixelwise = pixelwise
        self.warp_size = warp_size
        self.num_kernels = num_kernels
        self.dense_width = dense_width
        self.second_width = second_width
        self.num_warps = num_warps
        if warp_edges not in ("zeros", "replicate"):
            raise ValueError(
                f'warp_edges must be "zeros" or "replicate". Received: warp_edges={warp_edges!r}.'
            )
        self.warp_edges = warp_edges
        self.kernel_softmax = kernel_softmax
        self.selection_softmax = selection_softmax
        # Created here, so that a wrong option is reported before the first call.
        self.transform = self._make_transform()

    def _make_transform(self) -> TransformNetwork:
        common: dict[str, Any] = {
            "warp_size": self.warp_size,
            "num_warps": self.num_warps,
            "kernel_size": self.kernel_size,
            "spectral_norm": self.spectral_norm,
            "epsilon": self.epsilon,
            "name": "transform",
            "dtype": self.dtype_policy,
        }
        if self.pixelwise:
            return PixelwiseTransform(second_width=self.second_width, **common)
        return FactorizedTransform(
            num_kernels=self.num_kernels,
            dense_width=self.dense_width,
            kernel_softmax=self.kernel_softmax,
            selection_softmax=self.selection_softmax,
            **common,
        )

    def warp_states(
        self, state: tf.Tensor, features: list[tf.Tensor], weights: Structure
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Compute w(h; f(h, x)): the L warped states, and the mean of their warp weights.

        Args:
            state: h, `[B, H, W, channels]`.
            features: outputs of the transform network's input convolutions of [h; x].
            weights: weights of the transform network, from `normalized_weights`.
        """
        warps = self.transform.warp_weights(features, weights)
        warped = [warp.pixelwise_warp(state, one, edges=self.warp_edges) for one in warps]
        return warped, warps[0] if len(warps) == 1 else tf.add_n(warps) / len(warps)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pixelwise": self.pixelwise,
            "warp_size": self.warp_size,
            "num_kernels": self.num_kernels,
            "dense_width": self.dense_width,
            "second_width": self.second_width,
            "num_warps": self.num_warps,
            "warp_edges": self.warp_edges,
            "kernel_softmax": self.kernel_softmax,
            "selection_softmax": self.selection_softmax,
        }
