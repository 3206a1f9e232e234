"""Runs the generator for one trained horizon on uint8 frames; used by predictors and exports."""

from typing import Any

import tensorflow as tf

from trivd_tf.base.pixels import byte_tensor, float_tensor


def next_conditioning(conditioning: tf.Tensor, frames: tf.Tensor) -> tf.Tensor:
    """Appends `frames` and returns the last Tc frames, the conditioning of the next horizon."""
    count = conditioning.shape[1]
    return tf.concat([conditioning, frames], axis=1)[:, -count:]


def predict_horizon(
    generator: Any, conditioning: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None = None
) -> dict[str, tf.Tensor]:
    """Runs the generator for one horizon.

    Args:
        generator: a `trivd_tf.models.Generator`, or a callable with the same interface.
        conditioning: uint8 `[B, Tc, S, S, 3]`.
        z: float32 `[B, latent_size]`.
        labels: int32 `[B]`, the class of each clip; defaults to class 0.

    Returns:
        `frames` uint8 and `frames_float` float32 in [-1, 1], `[B, T, S, S, 3]`.
    """
    frames = generator(float_tensor(conditioning), z, labels=labels, training=False)
    frames = tf.cast(frames, tf.float32)
    return {"frames": byte_tensor(frames), "frames_float": frames}


def predict_horizon_with_motion(
    generator: Any, conditioning: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None = None
) -> dict[str, tf.Tensor]:
    """As `predict_horizon`, and returns the motion fields too.

    The fields hold (dy, dx), the displacement to the source (docs/architecture.md, section 4).

    Returns:
        Additionally `flow` `[B, T, S, S, 2]` in pixels of the frames, and the field of each stage,
        `flow_stage_1` ... `[B, T, h, w, 2]`, in pixels of that stage, coarsest first.
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
