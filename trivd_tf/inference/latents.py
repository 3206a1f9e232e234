"""Latents from seeds: identical in Python, in an exported model and behind a server.

Truncation follows BigGAN: values beyond the threshold are redrawn, which gives a normal
distribution truncated at the threshold. It is sampled directly by its inverse distribution
function,

    z = sqrt(2) erfinv(erf(truncation / sqrt(2)) v),    v uniform in (-1, 1),

which is exact, needs no loop, and gives 0 for truncation 0 and a plain normal for infinity.
"""

import functools
import math
import numbers
from typing import Any

import numpy as np
import tensorflow as tf

from trivd_tf.base.errors import InputError

# 2^64 over the golden ratio: rows of neighboring seeds never coincide in practice.
_ROW_STEP = -7046029254386353131
_NEARLY_ONE = 1.0 - 2.0**-50  # keeps v off -1 and 1, where z would be infinite (|z| < 8)
_AS_GOOD_AS_NONE = (
    10.0  # a truncation beyond any value that is drawn; erf(infinity) is NaN in TensorFlow
)


def row_seeds(seed: tf.Tensor, num_clips: tf.Tensor) -> tf.Tensor:
    """Returns one seed per clip, int64 `[num_clips]`; the first is `seed` itself."""
    rows = tf.range(tf.cast(num_clips, tf.int64), dtype=tf.int64)
    return tf.cast(seed, tf.int64) + rows * tf.constant(_ROW_STEP, tf.int64)


def draw_latents(
    seeds: tf.Tensor, num_samples: tf.Tensor, latent_size: int, truncation: tf.Tensor
) -> tf.Tensor:
    """Draws the latents of every sample of every clip.

    Sample s of a clip depends only on the clip's seed and s, not on the batch or the number of
    samples.

    Args:
        seeds: int64 `[B]`.
        num_samples: N, int scalar.
        latent_size: length of z.
        truncation: non-negative float scalar; no value exceeds it, and infinity gives a plain
            normal.

    Returns:
        float32 `[B N, latent_size]`; the samples of one clip are adjacent.
    """
    num_samples = tf.cast(num_samples, tf.int64)
    samples = tf.tile(tf.range(num_samples, dtype=tf.int64), [tf.size(seeds)])
    pairs = tf.stack([tf.repeat(seeds, num_samples), samples], axis=-1)

    def draw(pair: tf.Tensor) -> tf.Tensor:
        # Set the algorithm explicitly: the automatic choice depends on the device type.
        return tf.random.stateless_uniform([latent_size], pair, dtype=tf.float64, alg="philox")

    uniform = tf.map_fn(draw, pairs, fn_output_signature=tf.TensorSpec([latent_size], tf.float64))
    signed = tf.clip_by_value(2.0 * uniform - 1.0, -_NEARLY_ONE, _NEARLY_ONE)
    threshold = tf.minimum(tf.cast(truncation, tf.float64), _AS_GOOD_AS_NONE)
    inside = tf.math.erf(threshold / math.sqrt(2.0))
    z = math.sqrt(2.0) * tf.math.erfinv(inside * signed)
    # Rounding to float32 must not exceed the threshold.
    return tf.clip_by_value(
        tf.cast(z, tf.float32), -tf.cast(truncation, tf.float32), tf.cast(truncation, tf.float32)
    )


def check_whole(name: str, value: object, least: int | None = None) -> int:
    """Returns `value` as an int; raises `InputError` unless it is an integer >= `least`."""
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole:
        raise InputError(f"{name} must be a whole number; received {value!r}")
    number = int(value)  # type: ignore[call-overload]
    if least is not None and number < least:
        raise InputError(f"{name} must be at least {least}; received {number}")
    return number


def check_truncation(truncation: float | None) -> float:
    """Returns the threshold as a float, infinity for None; raises `InputError` if it is invalid."""
    if truncation is None:
        return math.inf
    if not isinstance(truncation, numbers.Real) or not truncation >= 0:
        raise InputError(
            f"truncation must be 0 (always z = 0) or a positive number; received {truncation!r}"
        )
    return float(truncation)


@functools.cache
def _compiled(latent_size: int) -> Any:
    # A Python loop over thousands of latents takes seconds.
    integer = tf.TensorSpec([], tf.int64)

    @tf.function(
        input_signature=[integer, integer, integer, tf.TensorSpec([], tf.float64)], autograph=False
    )
    def draw(
        seed: tf.Tensor, num_clips: tf.Tensor, num_samples: tf.Tensor, limit: tf.Tensor
    ) -> tf.Tensor:
        return draw_latents(row_seeds(seed, num_clips), num_samples, latent_size, limit)

    return draw


def _wrapped(number: int) -> int:
    """Wraps a number around to a signed 64-bit integer."""
    return (number + 2**63) % 2**64 - 2**63


def latents(
    seed: int,
    *,
    num_clips: int,
    num_samples: int,
    latent_size: int,
    truncation: float | None,
    first_clip: int = 0,
) -> np.ndarray:
    """Draws the latents of a batch from one seed: float32 `[num_clips, num_samples, latent_size]`.

    `first_clip` is the index of the batch's first clip: a long list of clips gets the same latents
    in batches as in one call.

    Raises:
        InputError: the seed does not fit 64 bits, `num_samples` is below 1, or the truncation is
            negative.
    """
    seed = check_whole("seed", seed)
    if not -(2**63) <= seed < 2**63:
        raise InputError(f"seed must fit a signed 64-bit integer; received {seed}")
    check_whole("num_samples", num_samples, 1)
    limit = check_truncation(truncation)
    if limit == 0:
        return np.zeros([num_clips, num_samples, latent_size], np.float32)
    z = _compiled(latent_size)(
        tf.constant(_wrapped(seed + first_clip * _ROW_STEP), tf.int64),
        tf.constant(num_clips, tf.int64),
        tf.constant(num_samples, tf.int64),
        tf.constant(limit, tf.float64),
    )
    return z.numpy().reshape(num_clips, num_samples, latent_size)
