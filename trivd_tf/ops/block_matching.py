"""Block matching: how well each displacement explains a frame from the one before."""

import tensorflow as tf

from trivd_tf.ops.warp import replicate_edges


def matching_cost(frame: tf.Tensor, previous: tf.Tensor, size: int, window: int) -> tf.Tensor:
    """Compute the mean absolute difference of two frames around each pixel, by displacement.

    Args:
        frame: `[B, H, W, C]`.
        previous: `[B, H, W, C]`, the frame before; its edge pixels are repeated outside.
        size: k, odd. Displacements are ordered as the taps of `ops.warp.pixelwise_warp`.
        window: side of the square block around each pixel over which differences are averaged,
            odd; only pixels inside the frame count.

    Returns:
        `[B, H, W, k*k]`; the smallest cost is that of the tap that reads where the block came from.
    """
    border = size // 2
    height, width = frame.shape[1:3]
    padded = replicate_edges(previous, border, border)
    differences = [
        tf.reduce_mean(tf.abs(frame - padded[:, m : m + height, n : n + width]), axis=-1)
        for m in range(size)
        for n in range(size)
    ]
    return tf.nn.avg_pool2d(tf.stack(differences, axis=-1), window, strides=1, padding="SAME")
