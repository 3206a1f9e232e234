"""Spectrally normalized layers: `W / max(sigma(W), eps)`, with sigma the first singular value.

Each kernel, read as a matrix `[everything else, output channels]`, has a non-trainable unit vector
`u` (length: output channels). A forward pass computes

    v = W u / |W u|,    sigma = v^T W u,    W_normalized = W / max(sigma, eps)

with the gradient stopped through u and v (docs/architecture.md, section 6). One power
iteration is `u <- W^T v / |W^T v|`.

In any Keras model, a call with `training=True` (as in `fit`) begins with one power iteration. This
package's train step instead calls `power_iterate(model)` once per update of a network and disables
the automatic iteration (`set_power_iteration`). A discriminator then uses the same weights for real
and predicted videos, and a generator that is not being updated does not change.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers import islands
from trivd_tf.layers.state import replicated_state
from trivd_tf.layers.walk import sublayers

_POWER_ITERATIONS_AT_START = 3


def as_matrix(kernel: tf.Tensor) -> tf.Tensor:
    """Reshape any kernel, output axis last, to the matrix `[kh kw cin, cout]`."""
    return tf.reshape(kernel, [-1, kernel.shape[-1]])


def _unit(vector: tf.Tensor) -> tf.Tensor:
    return vector * tf.math.rsqrt(tf.maximum(tf.reduce_sum(vector * vector), 1e-24))


def _column(vector: tf.Tensor) -> tf.Tensor:
    """`[n] -> [n, 1]`. `tf.linalg.matvec` would do this, and undo it, at every product."""
    return tf.reshape(vector, [-1, 1])


def _product(matrix: tf.Tensor, column: tf.Tensor, *, transpose: bool = False) -> tf.Tensor:
    """Multiply `matrix`, or its transpose, by a column; returns a column."""
    if not islands.are_compiled():
        return tf.matmul(matrix, column, transpose_a=transpose)
    # XLA turns this into one pass over the matrix, with no product to autotune for each shape.
    if transpose:
        return _column(tf.reduce_sum(matrix * column, axis=0))
    return tf.reduce_sum(matrix * tf.reshape(column, [1, -1]), axis=1, keepdims=True)


def singular_value(kernel: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
    """Estimate the first singular value of `kernel` from `u`; differentiable in `kernel` only.

    Args:
        kernel: any shape, output axis last.
        u: `[cout]`, unit length, close to the first right singular vector.

    Returns:
        A scalar, `v^T W u` with `v = W u / |W u|` (no gradient through u and v).
    """
    matrix = as_matrix(kernel)
    product = _product(matrix, _column(tf.stop_gradient(u)))
    v = tf.stop_gradient(_unit(product))
    return tf.reduce_sum(v * product)


def next_u(kernel: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
    """Run one power iteration, `u <- unit(W^T unit(W u))`; u is unchanged if that is 0."""
    matrix, column = as_matrix(kernel), _column(u)
    v = _unit(_product(matrix, column))
    product = _product(matrix, v, transpose=True)
    return tf.reshape(tf.where(tf.reduce_any(product != 0), _unit(product), column), u.shape)


class SpectralLayer(keras.layers.Layer):
    """Base of layers with one spectrally normalized kernel and an optional bias.

    Args:
        use_bias: add a bias, initialized to 0.
        spectral_norm: divide the kernel by its first singular value.
        epsilon: lower bound of the divisor.
        kernel_initializer: initializer of the raw kernel, seen as the matrix `[kh kw cin, cout]`.
    """

    def __init__(
        self,
        *,
        use_bias: bool = True,
        spectral_norm: bool = True,
        epsilon: float = 1e-4,
        kernel_initializer: Any = "orthogonal",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.use_bias = use_bias
        self.spectral_norm = spectral_norm
        self.epsilon = epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias: keras.Variable | None = None
        self.u: keras.Variable | None = None
        # Whether a call with training=True runs a power iteration; see `set_power_iteration`.
        self.iterates_in_training = True

    def add_kernel(self, shape: tuple[Any, ...]) -> None:
        """Create kernel, `u` and bias; `u` starts near the first singular vector."""
        with tf.init_scope():
            start, u = self._initial_values(shape)
        self.kernel = self.add_weight(
            name="kernel", shape=shape, initializer=lambda *_, **__: start, autocast=False
        )
        if self.spectral_norm:
            self.u = replicated_state(self, "spectral_u", shape[-1:], lambda *_, **__: u)
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=shape[-1:], initializer="zeros", autocast=False
            )

    def _initial_values(self, shape: tuple[Any, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        """Kernel and `u`, zeros inside a `tf.Graph`: Keras 3 never runs one, it is only counted."""
        if not tf.executing_eagerly():
            return tf.zeros(shape, self.variable_dtype), tf.zeros(shape[-1:], self.variable_dtype)
        start = tf.cast(self.kernel_initializer(shape), self.variable_dtype)
        u = _unit(tf.random.stateless_normal(shape[-1:], (0, shape[-1]), dtype=start.dtype))
        if self.spectral_norm:
            for _ in range(_POWER_ITERATIONS_AT_START):
                u = next_u(start, u)
        return start, u

    def singular_value(self) -> tf.Tensor:
        """Return the estimate of the kernel's first singular value, a scalar."""
        return singular_value(tf.convert_to_tensor(self.kernel), tf.convert_to_tensor(self.u))

    def normalized_kernel(self) -> tf.Tensor:
        """Return the kernel divided by its first singular value, in the layer's compute dtype."""
        prepared = _PREPARED.kernels.get(id(self))
        if prepared is not None:
            return prepared
        kernel = tf.convert_to_tensor(self.kernel)
        if self.spectral_norm:
            kernel = kernel / tf.maximum(self.singular_value(), self.epsilon)
        return tf.cast(kernel, self.compute_dtype)

    def iterate_if(self, training: bool | None) -> None:
        """Run one power iteration if the call is in training, unless switched off."""
        if training and self.iterates_in_training and self.u is not None:
            kernel = tf.convert_to_tensor(self.kernel)
            self.u.assign(next_u(kernel, tf.convert_to_tensor(self.u)))

    def add_bias(self, outputs: tf.Tensor) -> tf.Tensor:
        """Add the bias to `outputs`, if there is one."""
        if self.bias is None:
            return outputs
        return outputs + tf.cast(tf.convert_to_tensor(self.bias), outputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "use_bias": self.use_bias,
            "spectral_norm": self.spectral_norm,
            "epsilon": self.epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


@keras.saving.register_keras_serializable("trivd_tf")
class SpectralDense(SpectralLayer):
    """A linear map over the last axis: `[..., cin] -> [..., units]`."""

    def __init__(self, units: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.add_kernel((input_shape[-1], self.units))
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        self.iterate_if(training)
        return self.add_bias(tf.linalg.matmul(inputs, self.normalized_kernel()))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("trivd_tf")
class SpectralConv2D(SpectralLayer):
    """A convolution with stride 1 that keeps the size: `[B, H, W, cin] -> [B, H, W, filters]`."""

    rank = 2

    def __init__(self, filters: int, kernel_size: int = 3, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.add_kernel((*[self.kernel_size] * self.rank, input_shape[-1], self.filters))
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        self.iterate_if(training)
        return self.add_bias(self.convolve(inputs, self.normalized_kernel()))

    def convolve(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Convolve with a kernel that is already normalized."""
        return tf.nn.conv2d(inputs, kernel, strides=1, padding="SAME")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
        }


@keras.saving.register_keras_serializable("trivd_tf")
class SpectralConv3D(SpectralConv2D):
    """`SpectralConv2D` over space and time: `[B, T, H, W, cin] -> [B, T, H, W, filters]`."""

    rank = 3

    def convolve(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        frames = inputs.shape[1]
        if inputs.dtype == tf.bfloat16 and (frames is None or frames < self.kernel_size):
            # On CPU (TensorFlow 2.21, oneDNN) the kernel's bfloat16 gradient contains uninitialized
            # memory if there are 2 frames for 3 taps. Casting so few frames costs nothing.
            wide = tf.cast(inputs, tf.float32), tf.cast(kernel, tf.float32)
            return tf.cast(tf.nn.conv3d(*wide, strides=[1] * 5, padding="SAME"), inputs.dtype)
        return tf.nn.conv3d(inputs, kernel, strides=[1] * 5, padding="SAME")


@keras.saving.register_keras_serializable("trivd_tf")
class SpectralEmbedding(SpectralLayer):
    """A table of class vectors: int labels `[B] -> [B, units]`."""

    def __init__(self, num_classes: int, units: int, **kwargs: Any):
        super().__init__(use_bias=False, **kwargs)
        self.num_classes = num_classes
        self.units = units
        self.add_kernel((num_classes, units))
        self.built = True

    def call(self, labels: tf.Tensor, training: bool = False) -> tf.Tensor:
        self.iterate_if(training)
        # A matrix product, not a gather: its gradient is a dense tensor, also on TPU and over
        # replicas.
        kernel = self.normalized_kernel()
        return tf.linalg.matmul(tf.one_hot(labels, self.num_classes, dtype=kernel.dtype), kernel)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape, self.units)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "num_classes": self.num_classes, "units": self.units}
        del config["use_bias"]
        return config


def spectral_layers(root: keras.layers.Layer) -> Iterator[SpectralLayer]:
    """Iterate over every spectrally normalized layer in `root`, in a fixed order."""
    for layer in sublayers(root, SpectralLayer):
        if layer.u is not None:
            yield layer


def power_iterate(root: keras.layers.Layer, steps: int = 1) -> None:
    """Update every `u` in `root` by `steps` power iterations on the current weights."""
    layers = list(spectral_layers(root))

    def iterate() -> None:
        for layer in layers:
            kernel = tf.convert_to_tensor(layer.kernel)
            u = tf.convert_to_tensor(layer.u)
            for _ in range(steps):
                u = next_u(kernel, u)
            layer.u.assign(u)  # type: ignore[union-attr]

    islands.island(iterate)()


def set_power_iteration(root: keras.layers.Layer, in_training: bool) -> None:
    """Set whether calls of `root` with `training=True` run a power iteration themselves.

    Args:
        root: a layer or model with all its layers created.
        in_training: True as in any Keras model; False if `power_iterate` is called instead.
    """
    for layer in spectral_layers(root):
        layer.iterates_in_training = in_training


@contextlib.contextmanager
def power_iteration_in_training(root: keras.layers.Layer, in_training: bool) -> Iterator[None]:
    """Apply `set_power_iteration` inside the context and restore the previous setting after it."""
    before = [(layer, layer.iterates_in_training) for layer in spectral_layers(root)]
    set_power_iteration(root, in_training)
    try:
        yield
    finally:
        for layer, iterates in before:
            layer.iterates_in_training = iterates


class _Prepared(threading.local):
    """Normalized kernels by the `id` of their layer; each replica is traced in its own thread."""

    def __init__(self) -> None:
        self.kernels: dict[int, tf.Tensor] = {}


_PREPARED = _Prepared()


@contextlib.contextmanager
def using_kernels(layers: Sequence[SpectralLayer], kernels: Sequence[tf.Tensor]) -> Iterator[None]:
    """Make each of `layers` use its entry of `kernels` as normalized kernel inside the context."""
    before = _PREPARED.kernels
    own = {id(layer): kernel for layer, kernel in zip(layers, kernels, strict=True)}
    _PREPARED.kernels = before | own
    try:
        yield
    finally:
        _PREPARED.kernels = before


def prepared_layers(root: keras.layers.Layer) -> tuple[list[SpectralLayer], list[tf.Tensor]]:
    """Return the layers in `root` with prepared kernels in this context, and those kernels."""
    layers = [layer for layer in spectral_layers(root) if id(layer) in _PREPARED.kernels]
    return layers, [_PREPARED.kernels[id(layer)] for layer in layers]


@contextlib.contextmanager
def normalized_at_once(root: keras.layers.Layer) -> Iterator[None]:
    """Normalize all kernels of `root` in one operation, if islands are compiled.

    Weight changes inside the context have no effect on these kernels.
    """
    if not islands.are_compiled():
        yield
        return
    layers = list(spectral_layers(root))

    def normalized_kernels() -> list[tf.Tensor]:
        return [layer.normalized_kernel() for layer in layers]

    with using_kernels(layers, islands.island(normalized_kernels)()):
        yield
