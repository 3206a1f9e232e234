"""Base of all recurrent units: protocol, options and fused convolutions.

A unit has two interfaces. As a Keras layer it runs one step with its current weights:
`cell(inputs, state) -> (output, state)`. `unroll` runs it over time without repeating the same work
at every step, by splitting a step into three parts:

    weights = cell.normalized_weights()              once per forward pass
    projected = cell.project(inputs, weights)        once, over all T frames
    output, state, warp = cell.step(projected[t], state, weights)

A convolution of [h; x] is the convolution of h plus that of x. So each kernel is normalized whole
and then split along its input channels (`FusedConvs`). The parts that read x become one convolution
over all frames; the parts that read the same state tensor become one convolution per step.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers.spectral_norm import SpectralConv2D, SpectralLayer, spectral_layers
from trivd_tf.ops.warp import expected_flow

_GATES = ("read", "update", "input_gate", "forget_gate", "output_gate")

Structure = Any  # a tensor, or a tuple or dictionary of tensors


class RecurrentCell(keras.layers.Layer):
    """A convolutional recurrent unit (paper, Sec. 3.2).

    Args:
        channels: width of the output and of the encoding that the state starts from.
        activation: the candidate's activation, a name known to Keras.
        kernel_size: kernel size of the convolutions of h and x.
        spectral_norm: divide every kernel by its first singular value.
        epsilon: lower bound of that divisor.
        initial_gate_bias: initial bias of the gates' convolutions.
    """

    has_motion = False

    def __init__(
        self,
        channels: int,
        *,
        activation: str = "relu",
        kernel_size: int = 3,
        spectral_norm: bool = True,
        epsilon: float = 1e-4,
        initial_gate_bias: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if channels < 1:
            raise ValueError(f"channels must be at least 1. Received: channels={channels}.")
        self.channels = channels
        self.activation = keras.activations.get(activation)
        self.kernel_size = kernel_size
        self.spectral_norm = spectral_norm
        self.epsilon = epsilon
        self.initial_gate_bias = initial_gate_bias

    def initial_state(self, encoding: tf.Tensor) -> Structure:
        """Return the state before the first step, from an encoding `[B, H, W, channels]`."""
        encoding = tf.convert_to_tensor(encoding)
        if encoding.shape.rank != 4 or encoding.shape[-1] != self.channels:
            raise ValueError(
                f"{type(self).__name__} starts from an encoding [B, H, W, {self.channels}]. "
                f"Received: shape {tuple(encoding.shape)}."
            )
        return tf.cast(encoding, self.compute_dtype)

    def call(
        self, inputs: tf.Tensor, state: Structure, training: bool = False
    ) -> tuple[tf.Tensor, Structure]:
        """Run one step: `[B, H, W, Cx]` and a state -> (output `[B, H, W, channels]`, next state).

        With `training=True`, first run a power iteration of the unit's spectral norms.
        """
        self.iterate_if(training)
        weights = self.normalized_weights()
        projected = self.project(inputs[None], weights)
        now = tf.nest.map_structure(lambda part: part[0], projected)
        output, state, _ = self.step(now, state, weights)
        return output, state

    def iterate_if(self, training: bool | None) -> None:
        """Run one power iteration of all spectral norms in training, unless switched off."""
        for layer in spectral_layers(self) if training else ():
            layer.iterate_if(training)

    def normalized_weights(self) -> Structure:
        """Return every kernel, normalized and fused for `project` and `step`."""
        raise NotImplementedError

    def project(self, inputs: tf.Tensor, weights: Structure) -> Structure:
        """Compute the part of a step that depends on the inputs `[T, B, H, W, Cx]` alone."""
        raise NotImplementedError

    def step(
        self, projected: Structure, state: Structure, weights: Structure
    ) -> tuple[tf.Tensor, Structure, tf.Tensor | None]:
        """Run one step: (output, next state, warp weights `[B, H, W, k*k]` or None)."""
        raise NotImplementedError

    def flow(self, warp_weights: tf.Tensor) -> tf.Tensor:
        """Return the motion field `[B, H, W, 2]`, (dy, dx) in pixels to the source, of one step."""
        if not self.has_motion:
            raise ValueError(f"{type(self).__name__} does not warp its state: it has no motion.")
        return expected_flow(warp_weights)

    def make_conv(
        self, name: str, filters: int, input_channels: int, **options: Any
    ) -> SpectralConv2D:
        """Return a built convolution with this unit's options; `options` override them."""
        defaults = {
            "kernel_size": self.kernel_size,
            "spectral_norm": self.spectral_norm,
            "epsilon": self.epsilon,
        }
        layer = SpectralConv2D(
            filters, name=name, dtype=self.dtype_policy, **{**defaults, **options}
        )
        layer.build((None, None, None, input_channels))
        is_gate = name.removesuffix("_of_inputs") in _GATES
        if self.initial_gate_bias and is_gate and layer.bias is not None:
            with tf.init_scope():  # create the variables now, even while a graph is being traced
                layer.bias.assign(tf.fill(layer.bias.shape, self.initial_gate_bias))
        return layer

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "channels": self.channels,
            "activation": keras.activations.serialize(self.activation),
            "kernel_size": self.kernel_size,
            "spectral_norm": self.spectral_norm,
            "epsilon": self.epsilon,
            "initial_gate_bias": self.initial_gate_bias,
        }


def width_of(input_shape: tuple[int | None, ...]) -> int:
    """The number of channels of inputs `[B, H, W, Cx]`."""
    if input_shape[-1] is None:
        raise ValueError(
            "A recurrent unit needs inputs with a known number of channels. "
            f"Received: shape {tuple(input_shape)}."
        )
    return input_shape[-1]


def convolve(frames: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolve `[B, H, W, cin]` by `[k, k, cin, cout]`: zero padding, no bias."""
    return tf.nn.conv2d(frames, kernel, strides=1, padding="SAME")


def convolve_over_time(
    frames: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None = None
) -> tf.Tensor:
    """Apply `convolve` to every frame of `[T, B, H, W, cin]` at once, plus a bias."""
    shape = tf.shape(frames)
    outputs = convolve(tf.reshape(frames, tf.concat([[-1], shape[2:]], 0)), kernel)
    if bias is not None:
        outputs = tf.nn.bias_add(outputs, bias)
    outputs = tf.reshape(outputs, tf.concat([shape[:4], kernel.shape[-1:]], 0))
    return tf.ensure_shape(outputs, [*frames.shape[:-1], kernel.shape[-1]])


class FusedConvs:
    """Fused convolutions of [a; x] for one or several tensors a.

    The parts that read x run before the time loop, over all frames at once (`project`). The parts
    that read the same a run as one convolution per step (`read`).

    Args:
        **groups: name of each a -> (its width, the built convolutions of [a; x]).

    Example: `FusedConvs(h=(channels, [read, update]), rh=(channels, [candidate]))`.
    """

    def __init__(self, **groups: tuple[int, Sequence[SpectralConv2D]]):
        self._groups = groups

    @property
    def _convs(self) -> list[SpectralConv2D]:
        return [conv for _, convs in self._groups.values() for conv in convs]

    def normalized_weights(self) -> Structure:
        """Return the kernel of x ("inputs"), its bias ("bias") and the kernel of each a by name."""
        weights: dict[str, tf.Tensor] = {}
        of_inputs = []
        for name, (width, convs) in self._groups.items():
            kernels = [conv.normalized_kernel() for conv in convs]
            weights[name] = concat([kernel[:, :, :width] for kernel in kernels])
            of_inputs += [kernel[:, :, width:] for kernel in kernels]
        dtype = self._convs[0].compute_dtype
        return {**weights, "inputs": concat(of_inputs), "bias": concat_biases(self._convs, dtype)}

    def project(self, inputs: tf.Tensor, weights: Structure) -> Structure:
        """Return the contribution of x `[T, B, H, W, Cx]` and the biases, by the name of each a."""
        projected = convolve_over_time(inputs, weights["inputs"], weights["bias"])
        widths = [sum(conv.filters for conv in convs) for _, convs in self._groups.values()]
        return dict(zip(self._groups, tf.split(projected, widths, axis=-1), strict=True))

    def read(
        self, name: str, a: tf.Tensor, projected: Structure, weights: Structure
    ) -> list[tf.Tensor]:
        """Return W [a; x] + b at one step, `[B, H, W, filters]` for each convolution of this a."""
        _, convs = self._groups[name]
        outputs = projected[name] + convolve(a, weights[name])
        return tf.split(outputs, [conv.filters for conv in convs], axis=-1)


def concat(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Concatenate along the last axis."""
    return tensors[0] if len(tensors) == 1 else tf.concat(tensors, axis=-1)


def concat_biases(layers: Sequence[SpectralLayer], dtype: str) -> tf.Tensor:
    """Concatenate all biases of `layers`, as the bias of the fused convolution."""
    return concat([tf.cast(tf.convert_to_tensor(layer.bias), dtype) for layer in layers])


def softmax(logits: tf.Tensor, axis: int) -> tf.Tensor:
    """Softmax in at least float32, so that probabilities sum to one in bfloat16 too."""
    wide = tf.cast(logits, tf.float32) if logits.dtype.size < 4 else logits
    return tf.cast(tf.nn.softmax(wide, axis=axis), logits.dtype)
