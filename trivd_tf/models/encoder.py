"""The encoder, from conditioning frames to initial states of the recurrent units (section 3)."""

from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers.residual import DiscriminatorBlock
from trivd_tf.layers.spectral_norm import SpectralConv2D
from trivd_tf.ops import video


@keras.saving.register_keras_serializable("trivd_tf")
class Encoder(keras.layers.Layer):
    """The first three blocks of a frame discriminator, run on each conditioning frame.

    For each scale, the raw block outputs of all conditioning frames are folded into channels. A 3x3
    convolution and ReLU turn them into the encoding at that scale. Blocks 4 and 5 of the stack
    would get no gradient, so they are not built.

    Args:
        block_channels: widths of the three blocks, finest first.
        state_channels: widths of the encodings, coarsest first (in the order of the stages).
        wide_blocks, spectral_norm, spectral_epsilon: as in the discriminator blocks.
    """

    def __init__(
        self,
        block_channels: tuple[int, ...],
        state_channels: tuple[int, ...],
        *,
        wide_blocks: bool = True,
        spectral_norm: bool = True,
        spectral_epsilon: float = 1e-4,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.block_channels = tuple(block_channels)
        self.state_channels = tuple(state_channels)
        self.wide_blocks = wide_blocks
        self.spectral_norm = spectral_norm
        self.spectral_epsilon = spectral_epsilon
        self.blocks = [
            DiscriminatorBlock(
                channels,
                leading_relu=index > 0,
                wide=wide_blocks,
                spectral_norm=spectral_norm,
                spectral_epsilon=spectral_epsilon,
                dtype=self.dtype_policy,
                name=f"block_{index + 1}",
            )
            for index, channels in enumerate(self.block_channels)
        ]
        self.to_states = [
            SpectralConv2D(
                channels,
                spectral_norm=spectral_norm,
                epsilon=spectral_epsilon,
                dtype=self.dtype_policy,
                name=f"to_state_{index + 1}",
            )
            for index, channels in enumerate(self.state_channels)
        ]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        count, shape = int(input_shape[1] or 0), (None, *input_shape[2:])
        widths = []
        for block in self.blocks:
            block.build(shape)
            shape = block.compute_output_shape(shape)
            widths.append(int(shape[-1] or 0))
        for to_state, width in zip(self.to_states, reversed(widths), strict=True):
            to_state.build((None, None, None, count * width))
        self.built = True

    def call(self, conditioning_frames: tf.Tensor) -> list[tf.Tensor]:
        """Encode `[B, Tc, H, W, 3]` in [-1, 1] to `[B, h, w, c]` per scale, coarsest first."""
        count = conditioning_frames.shape[1]
        hidden = video.fold_time(conditioning_frames)
        outputs = []
        for block in self.blocks:
            hidden = block(hidden)
            outputs.append(hidden)
        encodings = []
        for to_state, frames in zip(self.to_states, reversed(outputs), strict=True):
            height, width, channels = frames.shape[1:]
            folded = tf.transpose(
                tf.reshape(frames, [-1, count, height, width, channels]), [0, 2, 3, 1, 4]
            )
            folded = tf.reshape(folded, [-1, height, width, count * channels])
            encodings.append(tf.nn.relu(to_state(folded)))
        return encodings

    def get_config(self) -> dict[str, Any]:
        names = (
            "block_channels",
            "state_channels",
            "wide_blocks",
            "spectral_norm",
            "spectral_epsilon",
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
