"""Predictors that run a generator in this process or an exported model."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import from_height_width
from trivd_tf.base.model_files import LABELS
from trivd_tf.base.replicas import OverReplicas
from trivd_tf.inference.horizon import predict_horizon, predict_horizon_with_motion
from trivd_tf.inference.predictor_base import Predictor


class GeneratorPredictor(Predictor):
    """Predicts with a generator in this process.

    Args:
        generator: a generator with averaged weights and standing statistics set.
        stride: frame stride used in training.
        fps: frame rate to which videos were resampled first; None for every coded frame.
        class_names: names of its classes.
    """

    def __init__(
        self,
        generator: Any,
        *,
        stride: int = 1,
        fps: float | None = None,
        class_names: tuple[str, ...] = (),
    ) -> None:
        self.generator = generator
        self.num_conditioning_frames = generator.num_conditioning_frames
        self.num_predicted_frames = generator.num_predicted_frames
        self.frame_size = generator.frame_size
        self.latent_size = generator.latent_size
        self.has_motion = generator.has_motion
        self.stride = stride
        self.fps = fps
        self.num_classes = generator.num_classes
        self.class_names = class_names
        signature = [
            tf.TensorSpec([None, self.num_conditioning_frames, *self.frame_shape, 3], tf.uint8),
            tf.TensorSpec([None, self.latent_size], tf.float32),
            tf.TensorSpec([None], tf.int32),
        ]
        self._plain = tf.function(
            lambda *inputs: predict_horizon(generator, *inputs),
            input_signature=signature,
            autograph=False,
        )
        self._moving = tf.function(
            lambda *inputs: predict_horizon_with_motion(generator, *inputs),
            input_signature=signature,
            autograph=False,
        )

    def _run(
        self, conditioning: np.ndarray, z: np.ndarray, labels: np.ndarray | None, with_motion: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        if labels is None:
            labels = np.zeros([len(z)], np.int32)  # the dummy class
        outputs = (self._moving if with_motion else self._plain)(conditioning, z, labels)
        return outputs["frames"].numpy(), outputs["flow"].numpy() if with_motion else None


class ReplicatedPredictor(GeneratorPredictor):
    """Predicts with a generator created under a strategy; clips are split over the replicas."""

    def __init__(self, generator: Any, strategy: tf.distribute.Strategy, **options: Any) -> None:
        super().__init__(generator, **options)
        self._over_replicas = {
            False: OverReplicas(strategy, lambda *given: predict_horizon(generator, *given)),
            True: OverReplicas(
                strategy, lambda *given: predict_horizon_with_motion(generator, *given)
            ),
        }

    def _run(
        self, conditioning: np.ndarray, z: np.ndarray, labels: np.ndarray | None, with_motion: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        if labels is None:
            labels = np.zeros([len(z)], np.int32)  # the dummy class
        outputs = self._over_replicas[with_motion](conditioning, z, labels)
        return outputs["frames"], outputs["flow"] if with_motion else None


class SavedModelPredictor(Predictor):
    """Predicts with an exported model.

    Args:
        path: directory of the SavedModel.

    Raises:
        InputError: the model does not load, or was not written by `trivd export`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            self._model = tf.saved_model.load(os.fspath(path))
            self._plain = self._model.signatures["sample_from_z"]
            self._moving = self._model.signatures.get("predict_with_motion_from_z")
            inputs = self._plain.structured_input_signature[1]
            _, count, height, width, _ = inputs["conditioning_frames"].shape
            self.latent_size = inputs["z"].shape[-1]
            self.num_predicted_frames = self._plain.structured_outputs["frames"].shape[1]
            self.stride = int(self._model.stride.numpy())
            if hasattr(self._model, "fps"):  # exports of 1.0 have none
                self.fps = float(self._model.fps.numpy()) or None
            if "labels" in inputs:
                self.num_classes = int(self._model.num_classes.numpy())
                self.class_names = _class_names(Path(path), self.num_classes)
        except (OSError, ValueError, KeyError, AttributeError, tf.errors.OpError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{path}: not a SavedModel that `trivd export` made ({reason})"
            ) from error
        self.num_conditioning_frames = count
        self.frame_size = from_height_width(height, width)
        self.has_motion = self._moving is not None

    def _run(
        self, conditioning: np.ndarray, z: np.ndarray, labels: np.ndarray | None, with_motion: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        run = self._moving if with_motion and self._moving is not None else self._plain
        inputs = {"conditioning_frames": tf.constant(conditioning), "z": tf.constant(z)}
        if labels is not None:
            inputs["labels"] = tf.constant(labels)
        outputs = run(**inputs)
        return outputs["frames"].numpy(), outputs["flow"].numpy() if with_motion else None


def _class_names(export_dir: Path, num_classes: int | None) -> tuple[str, ...]:
    """Reads the class names beside an export; empty if the file is missing or does not match."""
    try:
        names = (export_dir / LABELS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ()
    return tuple(names) if len(names) == num_classes else ()
