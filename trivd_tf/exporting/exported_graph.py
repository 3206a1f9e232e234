"""The graph of an exported model: its weights, its checks and its signatures."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from trivd_tf.exporting import graph_checks
from trivd_tf.inference.horizon import (
    next_conditioning,
    predict_horizon,
    predict_horizon_with_motion,
)
from trivd_tf.inference.latents import draw_latents, row_seeds

WEIGHT_TYPES = ("float32", "float16", "bfloat16")
Outputs = dict[str, tf.Tensor]


class ExportedGraph:
    """The functions of an exported generator, on its own copy of the weights.

    This is not a trackable object: only `root` is saved. The weights are plain `tf.Variable`s,
    because a Keras 3 model would be saved with each variable twice, and a TF1 session, as used by
    TensorFlow Serving, could not load it.

    Args:
        generator: a built `trivd_tf.models.Generator`, or a callable with the same interface, with
            averaged weights and standing statistics set.
        weight_type: `float32`, or `float16` or `bfloat16` to store kernels in half the space;
            computation is in float32 in any case.
        stride: frame stride used in training, saved with the model.
        fps: frame rate to which videos were resampled, saved with the model; None for every coded
            frame.
    """

    def __init__(
        self,
        generator: Any,
        *,
        weight_type: str = "float32",
        stride: int = 1,
        fps: float | None = None,
    ) -> None:
        if weight_type not in WEIGHT_TYPES:
            raise ValueError(
                f"weight_type must be one of {', '.join(WEIGHT_TYPES)}. Received: {weight_type!r}"
            )
        self._generator = generator
        self._originals = list(generator.variables)
        self.weights = [_stored(variable, weight_type) for variable in self._originals]
        frame = (*generator.frame_shape, 3)
        self.clip_shape = (generator.num_conditioning_frames, *frame)
        self.num_predicted_frames = int(generator.num_predicted_frames)
        self._horizon_shape = (self.num_predicted_frames, *frame)
        self.latent_size = int(generator.latent_size)
        self.stride = stride
        self.fps = fps
        self.has_motion = bool(generator.has_motion)
        self.num_classes = int(generator.num_classes)
        self.has_classes = self.num_classes > 1
        # Each function is traced once and called by every signature.
        specs = [
            tf.TensorSpec([None, *self.clip_shape], tf.uint8),
            tf.TensorSpec([None, self.latent_size], tf.float32),
            tf.TensorSpec([None], tf.int32),
        ]
        self._plain = _function(self._bind(predict_horizon), specs)
        self._moving = _function(self._bind(predict_horizon_with_motion), specs)

    def _bind(self, run: Callable[..., Outputs]) -> Callable[..., Outputs]:
        """Returns `run` with the generator's weights replaced by those of this object."""

        def function(conditioning: tf.Tensor, z: tf.Tensor, labels: tf.Tensor) -> Outputs:
            # Read the weights once per call, not inside the recurrent steps.
            values = [
                (original, tf.cast(tf.convert_to_tensor(weight), original.dtype))
                for original, weight in zip(self._originals, self.weights, strict=True)
            ]
            with keras.StatelessScope(state_mapping=values):
                return run(self._generator, conditioning, z, labels)

        return function

    def plain(
        self, conditioning: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None = None
    ) -> Outputs:
        """Runs one horizon without input checks; class 0 without labels."""
        return self._plain(conditioning, z, self._class_0(z) if labels is None else labels)

    # Bodies of the signatures. Their argument names are the input names of the signatures; only
    # models with classes have the input `labels`.

    def serving_default(
        self, conditioning_frames: tf.Tensor, labels: tf.Tensor | None = None
    ) -> Outputs:
        conditioning = self._check_conditioning(conditioning_frames)
        return self._plain(
            conditioning, self._zeros(conditioning), self._check_labels(labels, conditioning)
        )

    def sample_from_z(
        self, conditioning_frames: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None = None
    ) -> Outputs:
        conditioning = self._check_conditioning(conditioning_frames)
        z = graph_checks.check_z(z, conditioning, self.latent_size)
        return self._plain(conditioning, z, self._check_labels(labels, conditioning))

    def predict_with_motion(
        self, conditioning_frames: tf.Tensor, labels: tf.Tensor | None = None
    ) -> Outputs:
        conditioning = self._check_conditioning(conditioning_frames)
        return self._moving(
            conditioning, self._zeros(conditioning), self._check_labels(labels, conditioning)
        )

    def predict_with_motion_from_z(
        self, conditioning_frames: tf.Tensor, z: tf.Tensor, labels: tf.Tensor | None = None
    ) -> Outputs:
        conditioning = self._check_conditioning(conditioning_frames)
        z = graph_checks.check_z(z, conditioning, self.latent_size)
        return self._moving(conditioning, z, self._check_labels(labels, conditioning))

    def sample(
        self,
        conditioning_frames: tf.Tensor,
        seed: tf.Tensor,
        truncation: tf.Tensor,
        num_samples: tf.Tensor,
        labels: tf.Tensor | None = None,
    ) -> Outputs:
        conditioning = self._check_conditioning(conditioning_frames)
        labels = self._check_labels(labels, conditioning)
        return self._plain(*self._draw(conditioning, labels, seed, truncation, num_samples, None))

    def predict_long(
        self,
        conditioning_frames: tf.Tensor,
        seed: tf.Tensor,
        truncation: tf.Tensor,
        num_samples: tf.Tensor,
        num_frames: tf.Tensor,
        labels: tf.Tensor | None = None,
    ) -> Outputs:
        conditioning = self._check_conditioning(conditioning_frames)
        labels = self._check_labels(labels, conditioning)
        num_frames = tf.ensure_shape(num_frames, [])
        with tf.control_dependencies([graph_checks.check_at_least_one("num_frames", num_frames)]):
            num_frames = tf.identity(num_frames)
        repeated, z, labels = self._draw(
            conditioning, labels, seed, truncation, num_samples, num_frames
        )
        # Run after z, and so after all checks: no memory is allocated for an absurd length.
        with tf.control_dependencies([z]):
            num_frames = tf.identity(num_frames)
        return self._run_long(repeated, z, labels, num_frames)

    def _run_long(
        self, conditioning: tf.Tensor, z: tf.Tensor, labels: tf.Tensor, num_frames: tf.Tensor
    ) -> Outputs:
        """Chains horizons; the returned bytes are fed back as conditioning, with the same z."""
        steps = self._horizon_shape[0]
        rounds = (num_frames + steps - 1) // steps

        def body(
            index: tf.Tensor, given: tf.Tensor, parts: tf.TensorArray, floats: tf.TensorArray
        ) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray, tf.TensorArray]:
            outputs = self._plain(given, z, labels)
            parts = parts.write(index, outputs["frames"])
            floats = floats.write(index, outputs["frames_float"])
            return index + 1, next_conditioning(given, outputs["frames"]), parts, floats

        element = [None, *self._horizon_shape]
        _, _, parts, floats = tf.while_loop(
            lambda index, *_: index < rounds,
            body,
            (
                tf.constant(0),
                conditioning,
                tf.TensorArray(tf.uint8, size=rounds, element_shape=element),
                tf.TensorArray(tf.float32, size=rounds, element_shape=element),
            ),
            shape_invariants=(
                tf.TensorShape([]),
                tf.TensorShape([None, *self.clip_shape]),
                tf.TensorShape(None),
                tf.TensorShape(None),
            ),
            parallel_iterations=1,
        )

        def join(array: tf.TensorArray) -> tf.Tensor:
            stacked = tf.transpose(array.stack(), [1, 0, 2, 3, 4, 5])
            shape = [tf.shape(conditioning)[0], rounds * steps, *self._horizon_shape[1:]]
            joined = tf.reshape(stacked, shape)[:, :num_frames]
            return tf.ensure_shape(joined, [None, None, *self._horizon_shape[1:]])

        return {"frames": join(parts), "frames_float": join(floats)}

    def _draw(
        self,
        conditioning: tf.Tensor,
        labels: tf.Tensor,
        seed: tf.Tensor,
        truncation: tf.Tensor,
        num_samples: tf.Tensor,
        num_frames: tf.Tensor | None,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns conditioning frames and labels repeated for each sample, and the latents."""
        # These messages name the input too; `true_shape` could not hide a scalar's known shape.
        seed, truncation, num_samples = (
            tf.ensure_shape(value, []) for value in (seed, truncation, num_samples)
        )
        length = self._horizon_shape[0] if num_frames is None else num_frames
        checks = [
            tf.debugging.Assert(
                truncation >= 0.0,  # refuses NaN too
                [
                    "truncation must be 0 (z = 0), a positive number, or infinity for none; "
                    "received:",
                    truncation,
                ],
            ),
            graph_checks.check_at_least_one("num_samples", num_samples),
            graph_checks.check_answer(
                tf.shape(conditioning)[0], num_samples, length, self._horizon_shape[1:]
            ),
        ]
        with tf.control_dependencies(checks):
            num_clips = tf.shape(conditioning)[0]
            z = draw_latents(row_seeds(seed, num_clips), num_samples, self.latent_size, truncation)
            # After the checks: no memory must be allocated for an absurd number.
            count = tf.identity(num_samples)
            return tf.repeat(conditioning, count, axis=0), z, tf.repeat(labels, count)

    def _check_conditioning(self, frames: tf.Tensor) -> tf.Tensor:
        return graph_checks.check_conditioning(frames, self.clip_shape)

    def _check_labels(self, labels: tf.Tensor | None, conditioning: tf.Tensor) -> tf.Tensor:
        if labels is None:
            return self._class_0(conditioning)
        return graph_checks.check_labels(labels, conditioning, self.num_classes)

    def _class_0(self, like: tf.Tensor) -> tf.Tensor:
        return tf.zeros([tf.shape(like)[0]], tf.int32)

    def _zeros(self, conditioning: tf.Tensor) -> tf.Tensor:
        return tf.zeros([tf.shape(conditioning)[0], self.latent_size])


def _function(body: Callable[..., Outputs], signature: list[tf.TensorSpec]) -> Any:
    # AutoGraph is not needed: all control flow uses TensorFlow ops.
    return tf.function(body, input_signature=signature, autograph=False)


def _stored(variable: Any, weight_type: str) -> tf.Variable:
    """Copies a variable in the type of `stored_value`."""
    value = stored_value(variable, weight_type)
    return tf.Variable(value, trainable=bool(variable.trainable), name=_name(variable))


def stored_value(variable: Any, weight_type: str) -> tf.Tensor:
    """Returns the exported value of a variable: kernels (all but vectors) in `weight_type`."""
    value = tf.convert_to_tensor(variable)
    if value.dtype.is_floating and value.shape.rank >= 2 and _is_kernel(variable):
        value = tf.cast(value, weight_type)
    return value


def _is_kernel(variable: Any) -> bool:
    # Standing statistics [T, C] are not kernels: half precision would cost more than it saves.
    return bool(variable.trainable)


def _name(variable: Any) -> str:
    return str(getattr(variable, "path", variable.name)).split(":")[0].replace("/", ".")
