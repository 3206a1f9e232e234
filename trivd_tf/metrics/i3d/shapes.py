"""Video shapes that I3D accepts."""

import tensorflow as tf

from trivd_tf.base.errors import InputError

FRAME_SIZE = 224
MIN_FRAMES = 9  # four temporal halvings leave the two steps that the last average pool needs


def check_video_shape(shape: tf.TensorShape) -> None:
    """Raise InputError unless `shape` fits ``[B, T >= 9, 224, 224, 3]``; unknown sizes pass."""
    too_short = shape.rank == 5 and shape[1] is not None and shape[1] < MIN_FRAMES
    if too_short or not shape.is_compatible_with([None, None, FRAME_SIZE, FRAME_SIZE, 3]):
        raise InputError(
            f"I3D takes videos [B, T >= {MIN_FRAMES}, {FRAME_SIZE}, {FRAME_SIZE}, 3] in [-1, 1], "
            f"received shape {shape}; trivd_tf.metrics.FeatureExtractor resizes uint8 videos"
        )
