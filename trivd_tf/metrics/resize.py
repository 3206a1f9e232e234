"""Rules for resizing frames to I3D's 224 x 224. They affect FVD: state the rule with a score."""

from collections.abc import Callable

import tensorflow as tf

from trivd_tf.base.errors import InputError


def _tf1_bilinear(frames: tf.Tensor, size: int) -> tf.Tensor:
    return tf.raw_ops.ResizeBilinear(
        images=frames, size=[size, size], align_corners=False, half_pixel_centers=False
    )


def _tf2_bilinear(frames: tf.Tensor, size: int) -> tf.Tensor:
    return tf.image.resize(frames, [size, size], method="bilinear", antialias=False)


def _antialiased(frames: tf.Tensor, size: int) -> tf.Tensor:
    return tf.image.resize(frames, [size, size], method="bilinear", antialias=True)


RESIZE_RULES: dict[str, Callable[[tf.Tensor, int], tf.Tensor]] = {
    "tf1_bilinear": _tf1_bilinear,
    "tf2_bilinear": _tf2_bilinear,
    "antialiased": _antialiased,
}


def check_rule(rule: str) -> None:
    """Raise InputError unless `rule` is one of `RESIZE_RULES`."""
    if rule not in RESIZE_RULES:
        raise InputError(f"unknown resize rule {rule!r}; choose one of {', '.join(RESIZE_RULES)}")


def resize_frames(videos: tf.Tensor, rule: str = "tf1_bilinear", size: int = 224) -> tf.Tensor:
    """Resize every frame to `size` x `size`, without keeping the aspect ratio.

    Args:
        videos: ``[B, T, H, W, C]``, uint8 or float; the value range is kept.
        rule: ``tf1_bilinear`` is that of the reference FVD: output pixel i samples the input at
            i * H / size, with no half-pixel centers and no antialiasing. ``tf2_bilinear`` samples
            at (i + 0.5) * H / size - 0.5. ``antialiased`` adds a triangle filter as wide as the
            reduction (equal to tf2_bilinear for enlarged frames).
        size: height and width of the result.

    Returns:
        float32 ``[B, T, size, size, C]``, not rounded.

    Raises:
        InputError: unknown rule, or not five dimensions.
    """
    check_rule(rule)
    videos = tf.convert_to_tensor(videos)
    if videos.shape.rank != 5:
        raise InputError(f"resize_frames takes [B, T, H, W, C], received shape {videos.shape}")
    videos = tf.cast(videos, tf.float32)
    shape = tf.shape(videos)
    height, width, channels = videos.shape[2:]
    if (height, width) == (size, size):
        return videos
    frames = tf.reshape(videos, tf.stack([shape[0] * shape[1], shape[2], shape[3], shape[4]]))
    frames = tf.ensure_shape(frames, [None, height, width, channels])
    resized = RESIZE_RULES[rule](frames, size)
    resized = tf.reshape(resized, tf.stack([shape[0], shape[1], size, size, shape[4]]))
    return tf.ensure_shape(resized, [*videos.shape[:2], size, size, channels])
