"""The losses of the paper: hinge, mixed projection and the orthogonality penalty."""

from typing import Any

import tensorflow as tf


def hinge_discriminator_loss(real: tf.Tensor, predicted: tf.Tensor) -> tf.Tensor:
    """`mean max(0, 1 - D(real)) + mean max(0, 1 + D(predicted))` (docs/architecture.md, section 5).

    Args:
        real: discriminator outputs for real videos, any shape.
        predicted: discriminator outputs for predicted videos, any shape.

    Returns:
        A scalar, at least 0.
    """
    return tf.reduce_mean(tf.nn.relu(1.0 - real)) + tf.reduce_mean(tf.nn.relu(1.0 + predicted))


def hinge_generator_loss(predicted: tf.Tensor) -> tf.Tensor:
    """`-mean D(predicted)`, from any shape to a scalar."""
    return -tf.reduce_mean(predicted)


def prediction_loss(real: tf.Tensor, predicted: tf.Tensor) -> tf.Tensor:
    """`mean |real - predicted|`, an addition to the paper's objective; equal shapes to a scalar.

    DGMR (Ravuri et al., 2021) regularizes its generator with such a difference, applied to the mean
    of several draws.
    """
    return tf.reduce_mean(tf.abs(real - predicted))


def mixed_projection(r_x: tf.Tensor, r_xy: tf.Tensor) -> tf.Tensor:
    """`o[b, b', t] = r_x[b, t] + sum_t' r_xy[b', t']` (paper, Eq. 15).

    Args:
        r_x: `[B, T]`, the unconditional scores.
        r_xy: `[B', T]`, the class projections.

    Returns:
        `[B, B', T]`; the first axis is the sample of `r_x`.
    """
    return r_x[:, None, :] + tf.reduce_sum(r_xy, axis=1)[None, :, None]


def projection(r_x: tf.Tensor, r_xy: tf.Tensor) -> tf.Tensor:
    """Plain projection: both summed over time into one score per sample, `[B, T] x 2 -> [B]`."""
    return tf.reduce_sum(r_x + r_xy, axis=1)


def orthogonal_penalty(kernel: tf.Tensor) -> tf.Tensor:
    """`|W^T W * (1 - I)|_F^2`: the deviation of the columns of W from orthogonality.

    Equal to `|W^T W|_F^2 - sum_j |w_j|^4`, and `|W^T W|_F = |W W^T|_F`, so the smaller of the two
    Gram matrices suffices: 256 KB instead of 2.4 GB for a 256 x 24,576 matrix.

    Args:
        kernel: any shape, output axis last; read as the matrix `[everything else, out]`.

    Returns:
        A scalar.
    """
    shape = [-1, kernel.shape[-1]]

    @tf.custom_gradient
    def penalty(matrix: tf.Tensor) -> tuple[tf.Tensor, Any]:
        rows, columns = matrix.shape
        if columns <= rows:
            # Zero the diagonal instead of subtracting its squares: no cancellation near
            # orthogonality.
            gram = tf.matmul(matrix, matrix, transpose_a=True)
            gram = tf.linalg.set_diag(gram, tf.zeros([columns], gram.dtype))
            # 4 W (W^T W * (1 - I)): the Gram matrix is symmetric, so one product gives both terms.
            return tf.reduce_sum(tf.square(gram)), lambda upstream: tf.matmul(
                matrix, 4.0 * upstream * gram
            )
        gram = tf.matmul(matrix, matrix, transpose_b=True)
        lengths = tf.reduce_sum(tf.square(matrix), axis=0)
        value = tf.reduce_sum(tf.square(gram)) - tf.reduce_sum(tf.square(lengths))
        return value, lambda upstream: 4.0 * upstream * (tf.matmul(gram, matrix) - matrix * lengths)

    return penalty(tf.reshape(kernel, shape))
