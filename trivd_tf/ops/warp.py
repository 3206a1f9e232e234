"""Warping a hidden state by local displacement distributions (paper, Eq. 11-12), and its motion.

    hw[i, j, c] = sum over (m, n) in [0, k)^2 of
                  W[i, j, m k + n] * h[i + m - (k-1)//2, j + n - (k-1)//2, c]

The weights are the same for every channel and h is 0 outside of the frame.
"""

import math

import tensorflow as tf


def window_size(weights: tf.Tensor) -> int:
    """The k of warp weights `[B, H, W, k*k]`."""
    taps = weights.shape[-1]
    size = math.isqrt(taps)
    if size * size != taps:
        raise ValueError(
            "Warp weights need a square number of taps, [B, H, W, k*k] with k = 1, 2, 3...; "
            f"received shape {tuple(weights.shape)}."
        )
    return size


def _shifts(padded: tf.Tensor, size: int, shape: tf.Tensor) -> list[tf.Tensor]:
    """The k*k windows of a padded tensor, in the order of the taps."""
    height, width = shape[1], shape[2]
    return [padded[:, m : m + height, n : n + width, :] for m in range(size) for n in range(size)]


def _pad(frame: tf.Tensor, size: int, *, transposed: bool = False) -> tf.Tensor:
    before = (size - 1) // 2
    after = size - 1 - before
    if transposed:
        before, after = after, before
    return tf.pad(frame, [[0, 0], [before, after], [before, after], [0, 0]])


def _sizes(frame: tf.Tensor) -> list[tf.Tensor | int]:
    dynamic = tf.shape(frame)
    return [dynamic[i] if size is None else size for i, size in enumerate(frame.shape)]


def pixelwise_warp(hidden: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Moves `hidden` by a distribution over k x k displacements at each pixel (paper, Eq. 11-12).

    The backward pass keeps only the two inputs and takes the k*k shifted copies anew.

    Args:
        hidden: `[B, H, W, C]`, any H, W >= 1.
        weights: `[B, H, W, k*k]`; tap m*k + n looks at row offset m - (k-1)//2 and column offset
            n - (k-1)//2. They need not sum to one.

    Returns:
        `[B, H, W, C]` in `hidden`'s dtype.
    """
    size = window_size(weights)
    return _pixelwise_warp(hidden, tf.cast(weights, hidden.dtype), size)


def _pixelwise_warp(hidden: tf.Tensor, weights: tf.Tensor, size: int) -> tf.Tensor:
    @tf.custom_gradient
    def warp(hidden: tf.Tensor, weights: tf.Tensor):
        shape = _sizes(hidden)
        taps = tf.split(weights, size * size, axis=-1)
        shifts = _shifts(_pad(hidden, size), size, shape)
        warped = tf.add_n([tap * shift for tap, shift in zip(taps, shifts, strict=True)])

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            windows = _shifts(_pad(hidden, size), size, shape)
            to_weights = [tf.reduce_sum(upstream * window, -1) for window in windows]
            # A tap that looks by (dy, dx) sends its gradient back by (-dy, -dx).
            packed = tf.concat([upstream, weights], axis=-1)
            back = _shifts(_pad(packed, size, transposed=True), size, shape)[::-1]
            channels = hidden.shape[-1]
            to_hidden = [
                window[..., :channels] * window[..., channels + tap : channels + tap + 1]
                for tap, window in enumerate(back)
            ]
            return tf.add_n(to_hidden), tf.stack(to_weights, -1)

        return warped, gradient

    return warp(hidden, weights)


def factorized_weights(kernels: tf.Tensor, selection: tf.Tensor) -> tf.Tensor:
    """Warp weights of a few kernels and a map that mixes them (paper, Eq. 11-12).

    `W[i,j,q] = sum over l of S[i,j,l] w[q,l]`.

    Args:
        kernels: `[B, k*k, N]`, each of the N kernels a distribution over taps.
        selection: `[B, H, W, N]`, a distribution over the kernels at each pixel.

    Returns:
        `[B, H, W, k*k]`.
    """
    batch, height, width, count = _sizes(selection)
    flat = tf.reshape(selection, [batch, height * width, count])
    weights = tf.linalg.matmul(flat, kernels, transpose_b=True)
    return tf.reshape(weights, [batch, height, width, kernels.shape[1]])


def expected_flow(weights: tf.Tensor) -> tf.Tensor:
    """The mean displacement under warp weights, to a pixel's source (paper, Fig. 3).

    Args:
        weights: `[B, H, W, k*k]`, distributions over displacements.

    Returns:
        `[B, H, W, 2]` float32, (dy, dx) in pixels to the source; what moves, moves by its negative.
    """
    size = window_size(weights)
    offset = (size - 1) // 2
    displacements = [[m - offset, n - offset] for m in range(size) for n in range(size)]
    table = tf.constant(displacements, tf.float32)
    return tf.tensordot(tf.cast(weights, tf.float32), table, axes=1)


def compose_flows(flows: list[tf.Tensor]) -> tf.Tensor:
    """Adds motion fields of several resolutions, coarse to fine (paper, Fig. 3).

    The coarser field is upsampled bilinearly and scaled by the upsampling factor, since a pixel of
    a coarse level is as many fine pixels.

    Args:
        flows: `[B, h, w, 2]` each, in pixels of its own level; each level a multiple of the last.

    Returns:
        `[B, H, W, 2]` in pixels of the last level.
    """
    if not flows:
        raise ValueError("compose_flows needs at least one flow field; received an empty list.")
    total = flows[0]
    for flow in flows[1:]:
        height, width = flow.shape[1:3]
        factors = tf.constant([height / total.shape[1], width / total.shape[2]], total.dtype)
        total = tf.image.resize(total, [height, width], "bilinear") * factors + flow
    return total


def bilinear_sample(frame: tf.Tensor, flow: tf.Tensor) -> tf.Tensor:
    """Reads `frame` at fractional positions, 0 outside of it.

    Args:
        frame: `[B, H, W, C]`.
        flow: `[B, H, W, 2]`, (dy, dx) in pixels from each pixel to where its value is read.

    Returns:
        `[B, H, W, C]`: at (i, j) the bilinear mix of the four pixels round (i + dy, j + dx).
    """
    batch, height, width, channels = _sizes(frame)
    # Positions need more bits than bfloat16 has.
    flow = tf.cast(flow, tf.float32) if flow.dtype.size < 4 else flow
    rows, columns = tf.meshgrid(tf.range(height), tf.range(width), indexing="ij")
    y = flow[..., 0] + tf.cast(rows, flow.dtype)
    x = flow[..., 1] + tf.cast(columns, flow.dtype)
    top, left = tf.floor(y), tf.floor(x)
    flat = tf.reshape(frame, [batch, height * width, channels])
    total = None
    for dy in (0, 1):
        for dx in (0, 1):
            row, column = top + dy, left + dx
            weight = (1 - tf.abs(y - row)) * (1 - tf.abs(x - column))
            row, column = tf.cast(row, tf.int32), tf.cast(column, tf.int32)
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            weight = tf.where(inside, weight, tf.zeros_like(weight))
            index = tf.where(inside, row * width + column, 0)
            index = tf.reshape(index, [batch, height * width])
            corner = tf.reshape(tf.gather(flat, index, batch_dims=1), tf.shape(frame))
            term = corner * tf.cast(weight, frame.dtype)[..., None]
            total = term if total is None else total + term
    return total
