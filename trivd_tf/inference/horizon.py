"""One trained horizon, bytes in and bytes out: what a predictor runs and what is exported."""

from typing import Any

import tensorflow as tf

from trivd_tf.base.pixels import byte_tensor, float_tensor


def next_conditioning(conditioning: tf.Tensor, frames: tf.Tensor) -> tf.Tensor:
    """The last Tc frames once `frames` have followed: what the next horizon starts from."""
    count = conditioning.shape[1]
    return tf.concat([conditioning, frames], axis=1)[:, -count:]


def predict_horizon(
    generator: Any, conditioning: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None = None
) -> dict[str, tf.Tensor]:
    """Runs the generator once.

    Args:
        generator: a `trivd_tf.models.Generator`, or what is called like one.
        conditioning: uint8 `[B, Tc, S, S, 3]`.
        z: float32 `[B, latent_size]`.
        labels: int32 `[B]`, the class of each clip; class 0 when left out.

    Returns:
        `frames` uint8 and `frames_float` float32 in [-1, 1], `[B, T, S, S, 3]`.
    """
    frames = generator(float_tensor(conditioning), z, labels=labels, training=False)
    frames = tf.cast(frames, tf.float32)
    return {"frames": byte_tensor(frames), "frames_float": frames}


def predict_horizon_with_motion(
    generator: Any, conditioning: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None = None
) -> dict[str, tf.Tensor]:
    """As `predict_horizon`, and the motion fields.

    They hold (dy, dx), pixels to the source (docs/architecture.md, section 4).

    Returns:
        Also `flow` `[B, T, S, S, 2]` in pixels of the frames, and each stage's own field
        `flow_stage_1` ... `[B, T, h, w, 2]` in pixels of that stage, coarsest first.
    """
    frames, stages = generator.predict_with_stage_motion(
        float_tensor(conditioning), z, labels=labels, training=False
    )
    frames = tf.cast(frames, tf.float32)
    outputs = {
        "frames": byte_tensor(frames),
        "frames_float": frames,
        "flow": tf.cast(generator.combine_motion(stages), tf.float32),
    }
    for index, stage in enumerate(stages):
        outputs[f"flow_stage_{index + 1}"] = tf.cast(stage, tf.float32)
    return outputs
