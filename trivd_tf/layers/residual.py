"""Residual blocks used by all networks (docs/architecture.md, sections 2 and 5)."""

from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers.batch_norm import PerStepBatchNorm
from trivd_tf.layers.recompute import RecomputableLayer
from trivd_tf.layers.spectral_norm import SpectralConv2D, SpectralConv3D
from trivd_tf.ops import video


@tf.custom_gradient
def upsample_nearest(frames: tf.Tensor) -> tuple[tf.Tensor, Any]:
    """Upsample by 2, nearest neighbor: `[N, H, W, C] -> [N, 2H, 2W, C]`."""
    batch = tf.shape(frames)[0]
    height, width, channels = frames.shape[1:]

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        # The sum of 2 x 2 pixels. Pooling is several times faster than a sum over two axes.
        return 4.0 * tf.nn.avg_pool2d(upstream, 2, 2, "VALID")

    # Broadcast and reshape: faster than an image resize.
    wide = tf.broadcast_to(frames[:, :, None, :, None], [batch, height, 2, width, 2, channels])
    return tf.reshape(wide, [batch, 2 * height, 2 * width, channels]), gradient


def average_pool_3d(frames: tf.Tensor, time: int) -> tf.Tensor:
    """Average-pool `[B, T, H, W, C]` by `time` x 2 x 2; odd remainders are averaged alone."""
    if frames.dtype != tf.float64:
        return tf.nn.avg_pool3d(frames, [time, 2, 2], [time, 2, 2], "SAME")
    # TensorFlow has no float64 kernel for this on CPU; two 2D poolings give the same result.
    shape = tf.shape(frames)
    pooled = tf.nn.avg_pool2d(video.fold_time(frames), 2, 2, "SAME")
    _, height, width, channels = pooled.shape
    rows = tf.reshape(pooled, [shape[0], shape[1], height * width, channels])
    rows = tf.nn.avg_pool2d(rows, [time, 1], [time, 1], "SAME")
    return tf.reshape(rows, [shape[0], -1, height, width, channels])


@keras.saving.register_keras_serializable("trivd_tf")
class GeneratorBlock(RecomputableLayer):
    """BN - ReLU - (upsample) - conv3 - BN - ReLU - conv3, plus a skip connection.

    Frames are time-major, `[T, B, H, W, C]`; the batch norms' condition is `[B, D]`. The skip
    connection is (upsample) - conv1x1, with the convolution only where channels change or the block
    upsamples. The convolution runs before the upsampling: the same values for a quarter of the
    work.

    Args:
        channels: width of both convolutions.
        num_steps: T, number of time steps with separate batch norm statistics.
        upsample: double height and width.
        spectral_norm, spectral_epsilon: of every convolution and conditional map.
        batch_norm_epsilon: of the batch norms.
    """

    def __init__(
        self,
        channels: int,
        num_steps: int,
        *,
        upsample: bool = False,
        spectral_norm: bool = True,
        spectral_epsilon: float = 1e-4,
        batch_norm_epsilon: float = 1e-4,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.channels = channels
        self.num_steps = num_steps
        self.upsample = upsample
        self.spectral_norm = spectral_norm
        self.spectral_epsilon = spectral_epsilon
        self.batch_norm_epsilon = batch_norm_epsilon
        conv: dict[str, Any] = {"spectral_norm": spectral_norm, "epsilon": spectral_epsilon}
        norm: dict[str, Any] = {
            "epsilon": batch_norm_epsilon,
            "spectral_norm": spectral_norm,
            "spectral_epsilon": spectral_epsilon,
            "dtype": self.dtype_policy,
        }
        conv["dtype"] = self.dtype_policy
        self.norm_1 = PerStepBatchNorm(num_steps, name="norm_1", **norm)
        # Batch norm follows: a bias would have no gradient here.
        self.conv_1 = SpectralConv2D(channels, use_bias=False, name="conv_1", **conv)
        self.norm_2 = PerStepBatchNorm(num_steps, name="norm_2", **norm)
        self.conv_2 = SpectralConv2D(channels, name="conv_2", **conv)
        self._skip_options = {"kernel_size": 1, "name": "skip", **conv}
        self.skip: SpectralConv2D | None = None

    def build(
        self, frames_shape: tuple[int | None, ...], condition_shape: tuple[int | None, ...]
    ) -> None:
        hidden_shape = (*frames_shape[:-1], self.channels)
        self.norm_1.build(frames_shape, condition_shape)
        self.conv_1.build(frames_shape[1:])
        self.norm_2.build(hidden_shape, condition_shape)
        self.conv_2.build(hidden_shape[1:])
        if self.upsample or frames_shape[-1] != self.channels:
            self.skip = SpectralConv2D(self.channels, **self._skip_options)
            self.skip.build(frames_shape[1:])
        self.built = True

    def call(self, frames: tf.Tensor, condition: tf.Tensor, training: bool = False) -> tf.Tensor:
        """`[T, B, H, W, C] -> [T, B, H', W', channels]`."""
        steps = self.num_steps
        hidden = tf.nn.relu(self.norm_1(frames, condition, training=training))
        hidden = video.fold_time(hidden)
        if self.upsample:
            hidden = upsample_nearest(hidden)
        hidden = video.unfold_time(self.conv_1(hidden), steps)
        hidden = tf.nn.relu(self.norm_2(hidden, condition, training=training))
        hidden = self.conv_2(video.fold_time(hidden))
        skip = video.fold_time(frames)
        if self.skip is not None:
            skip = self.skip(skip)
        if self.upsample:
            skip = upsample_nearest(skip)
        return video.unfold_time(hidden + skip, steps)

    def keeps_state(self) -> bool:
        return self.norm_1.is_collecting

    def compute_output_shape(
        self, frames_shape: tuple[int | None, ...], *_: Any
    ) -> tuple[int | None, ...]:
        scale = 2 if self.upsample else 1
        size = [None if n is None else scale * n for n in frames_shape[2:4]]
        return (*frames_shape[:2], *size, self.channels)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "channels": self.channels,
            "num_steps": self.num_steps,
            "upsample": self.upsample,
            "spectral_norm": self.spectral_norm,
            "spectral_epsilon": self.spectral_epsilon,
            "batch_norm_epsilon": self.batch_norm_epsilon,
        }


@keras.saving.register_keras_serializable("trivd_tf")
class DiscriminatorBlock(RecomputableLayer):
    """ReLU - conv3 - ReLU - conv3 - average-pool 2, plus a skip connection.

    The skip connection is conv1x1 - average-pool, or the identity if channels stay the same and
    nothing is pooled. Pooling runs first: the same values for a quarter of the work (3D: an
    eighth).

    Args:
        channels: the block's output width.
        is_3d: also convolve over time, on `[B, T, H, W, C]`, and pool 2x2x2 (with `pool_time`);
            otherwise work on frames `[N, H, W, C]`.
        pool: halve height and width.
        pool_time: also halve the number of frames, rounding up (3D only).
        leading_relu: False in a network's first block, whose input is pixels.
        wide: give the first convolution the output width instead of the input width.
        spectral_norm, spectral_epsilon: of every convolution.
    """

    def __init__(
        self,
        channels: int,
        *,
        is_3d: bool = False,
        pool: bool = True,
        pool_time: bool = True,
        leading_relu: bool = True,
        wide: bool = True,
        spectral_norm: bool = True,
        spectral_epsilon: float = 1e-4,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.channels = channels
        self.is_3d = is_3d
        self.pool = pool
        self.pool_time = pool_time
        self.leading_relu = leading_relu
        self.wide = wide
        self.spectral_norm = spectral_norm
        self.spectral_epsilon = spectral_epsilon
        self.skip: SpectralConv2D | None = None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        conv = SpectralConv3D if self.is_3d else SpectralConv2D
        options = {
            "spectral_norm": self.spectral_norm,
            "epsilon": self.spectral_epsilon,
            "dtype": self.dtype_policy,
        }
        width = self.channels if self.wide else int(input_shape[-1] or 0)
        self.conv_1 = conv(width, name="conv_1", **options)
        self.conv_2 = conv(self.channels, name="conv_2", **options)
        if self.pool or input_shape[-1] != self.channels:
            self.skip = conv(self.channels, kernel_size=1, name="skip", **options)
        self.conv_1.build(input_shape)
        self.conv_2.build((*input_shape[:-1], width))
        if self.skip is not None:
            self.skip.build(input_shape)
        self.built = True

    def _pooled(self, frames: tf.Tensor) -> tf.Tensor:
        if not self.pool:
            return frames
        if not self.is_3d:
            return tf.nn.avg_pool2d(frames, 2, 2, "SAME")
        return average_pool_3d(frames, 2 if self.pool_time else 1)

    def call(self, frames: tf.Tensor) -> tf.Tensor:
        hidden = tf.nn.relu(frames) if self.leading_relu else frames
        hidden = self.conv_2(tf.nn.relu(self.conv_1(hidden)))
        skip = self._pooled(frames)
        if self.skip is not None:
            skip = self.skip(skip)
        return self._pooled(hidden) + skip

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        sizes = list(input_shape[1:-1])
        if self.pool:
            first = 0 if not self.is_3d or self.pool_time else 1
            sizes[first:] = [None if n is None else (n + 1) // 2 for n in sizes[first:]]
        return (input_shape[0], *sizes, self.channels)

    def get_config(self) -> dict[str, Any]:
        names = (
            "channels",
            "is_3d",
            "pool",
            "pool_time",
            "leading_relu",
            "wide",
            "spectral_norm",
            "spectral_epsilon",
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
