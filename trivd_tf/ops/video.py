"""Operations on videos: frames, crops, downsampling (docs/architecture.md, section 5).

Videos are `[B, T, H, W, C]`. Random choices are stateless, functions of `seed` (two integers).
"""

import tensorflow as tf

from trivd_tf.base.frame_size import FrameSize, height_width


def sizes(tensor: tf.Tensor) -> list[tf.Tensor | int]:
    """Return the size of every axis, as a number where it is known."""
    if tensor.shape.is_fully_defined():
        return tensor.shape.as_list()
    dynamic = tf.shape(tensor)
    return [dynamic[i] if size is None else size for i, size in enumerate(tensor.shape)]


def fold_time(videos: tf.Tensor) -> tf.Tensor:
    """`[A, B, H, W, C] -> [A B, H, W, C]`: merge the two leading axes into one batch of frames."""
    return tf.reshape(videos, [-1, *sizes(videos)[2:]])


def unfold_time(frames: tf.Tensor, leading: int | tf.Tensor) -> tf.Tensor:
    """`[A B, H, W, C] -> [A, B, H, W, C]`, the inverse of `fold_time` for A = `leading`."""
    return tf.reshape(frames, [leading, -1, *sizes(frames)[1:]])


def framewise(function, videos: tf.Tensor) -> tf.Tensor:
    """Applies `function`, `[N, H, W, C] -> [N, ...]`, to every frame of `[A, B, H, W, C]`."""
    leading = videos.shape[0] if videos.shape[0] is not None else tf.shape(videos)[0]
    return unfold_time(function(fold_time(videos)), leading)


def swap_time(videos: tf.Tensor) -> tf.Tensor:
    """Exchange the first two axes: batch-major to time-major and back."""
    return tf.transpose(videos, [1, 0, *range(2, videos.shape.rank)])


def downsample(videos: tf.Tensor, factor: int) -> tf.Tensor:
    """Average-pool over space only, `factor x factor`.

    Args:
        videos: `[B, T, H, W, C]`, with H and W divisible by `factor`.
        factor: s of the paper's view.

    Returns:
        `[B, T, H / factor, W / factor, C]`.
    """
    if factor == 1:
        return videos
    height, width = videos.shape[2], videos.shape[3]
    if height is not None and (height % factor or width % factor):
        raise ValueError(
            f"downsample needs height and width divisible by {factor}. Received: {height} x {width}"
        )
    return framewise(lambda x: tf.nn.avg_pool2d(x, factor, factor, "VALID"), videos)


def draw_corners(
    count: int | tf.Tensor, size: FrameSize, window: FrameSize, seed: tf.Tensor
) -> tf.Tensor:
    """Draw uniform corners of windows, int32 `[count, 2]` (top, left).

    Args:
        count: number of windows.
        size: size of the frames, one side or (height, width).
        window: size of the windows, one side or (height, width), at most `size`.
        seed: int tensor `[2]`.
    """
    free = [
        whole - part for whole, part in zip(height_width(size), height_width(window), strict=True)
    ]
    if free[0] == free[1]:
        return tf.random.stateless_uniform([count, 2], seed, 0, free[0] + 1, dtype=tf.int32)
    # A call takes a scalar bound, so each axis is drawn separately with its own seed.
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    sides = [
        tf.random.stateless_uniform([count], own, 0, most + 1, dtype=tf.int32)
        for own, most in zip(seeds, free, strict=True)
    ]
    return tf.stack(sides, axis=1)


def crop(videos: tf.Tensor, corners: tf.Tensor, window: FrameSize) -> tf.Tensor:
    """Crop one window per video, the same for all its frames.

    Args:
        videos: `[B, T, H, W, C]`.
        corners: int32 `[B, 2]`, top and left.
        window: one side or (height, width), h and w below.

    Returns:
        `[B, T, h, w, C]`.
    """
    height, width = height_width(window)
    # Two gathers with a batch axis: differentiable, with static shapes for XLA.
    rows = corners[:, :1] + tf.range(height)
    columns = corners[:, 1:] + tf.range(width)
    cropped = tf.gather(videos, rows, axis=2, batch_dims=1)
    return tf.gather(cropped, columns, axis=3, batch_dims=1)


def draw_frame_indices(
    count: int | tf.Tensor, num_drawn: int, num_frames: int, skip: int, seed: tf.Tensor
) -> tf.Tensor:
    """Draw `num_drawn` different frames for each of `count` videos, uniformly, in temporal order.

    Args:
        count: number of videos.
        num_drawn: K.
        num_frames: T, conditioning frames included.
        skip: leading frames (the conditioning frames) that are never drawn.
        seed: int tensor `[2]`.

    Returns:
        int32 `[count, K]`, in `[skip, num_frames)`.

    Raises:
        ValueError: fewer than K frames to draw from.
    """
    if num_drawn > num_frames - skip:
        raise ValueError(
            f"{num_drawn} different frames cannot be drawn from the {num_frames - skip} that are "
            f"not conditioning frames: ask for at most {num_frames - skip}"
        )
    # The K largest of random keys are a uniform draw without replacement.
    keys = tf.random.stateless_uniform([count, num_frames - skip], seed)
    return tf.sort(tf.math.top_k(keys, num_drawn).indices, axis=1) + skip


def take_frames(videos: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """Gather frames `indices` `[B, K]` of `[B, T, H, W, C]`: `[B, K, H, W, C]`."""
    return tf.gather(videos, indices, axis=1, batch_dims=1)
