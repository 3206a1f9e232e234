"""Batch norm with independent statistics for each time step (docs/architecture.md, section 2).

Inputs are time-major, `[T, B, H, W, C]`. Moments are taken over batch and space, over all replicas,
never over time, and so have shape `[T, C]`. Gain and offset are shared over time.

`training=True` normalizes with the batch's moments. `training=False` uses the standing statistics:
the mean moments of the batches seen since `reset_standing_statistics`, collected by forward passes
inside `collecting_standing_statistics` (docs/architecture.md, section 6). Until then they are 0
and 1.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers import islands
from trivd_tf.layers.spectral_norm import SpectralDense, power_iteration_in_training
from trivd_tf.layers.state import replicated_state
from trivd_tf.layers.walk import sublayers


def synchronized_moments(frames: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return float32 mean and variance over batch and space, across all replicas.

    Args:
        frames: `[T, B, H, W, C]`; every replica holds the same number of samples.

    Returns:
        Two `[T, C]` tensors: mean and biased variance.
    """
    shape = tf.shape(frames)
    rows = tf.reshape(frames, [shape[0], -1, frames.shape[-1]])
    if rows.dtype not in (tf.float32, tf.float64):
        rows = tf.cast(rows, tf.float32)
    mean = tf.reduce_mean(rows, axis=1)
    variance = tf.reduce_mean(tf.square(rows - mean[:, None]), axis=1)
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return mean, variance
    # Two small reductions instead of one of squares: no cancellation where |mean| >> deviation.
    global_mean = replica.all_reduce(tf.distribute.ReduceOp.MEAN, mean)
    variance = replica.all_reduce(
        tf.distribute.ReduceOp.MEAN, variance + tf.square(mean - global_mean)
    )
    return global_mean, variance


@keras.saving.register_keras_serializable("trivd_tf")
class PerStepBatchNorm(keras.layers.Layer):
    """`y[t] = gain * (x[t] - mean[t]) / sqrt(variance[t] + eps) + offset`, per channel.

    With `conditional=True`, gain and offset are computed per sample from a condition vector:
    `gain = 1 + W_g cond`, `offset = W_b cond`. Both maps have no bias and are spectrally
    normalized.

    Args:
        num_steps: T, the number of time steps with separate statistics.
        conditional: compute gain and offset from the condition; otherwise learn them per channel.
        epsilon: added to the variance.
        spectral_norm: normalize the conditional maps.
    """

    def __init__(
        self,
        num_steps: int,
        *,
        conditional: bool = True,
        epsilon: float = 1e-4,
        spectral_norm: bool = True,
        spectral_epsilon: float = 1e-4,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_steps = num_steps
        self.conditional = conditional
        self.epsilon = epsilon
        self.spectral_norm = spectral_norm
        self.spectral_epsilon = spectral_epsilon
        self._collecting = False

    @property
    def is_collecting(self) -> bool:
        """Whether forward passes with `training=True` add to the standing statistics."""
        return self._collecting

    def build(
        self,
        frames_shape: tuple[int | None, ...],
        condition_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        channels = int(frames_shape[-1] or 0)
        if self.conditional:
            options: dict[str, Any] = {
                "use_bias": False,
                "spectral_norm": self.spectral_norm,
                "epsilon": self.spectral_epsilon,
                "dtype": self.dtype_policy,
            }
            self.gain = SpectralDense(channels, name="gain", **options)
            self.offset = SpectralDense(channels, name="offset", **options)
            if condition_shape is None:
                raise ValueError("A conditional batch norm needs a condition [B, D].")
            self.gain.build(condition_shape)
            self.offset.build(condition_shape)
        else:
            self.gain = self.add_weight(
                name="gain", shape=(channels,), initializer="ones", autocast=False
            )
            self.offset = self.add_weight(
                name="offset", shape=(channels,), initializer="zeros", autocast=False
            )
        shape = (self.num_steps, channels)
        self.standing_mean = replicated_state(self, "standing_mean", shape, "zeros")
        self.standing_variance = replicated_state(self, "standing_variance", shape, "ones")
        self.standing_batches = replicated_state(self, "standing_batches", (), "zeros")
        self.built = True

    def call(
        self, frames: tf.Tensor, condition: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        """Normalize `[T, B, H, W, C]`; `condition` is `[B, D]` (conditional only)."""
        return islands.island(self._normalize)(frames, condition, training)

    def _normalize(
        self, frames: tf.Tensor, condition: tf.Tensor | None, training: bool
    ) -> tf.Tensor:
        if training:
            mean, variance = synchronized_moments(frames)
            if self._collecting:
                self._collect(mean, variance)
        else:
            mean = tf.convert_to_tensor(self.standing_mean)
            variance = tf.convert_to_tensor(self.standing_variance)
        # One multiply-add over the frames: scale and shift are [T, B or 1, 1, 1, C].
        deviation = tf.math.rsqrt(variance + self.epsilon)
        gain, offset = self._gain_and_offset(condition, mean.dtype)
        scale = gain * deviation[:, None]
        shift = offset - scale * mean[:, None]
        scale = tf.cast(scale, frames.dtype)[:, :, None, None]
        return frames * scale + tf.cast(shift, frames.dtype)[:, :, None, None]

    def _gain_and_offset(
        self, condition: tf.Tensor | None, dtype: tf.DType
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if not self.conditional:
            gain, offset = tf.convert_to_tensor(self.gain), tf.convert_to_tensor(self.offset)
            return tf.cast(gain, dtype)[None, None], tf.cast(offset, dtype)[None, None]
        gain = 1.0 + tf.cast(self.gain(condition), dtype)
        return gain[None], tf.cast(self.offset(condition), dtype)[None]

    def _collect(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        """Add one batch's moments to the running mean of all batches since the reset."""
        seen = tf.convert_to_tensor(self.standing_batches)
        share = 1.0 / (seen + 1.0)
        old_mean = tf.convert_to_tensor(self.standing_mean)
        old_variance = tf.convert_to_tensor(self.standing_variance)
        self.standing_mean.assign(old_mean + (mean - old_mean) * share)
        self.standing_variance.assign(old_variance + (variance - old_variance) * share)
        self.standing_batches.assign(seen + 1.0)

    def reset_standing_statistics(self) -> None:
        """Set mean 0 and variance 1; the first collected batch replaces both."""
        self.standing_mean.assign(tf.zeros(self.standing_mean.shape, self.standing_mean.dtype))
        self.standing_variance.assign(
            tf.ones(self.standing_variance.shape, self.standing_variance.dtype)
        )
        self.standing_batches.assign(tf.zeros((), self.standing_batches.dtype))

    def compute_output_shape(
        self, frames_shape: tuple[int | None, ...], *_: Any
    ) -> tuple[int | None, ...]:
        return frames_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_steps": self.num_steps,
            "conditional": self.conditional,
            "epsilon": self.epsilon,
            "spectral_norm": self.spectral_norm,
            "spectral_epsilon": self.spectral_epsilon,
        }


def batch_norm_layers(root: keras.layers.Layer) -> Iterator[PerStepBatchNorm]:
    """Iterate over every per-step batch norm in `root`, in a fixed order."""
    yield from sublayers(root, PerStepBatchNorm)


def reset_standing_statistics(root: keras.layers.Layer) -> None:
    """Reset the standing statistics of every batch norm in `root`."""
    for layer in batch_norm_layers(root):
        layer.reset_standing_statistics()


@contextlib.contextmanager
def collecting_standing_statistics(root: keras.layers.Layer) -> Iterator[None]:
    """Make forward passes with `training=True` add to the standing statistics.

    Applies to calls run or traced inside the context. Spectral norms are not updated.
    """
    layers = list(batch_norm_layers(root))
    for layer in layers:
        layer._collecting = True
    try:
        with power_iteration_in_training(root, False):
            yield
    finally:
        for layer in layers:
            layer._collecting = False
