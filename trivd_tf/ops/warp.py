"""Warps by local displacement distributions (paper, Eq. 11-12), and motion fields.

    hw[i, j, c] = sum over (m, n) in [0, k)^2 of
                  W[i, j, m k + n] * h[i + m - (k-1)//2, j + n - (k-1)//2, c]

The weights are the same for every channel. Outside the frame h is 0, as in the paper's units, or
the nearest pixel of the frame (`edges="replicate"`).
"""

import itertools
import math
from typing import Any

import numpy as np
import tensorflow as tf

from trivd_tf.ops.video import sizes

# Up to this width a warp as matrix products, one per row, beats k*k multiply-adds: it multiplies
# W / k times as often, but at matrix-product speed instead of memory speed.
_WIDEST_ROW = 48


def window_size(weights: tf.Tensor) -> int:
    """Return k of warp weights `[B, H, W, k*k]`."""
    taps = weights.shape[-1]
    size = math.isqrt(taps)
    if size * size != taps:
        raise ValueError(
            "Warp weights need a square number of taps, [B, H, W, k*k] with k = 1, 2, 3...; "
            f"received shape {tuple(weights.shape)}."
        )
    return size


def pixelwise_warp(hidden: tf.Tensor, weights: tf.Tensor, *, edges: str = "zeros") -> tf.Tensor:
    """Move `hidden` by a distribution over k x k displacements at each pixel (paper, Eq. 11-12).

    The backward pass stores only the two inputs and recomputes everything else.

    Args:
        hidden: `[B, H, W, C]`, any H, W >= 1.
        weights: `[B, H, W, k*k]`; tap m*k + n reads at row offset m - (k-1)//2 and column offset
            n - (k-1)//2. They need not sum to one.
        edges: values outside the frame: `zeros`, or `replicate` for the nearest pixel inside.

    Returns:
        `[B, H, W, C]` in `hidden`'s dtype.
    """
    if edges not in ("zeros", "replicate"):
        raise ValueError(f"edges must be 'zeros' or 'replicate'. Received: {edges!r}")
    size = window_size(weights)
    if edges == "replicate":
        return _warp_with_replicated_edges(hidden, weights, size)
    width = hidden.shape[2]
    by_rows = width is not None and width <= _WIDEST_ROW
    warp = _warp_by_rows if by_rows else _warp_by_shifts
    with tf.name_scope("pixelwise_warp"):
        return warp(hidden, tf.cast(weights, hidden.dtype), size)


def replicate_edges(frame: tf.Tensor, before: int, after: int) -> tf.Tensor:
    """Repeat the edge pixels of `[B, H, W, C]`: `before` at the top and left, `after` opposite."""
    frame = tf.concat([frame[:, :1]] * before + [frame] + [frame[:, -1:]] * after, 1)
    return tf.concat([frame[:, :, :1]] * before + [frame] + [frame[:, :, -1:]] * after, 2)


def _warp_with_replicated_edges(hidden: tf.Tensor, weights: tf.Tensor, size: int) -> tf.Tensor:
    """Warp a frame with a replicated border, then crop the border."""
    before = (size - 1) // 2
    after = size - 1 - before
    height, width = sizes(hidden)[1:3]
    border = [[0, 0], [before, after], [before, after], [0, 0]]
    warped = pixelwise_warp(replicate_edges(hidden, before, after), tf.pad(weights, border))
    return warped[:, before : before + height, before : before + width]


def _warp_by_rows(hidden: tf.Tensor, weights: tf.Tensor, size: int) -> tf.Tensor:
    """Warp each row by a matrix product: `[W, k W]` (mostly zeros) times `[k W, C]` pixels."""
    above = (size - 1) // 2
    below = size - 1 - above
    table = _row_table(hidden.shape[2], size, hidden.dtype)
    height = sizes(hidden)[1]

    def neighbour_rows(hidden: tf.Tensor) -> tf.Tensor:
        padded = tf.pad(hidden, [[0, 0], [above, below], [0, 0], [0, 0]])
        return tf.concat([padded[:, m : m + height] for m in range(size)], axis=2)

    def matrices(weights: tf.Tensor) -> tf.Tensor:
        return tf.einsum("bijq,qjc->bijc", weights, table)

    @tf.custom_gradient
    def warp(hidden: tf.Tensor, weights: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            to_matrices = tf.linalg.matmul(upstream, neighbour_rows(hidden), transpose_b=True)
            to_rows = tf.linalg.matmul(matrices(weights), upstream, transpose_a=True)
            to_padded = [
                tf.pad(rows, [[0, 0], [m, size - 1 - m], [0, 0], [0, 0]])
                for m, rows in enumerate(tf.split(to_rows, size, axis=2))
            ]
            to_hidden = tf.add_n(to_padded)[:, above : above + height]
            return to_hidden, tf.einsum("bijc,qjc->bijq", to_matrices, table)

        return tf.linalg.matmul(matrices(weights), neighbour_rows(hidden)), gradient

    return warp(hidden, weights)


def _row_table(width: int, size: int, dtype: tf.DType) -> tf.Tensor:
    """Return `[k*k, W, k W]`: 1 where a tap of the pixel in column j reads pixel c of its k rows.

    Expanded at run time: as a constant it would be the largest part of an exported graph.
    """
    places = np.full([size * size, width], -1, np.int32)  # -1: outside the frame
    for m, n, column in np.ndindex(size, size, width):
        source = column + n - (size - 1) // 2
        if 0 <= source < width:
            places[m * size + n, column] = m * width + source
    return tf.one_hot(tf.constant(places), size * width, dtype=dtype)


def _warp_by_shifts(hidden: tf.Tensor, weights: tf.Tensor, size: int) -> tf.Tensor:
    """Sum over taps a shifted copy times a weight map."""
    before = (size - 1) // 2
    after = size - 1 - before
    _, height, width, channels = sizes(hidden)

    def windows(frame: tf.Tensor, before: int, after: int) -> list[tf.Tensor]:
        padded = tf.pad(frame, [[0, 0], [before, after], [before, after], [0, 0]])
        offsets = itertools.product(range(size), repeat=2)
        return [padded[:, m : m + height, n : n + width] for m, n in offsets]

    @tf.custom_gradient
    def warp(hidden: tf.Tensor, weights: tf.Tensor) -> Any:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            shifted = windows(hidden, before, after)
            to_weights = [tf.reduce_sum(upstream * one, -1) for one in shifted]
            # A tap that reads at (dy, dx) sends its gradient back by (-dy, -dx).
            back = windows(tf.concat([upstream, weights], axis=-1), after, before)[::-1]
            to_hidden = [
                one[..., :channels] * one[..., channels + tap, None] for tap, one in enumerate(back)
            ]
            return tf.add_n(to_hidden), tf.stack(to_weights, -1)

        taps = tf.split(weights, size * size, axis=-1)
        shifted = windows(hidden, before, after)
        return tf.add_n([tap * one for tap, one in zip(taps, shifted, strict=True)]), gradient

    return warp(hidden, weights)


def factorized_weights(kernels: tf.Tensor, selection: tf.Tensor) -> tf.Tensor:
    """Mix a few kernels by a selection map into warp weights (paper, Eq. 11-12).

    `W[i,j,q] = sum over l of S[i,j,l] w[q,l]`.

    Args:
        kernels: `[B, k*k, N]`, each of the N kernels a distribution over taps.
        selection: `[B, H, W, N]`, a distribution over the kernels at each pixel.

    Returns:
        `[B, H, W, k*k]`.
    """
    batch, height, width, count = sizes(selection)
    flat = tf.reshape(selection, [batch, height * width, count])
    weights = tf.linalg.matmul(flat, kernels, transpose_b=True)
    return tf.reshape(weights, [batch, height, width, kernels.shape[1]])


def expected_flow(weights: tf.Tensor) -> tf.Tensor:
    """Return the mean displacement under warp weights, to a pixel's source (paper, Fig. 3).

    Args:
        weights: `[B, H, W, k*k]`, distributions over displacements.

    Returns:
        `[B, H, W, 2]` float32, (dy, dx) in pixels to the source. Content moves by the negative.
    """
    size = window_size(weights)
    offset = (size - 1) // 2
    displacements = [[m - offset, n - offset] for m in range(size) for n in range(size)]
    table = tf.constant(displacements, tf.float32)
    return tf.tensordot(tf.cast(weights, tf.float32), table, axes=1)


def compose_flows(flows: list[tf.Tensor]) -> tf.Tensor:
    """Add motion fields of several resolutions, coarse to fine (paper, Fig. 3).

    A coarser field is upsampled bilinearly and scaled by the upsampling factor, because one coarse
    pixel spans that many fine pixels.

    Args:
        flows: `[B, h, w, 2]` each, in its own pixels; each level is a multiple of the previous one.

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
    """Read `frame` at fractional positions, with 0 outside the frame.

    Args:
        frame: `[B, H, W, C]`.
        flow: `[B, H, W, 2]`, (dy, dx) in pixels from each pixel to where its value is read.

    Returns:
        `[B, H, W, C]`: at (i, j) the bilinear mix of the four pixels around (i + dy, j + dx).
    """
    batch, height, width, channels = sizes(frame)
    # Positions need higher precision than bfloat16.
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
