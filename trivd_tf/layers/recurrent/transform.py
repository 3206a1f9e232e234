"""The transform network f, from [h; x] to warp weights (paper, Sec. 3.2 and appendix F).

Both networks begin with convolutions of [h; x], their *input convolutions*. A unit runs these fused
with its own gates and passes their outputs to `warp_weights`, which computes the rest.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers.recurrent.base import Structure, convolve, softmax, width_of
from trivd_tf.layers.spectral_norm import SpectralConv2D, SpectralDense, SpectralLayer
from trivd_tf.ops import warp

_KERNEL_AXES = {"taps": 1, "kernels": 2}  # axes of [B, k*k, N]
_POOLED = 4  # rows and columns left by the adaptive max-pool


class TransformNetwork(keras.layers.Layer):
    """Base of both transform networks.

    Args:
        warp_size: k; a warp looks at k x k displacements.
        num_warps: L, the number of predicted warps.
        kernel_size: kernel size of the convolutions.
        spectral_norm: divide every kernel by its first singular value.
        epsilon: lower bound of that divisor.
    """

    input_convs: list[SpectralConv2D]

    def __init__(
        self,
        *,
        warp_size: int = 3,
        num_warps: int = 1,
        kernel_size: int = 3,
        spectral_norm: bool = True,
        epsilon: float = 1e-4,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if warp_size < 1 or num_warps < 1:
            raise ValueError(
                "warp_size and num_warps must be at least 1. "
                f"Received: warp_size={warp_size}, num_warps={num_warps}."
            )
        self.warp_size = warp_size
        self.num_warps = num_warps
        self.kernel_size = kernel_size
        self.spectral_norm = spectral_norm
        self.epsilon = epsilon

    @property
    def taps(self) -> int:
        """Number of taps, k*k."""
        return self.warp_size**2

    def normalized_weights(self) -> Structure:
        """Return the weights of the layers after the input convolutions."""
        raise NotImplementedError

    def warp_weights(self, features: Sequence[tf.Tensor], weights: Structure) -> list[tf.Tensor]:
        """Map the input convolutions' outputs to L warp weights, each `[B, H, W, k*k]`."""
        raise NotImplementedError

    def _layer(self, kind: type, name: str, width: int, inputs: int, **kwargs: Any) -> Any:
        layer: SpectralLayer = kind(
            width,
            spectral_norm=self.spectral_norm,
            epsilon=self.epsilon,
            name=name,
            dtype=self.dtype_policy,
            **kwargs,
        )
        layer.build((None, inputs))
        return layer

    def _conv(self, name: str, filters: int, inputs: int) -> SpectralConv2D:
        return self._layer(SpectralConv2D, name, filters, inputs, kernel_size=self.kernel_size)

    def _dense(self, name: str, units: int, inputs: int) -> SpectralDense:
        return self._layer(SpectralDense, name, units, inputs)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "warp_size": self.warp_size,
            "num_warps": self.num_warps,
            "kernel_size": self.kernel_size,
            "spectral_norm": self.spectral_norm,
            "epsilon": self.epsilon,
        }


@keras.saving.register_keras_serializable("trivd_tf")
class FactorizedTransform(TransformNetwork):
    """Predicts N kernels per sample and a map that selects among them at each pixel.

        S = softmax(conv(C -> N))
        w = softmax over taps of dense(dense(max-pool to 4 x 4 of relu(conv(C -> C/2))))
        W[i, j, q] = sum over l of S[i, j, l] w[q, l]

    Args:
        num_kernels: N; k*k if None.
        dense_width: width of the hidden dense layer: "half_channels" (C/2) or "half_flattened"
            (half of the flattened pooled features), or a number.
        kernel_softmax: over the "taps" of each kernel, or over the "kernels" at each tap.
        selection_softmax: over the "kernels" at each pixel, or over "space" for each kernel.
        **kwargs: arguments of `TransformNetwork`.
    """

    def __init__(
        self,
        *,
        num_kernels: int | None = None,
        dense_width: str | int = "half_channels",
        kernel_softmax: str = "taps",
        selection_softmax: str = "kernels",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if kernel_softmax not in _KERNEL_AXES or selection_softmax not in ("kernels", "space"):
            raise ValueError(
                'kernel_softmax must be "taps" or "kernels", selection_softmax "kernels" or '
                f'"space". Received: {kernel_softmax!r}, {selection_softmax!r}.'
            )
        if kernel_softmax == "kernels" and self.num_warps > 1:
            raise ValueError(
                f'kernel_softmax="kernels" is for one warp. Received: num_warps={self.num_warps}.'
            )
        self.kernel_softmax = kernel_softmax
        self.selection_softmax = selection_softmax
        if dense_width not in ("half_channels", "half_flattened") and not (
            isinstance(dense_width, int) and dense_width >= 1
        ):
            raise ValueError(
                'dense_width must be "half_channels", "half_flattened" or a number of units. '
                f"Received: dense_width={dense_width!r}."
            )
        self.num_kernels = self.taps if num_kernels is None else num_kernels
        self.dense_width = dense_width

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = width_of(input_shape)
        half = max(channels // 2, 1)
        flattened = _POOLED**2 * half
        names: dict[Any, Any] = {"half_channels": half, "half_flattened": flattened // 2}
        width = names.get(self.dense_width, self.dense_width)
        count = self.num_kernels * self.num_warps
        self.selection = self._conv("selection", count, channels)
        self.features = self._conv("features", half, channels)
        self.hidden = self._dense("hidden", width, flattened)
        self.kernels = self._dense("kernels", self.taps * count, width)
        self.input_convs = [self.selection, self.features]
        self.built = True

    def normalized_weights(self) -> Structure:
        return {"hidden": _dense_weights(self.hidden), "kernels": _dense_weights(self.kernels)}

    def warp_weights(self, features: Sequence[tf.Tensor], weights: Structure) -> list[tf.Tensor]:
        selection, pooled = features
        # Pool before the ReLU: the same result from fewer values.
        pooled = tf.nn.relu(adaptive_max_pool(pooled, _POOLED))
        flat = tf.reshape(pooled, [-1, math.prod(pooled.shape[1:])])
        kernels = _dense(tf.nn.relu(_dense(flat, weights["hidden"])), weights["kernels"])
        kernels = tf.reshape(kernels, [-1, self.taps, self.num_kernels * self.num_warps])
        kernels = softmax(kernels, axis=_KERNEL_AXES[self.kernel_softmax])
        return [
            warp.factorized_weights(kernels_of_one, self._shares(selection_of_one))
            for kernels_of_one, selection_of_one in zip(
                tf.split(kernels, self.num_warps, axis=-1),
                tf.split(selection, self.num_warps, axis=-1),
                strict=True,
            )
        ]

    def _shares(self, selection: tf.Tensor) -> tf.Tensor:
        if self.selection_softmax == "kernels":
            return softmax(selection, axis=-1)
        shape = tf.shape(selection)
        flat = tf.reshape(selection, [shape[0], shape[1] * shape[2], selection.shape[-1]])
        return tf.reshape(softmax(flat, axis=1), shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_kernels": self.num_kernels,
            "dense_width": self.dense_width,
            "kernel_softmax": self.kernel_softmax,
            "selection_softmax": self.selection_softmax,
        }


@keras.saving.register_keras_serializable("trivd_tf")
class PixelwiseTransform(TransformNetwork):
    """Predicts warp weights by convolutions: C -> C/2 -> C/4 -> k*k, softmax over the taps.

    Args:
        second_width: width of the second convolution: "half" of its input (C/4) or "same" (C/2),
            or a number.
        **kwargs: arguments of `TransformNetwork`.
    """

    def __init__(self, *, second_width: str | int = "half", **kwargs: Any):
        super().__init__(**kwargs)
        if second_width not in ("half", "same") and not (
            isinstance(second_width, int) and second_width >= 1
        ):
            raise ValueError(
                'second_width must be "half", "same" or a number of channels. '
                f"Received: second_width={second_width!r}."
            )
        self.second_width = second_width

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = width_of(input_shape)
        half = max(channels // 2, 1)
        names: dict[Any, Any] = {"half": max(half // 2, 1), "same": half}
        width = names.get(self.second_width, self.second_width)
        self.first = self._conv("first", half, channels)
        self.second = self._conv("second", width, half)
        self.third = self._conv("third", self.taps * self.num_warps, width)
        self.input_convs = [self.first]
        self.built = True

    def normalized_weights(self) -> Structure:
        return {"second": _dense_weights(self.second), "third": _dense_weights(self.third)}

    def warp_weights(self, features: Sequence[tf.Tensor], weights: Structure) -> list[tf.Tensor]:
        (hidden,) = features
        for name in ("second", "third"):
            kernel, bias = weights[name]
            hidden = tf.nn.bias_add(convolve(tf.nn.relu(hidden), kernel), bias)
        return [softmax(one, axis=-1) for one in tf.split(hidden, self.num_warps, axis=-1)]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "second_width": self.second_width}


def _dense_weights(layer: SpectralLayer) -> tuple[tf.Tensor, tf.Tensor]:
    return layer.normalized_kernel(), tf.cast(tf.convert_to_tensor(layer.bias), layer.compute_dtype)


def _dense(inputs: tf.Tensor, weights: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    kernel, bias = weights
    return tf.nn.bias_add(tf.linalg.matmul(inputs, kernel), bias)


def adaptive_max_pool(frames: tf.Tensor, size: int) -> tf.Tensor:
    """Max-pool a frame of any size to `size` x `size` cells.

    Output row i covers the input rows floor(i H / size) to ceil((i + 1) H / size); columns alike.

    Args:
        frames: `[B, H, W, C]`, H and W known when the graph is built.
        size: rows and columns of the output.

    Returns:
        `[B, size, size, C]`. If a cell contains its maximum several times, the gradient is shared
        equally.
    """
    height, width = frames.shape[1:3]
    if height is None or width is None:
        raise ValueError(
            "The transform network pools to 4 x 4 cells and needs the height and width of its "
            f"frames when it is built. Received: shape {tuple(frames.shape)}."
        )
    if height % size == 0 and width % size == 0:
        return _even_max_pool(frames, height // size, width // size)
    for axis, length in ((1, height), (2, width)):
        cells = [(i * length // size, -(-(i + 1) * length // size)) for i in range(size)]
        pieces = [
            frames[:, low:high] if axis == 1 else frames[:, :, low:high] for low, high in cells
        ]
        frames = tf.stack([tf.reduce_max(piece, axis) for piece in pieces], axis)
    return frames


def _even_max_pool(frames: tf.Tensor, rows: int, columns: int) -> tf.Tensor:
    """Max-pool over cells of `rows` x `columns` that tile the frame exactly.

    Not `tf.nn.max_pool2d`: with deterministic operations XLA rejects its gradient on every device.
    """
    _, height, width, channels = frames.shape

    @tf.custom_gradient
    def pool(frames: tf.Tensor) -> tuple[tf.Tensor, Any]:
        shape = [-1, height // rows, rows, width // columns, columns, channels]
        cells = tf.reshape(frames, shape)
        # One axis after the other: several times faster on CPU than both at once.
        maximum = tf.reduce_max(tf.reduce_max(cells, axis=4), axis=2)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            # `==` would compare objects in a TensorFlow 1 graph, which cost counting uses.
            is_maximum = tf.cast(tf.equal(cells, maximum[:, :, None, :, None]), upstream.dtype)
            count = tf.reduce_sum(tf.reduce_sum(is_maximum, axis=4), axis=2)
            shares = is_maximum * (upstream / count)[:, :, None, :, None]
            return tf.reshape(shares, tf.shape(frames))

        return maximum, gradient

    return pool(frames)
