"""A stage of the generator: a recurrent unit and two residual blocks at one scale."""

from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers.recurrent import make_cell, unroll
from trivd_tf.layers.residual import GeneratorBlock
from trivd_tf.layers.spectral_norm import SpectralConv2D
from trivd_tf.ops import video


@keras.saving.register_keras_serializable("trivd_tf")
class GeneratorStage(keras.layers.Layer):
    """Recurrent unit over time - conv - residual block - residual block with 2x upsampling.

    Frames are time-major, `[T, B, h, w, C]`. Only the recurrent unit runs step by step.
    """

    def __init__(
        self,
        recurrent_unit: str,
        hidden_channels: int,
        channels: int,
        num_steps: int,
        *,
        unit_options: dict[str, Any],
        post_kernel_size: int,
        spectral_norm: bool,
        spectral_epsilon: float,
        batch_norm_epsilon: float,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_steps = num_steps
        self._options: dict[str, Any] = {
            "recurrent_unit": recurrent_unit,
            "hidden_channels": hidden_channels,
            "channels": channels,
            "num_steps": num_steps,
            "unit_options": dict(unit_options),
            "post_kernel_size": post_kernel_size,
            "spectral_norm": spectral_norm,
            "spectral_epsilon": spectral_epsilon,
            "batch_norm_epsilon": batch_norm_epsilon,
        }
        norm = {"spectral_norm": spectral_norm, "dtype": self.dtype_policy}
        self.cell = make_cell(
            recurrent_unit,
            hidden_channels,
            epsilon=spectral_epsilon,
            **norm,
            **unit_options,
        )
        self.conv = SpectralConv2D(
            channels, post_kernel_size, epsilon=spectral_epsilon, name="conv", **norm
        )
        block = {
            **norm,
            "spectral_epsilon": spectral_epsilon,
            "batch_norm_epsilon": batch_norm_epsilon,
        }
        self.block = GeneratorBlock(channels, num_steps, name="block", **block)
        self.up_block = GeneratorBlock(channels, num_steps, upsample=True, name="up", **block)

    def build(
        self,
        frames_shape: tuple[int | None, ...],
        encoding_shape: tuple[int | None, ...],
        condition_shape: tuple[int | None, ...],
    ) -> None:
        size = tuple(frames_shape[2:4])
        if not self.cell.built:
            self.cell.build((None, *size, frames_shape[-1]))
        self.conv.build((None, *size, self.cell.channels))
        hidden_shape = (self.num_steps, None, *size, self.conv.filters)
        self.block.build(hidden_shape, condition_shape)
        self.up_block.build(hidden_shape, condition_shape)
        self.built = True

    def compute_output_shape(
        self, frames_shape: tuple[int | None, ...], *_: Any
    ) -> tuple[int | None, ...]:
        return self.up_block.compute_output_shape((self.num_steps, *frames_shape[1:]))

    def call(
        self,
        frames: tf.Tensor,
        encoding: tf.Tensor,
        condition: tf.Tensor,
        training: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Run the stage.

        Args:
            frames: `[T, B, h, w, C]`, or `[1, B, h, w, C]` if every step has the same input.
            encoding: `[B, h, w, hidden]` of the conditioning frames.
            condition: `[B, D]` for the batch norms.
            training: use batch moments instead of standing statistics.

        Returns:
            Frames `[T, B, 2h, 2w, channels]`, and the warp weights `[T, B, h, w, k*k]` (None for
            units that do not warp).
        """
        self.cell.iterate_if(training)
        state = self.cell.initial_state(encoding)
        has_motion = self.cell.has_motion
        hidden, _, *warps = unroll(
            self.cell, frames, state, num_steps=self.num_steps, return_warp=has_motion
        )
        hidden = video.unfold_time(self.conv(video.fold_time(hidden)), self.num_steps)
        hidden = self.block(hidden, condition, training=training)
        return self.up_block(hidden, condition, training=training), warps[0] if warps else None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._options}
