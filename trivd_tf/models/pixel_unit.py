"""A TSRU on the pixels: the paper's recurrence at frame resolution (optional, off by default).

With x_t the features in front of the generator's head and y_t the predicted frames,

    W_t = softmax(conv(x_t))                 k x k taps at each pixel
    u_t = sigmoid(conv(x_t))                 one gate at each pixel
    y_t = u_t * w(y_{t-1}; W_t) + (1 - u_t) * tanh(head(x_t))

and y_0 the last conditioning frame. Content that the frames already show need not pass through the
encoder: it is warped, and the head draws only new content. The convolution runs for all steps at
once; the loop over time only warps and blends.

With `matching`, the logits of W_t also hold evidence from the conditioning frames themselves,

    W_t = softmax(conv(x_t) - s M)           M: `ops.block_matching.matching_cost` of the last two

so that, before any training, everything moves on as it moved between the last two conditioning
frames; the convolution learns when to depart from that. s is learned.
"""

import math
from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers.spectral_norm import SpectralConv2D
from trivd_tf.ops import video, warp
from trivd_tf.ops.block_matching import matching_cost

# An untrained unit copies: the share of a pixel that stays in place, and the logit of its gate.
_CENTRE_SHARE = 0.9
_GATE_LOGIT = 3.0
# With matching: on walks, untrained, blocks of 9 x 9 predict better than blocks of 5 x 5.
_STAY_LOGIT = 3.0  # how much closer a match must be, in logits, to move a pixel
_MATCH_SCALE = 100.0
_MATCH_WINDOW = 9


class PixelUnit(keras.layers.Layer):
    """Warps the previous frame and blends it with the head's output.

    The convolution that computes warp and gate has no spectral norm: its outputs are logits, which
    must be able to grow for a sharp displacement.

    Args:
        warp_size: k, odd, at least 3. Pixels move by up to (k - 1) / 2 per frame and direction.
        kernel_size: kernel size of the convolution.
        matching: continue the motion of the last two conditioning frames, found by block matching.

    Raises:
        ValueError: `warp_size` is even or below 3.
    """

    def __init__(
        self,
        warp_size: int = 5,
        *,
        kernel_size: int = 3,
        matching: bool = False,
        **kwargs: Any,
    ):
        # Pixels stay in float32 in mixed precision; the convolution casts its own inputs.
        super().__init__(autocast=False, **kwargs)
        if warp_size < 3 or warp_size % 2 == 0:
            raise ValueError(
                f"the pixels' TSRU needs an odd warp size of at least 3. Received: {warp_size}"
            )
        self.warp_size = warp_size
        self.kernel_size = kernel_size
        self.matching = matching
        self.match_scale: keras.Variable | None = None
        self.taps = warp_size**2
        self.transform = SpectralConv2D(
            self.taps + 1,
            kernel_size,
            spectral_norm=False,
            dtype=self.dtype_policy,
            name="transform",
        )

    def build(self, features_shape: tuple[int | None, ...]) -> None:
        self.transform.build(features_shape[1:])
        if self.matching:
            self.match_scale = self.add_weight(
                name="match_scale", shape=(1,), initializer="ones", autocast=False
            )
        self.built = True

    def call(
        self, features: tf.Tensor, drawn: tf.Tensor, conditioning: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Run the unit over time.

        Args:
            features: `[T, B, H, W, C]`, the inputs of the head.
            drawn: `[T, B, H, W, 3]` in [-1, 1], the head's frames.
            conditioning: `[B, Tc, H, W, 3]` in [-1, 1], the conditioning frames; at least two with
                matching.

        Returns:
            Frames `[T, B, H, W, 3]` in [-1, 1], and the warp weights `[T, B, H, W, k*k]`, both in
            the dtype of `drawn`.
        """
        logits = tf.cast(video.framewise(self.transform, features), drawn.dtype)
        conditioning = tf.cast(conditioning, drawn.dtype)
        weights = tf.nn.softmax(logits[..., : self.taps] + self._prior(conditioning))
        gates = tf.sigmoid(logits[..., self.taps :] + _GATE_LOGIT)
        previous, frames = conditioning[:, -1], []
        for weight, gate, new in zip(
            tf.unstack(weights), tf.unstack(gates), tf.unstack(drawn), strict=True
        ):
            moved = warp.pixelwise_warp(previous, weight, edges="replicate")
            previous = gate * moved + (1.0 - gate) * new
            frames.append(previous)
        return tf.stack(frames), weights

    def _prior(self, conditioning: tf.Tensor) -> tf.Tensor:
        """Return logits of the warp before the convolution's are added, at every step the same."""
        centre = tf.one_hot(self.taps // 2, self.taps, dtype=conditioning.dtype)
        if self.match_scale is None:
            return centre * math.log(_CENTRE_SHARE / (1 - _CENTRE_SHARE) * (self.taps - 1))
        last, before = conditioning[:, -1], conditioning[:, -2]
        cost = matching_cost(last, before, self.warp_size, _MATCH_WINDOW)
        scale = tf.cast(tf.convert_to_tensor(self.match_scale), cost.dtype)
        return _STAY_LOGIT * centre - _MATCH_SCALE * scale * cost

    def flow(self, weights: tf.Tensor) -> tf.Tensor:
        """Return the motion field `[B, H, W, 2]`, (dy, dx) in pixels to the source, of one step."""
        return warp.expected_flow(weights)

    def get_config(self) -> dict[str, Any]:
        options = {
            "warp_size": self.warp_size,
            "kernel_size": self.kernel_size,
            "matching": self.matching,
        }
        return {**super().get_config(), **options}
