"""Input checks in an exported graph; messages name the input, the expected and received values.

They run wherever the model runs: TensorFlow Serving checks the names and types of a request against
the signature, but not shapes or values.
"""

from collections.abc import Sequence

import tensorflow as tf

# Largest number of values in a response, 1 GiB in float32, so that one request cannot exhaust a
# server's memory.
LARGEST_ANSWER = 2**28


def check_conditioning(frames: tf.Tensor, clip_shape: Sequence[int]) -> tf.Tensor:
    """Returns `frames`, checked to be uint8 `[B >= 1, *clip_shape]`."""
    wanted = ", ".join(str(length) for length in clip_shape)
    shape = true_shape(frames)
    # Padded, so that a wrong rank gives this message and not one about slicing.
    padded = tf.concat([shape, [-1] * 6], axis=0)
    right = tf.reduce_all(tf.equal(padded[1:6], [*clip_shape, -1])) & (padded[0] > 0)
    check = tf.debugging.Assert(
        right,
        [
            f"conditioning_frames must be uint8 [batch, {wanted}] (clips, frames, height, "
            "width, RGB) with at least one clip; received shape:",
            shape,
        ],
        summarize=8,
    )
    with tf.control_dependencies([check]):
        return tf.ensure_shape(tf.identity(frames), [None, *clip_shape])


def check_z(z: tf.Tensor, conditioning: tf.Tensor, latent_size: int) -> tf.Tensor:
    """Returns `z`, checked to be finite float32 `[B, latent_size]`."""
    shape = true_shape(z)
    wanted = tf.stack([tf.shape(conditioning)[0], latent_size, -1])
    padded = tf.concat([shape, [-1] * 3], axis=0)[:3]
    shape_check = tf.debugging.Assert(
        tf.reduce_all(tf.equal(padded, wanted)),
        [
            f"z must be float32 [batch, {latent_size}], one row for each clip of "
            "conditioning_frames; received shape:",
            shape,
        ],
        summarize=8,
    )
    with tf.control_dependencies([shape_check]):
        # Flattened: the check runs for any shape.
        all_finite = tf.reduce_all(tf.math.is_finite(tf.reshape(z, [-1])))
    finite = tf.debugging.Assert(all_finite, ["z must be finite; it holds infinity or NaN"])
    with tf.control_dependencies([finite]):
        return tf.ensure_shape(tf.identity(z), [None, latent_size])


def check_labels(labels: tf.Tensor, conditioning: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Returns `labels`, checked to be int32 `[B]` in `[0, num_classes)`; empty gives class 0."""
    shape = true_shape(labels)
    batch = tf.shape(conditioning)[0]
    padded = tf.concat([shape, [-1] * 2], axis=0)[:2]
    shape_check = tf.debugging.Assert(
        (tf.equal(padded[0], batch) | tf.equal(padded[0], 0)) & tf.equal(padded[1], -1),
        [
            "labels must be int32 [batch], one class for each clip of conditioning_frames; "
            "received shape:",
            shape,
        ],
        summarize=8,
    )
    with tf.control_dependencies([shape_check]):
        flat = tf.reshape(labels, [-1])
    range_check = tf.debugging.Assert(
        tf.reduce_all((flat >= 0) & (flat < num_classes)),
        [f"labels must be from 0 to {num_classes - 1}; received:", flat],
        summarize=16,
    )
    with tf.control_dependencies([range_check]):
        # Pad with zeros; an empty tensor becomes all zeros.
        missing = tf.zeros([batch - tf.size(flat)], tf.int32)
        return tf.ensure_shape(tf.concat([flat, missing], axis=0), [None])


def check_at_least_one(name: str, value: tf.Tensor) -> tf.Operation:
    return tf.debugging.Assert(value >= 1, [f"{name} must be at least 1; received:", value])


def check_answer(
    num_clips: tf.Tensor,
    num_samples: tf.Tensor,
    num_frames: tf.Tensor | int,
    frame_shape: Sequence[int],
) -> tf.Operation:
    """Checks that a response has at most `LARGEST_ANSWER` values."""
    height, width, channels = frame_shape
    # In floating point: the product of the requested integers may overflow.
    requested = [num_clips, num_samples, num_frames]
    total = float(height * width * channels) * tf.reduce_prod(
        tf.stack([tf.cast(number, tf.float64) for number in requested])
    )
    return tf.debugging.Assert(
        total <= float(LARGEST_ANSWER),
        [
            f"the answer would hold more than {LARGEST_ANSWER} numbers; ask for fewer clips, "
            "num_samples or num_frames at once; received clips, num_samples, num_frames:",
            *requested,
        ],
    )


def true_shape(tensor: tf.Tensor) -> tf.Tensor:
    """Returns the shape at run time.

    A check against the static shape would be folded away at tracing time; this identity hides the
    static shape if at least the batch size is unknown.
    """
    return tf.shape(tf.raw_ops.PlaceholderWithDefault(input=tensor, shape=None))
