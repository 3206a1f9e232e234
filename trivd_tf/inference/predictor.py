"""Predictors: futures of clips from a model directory, an exported model, or a TF-Hub handle."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trivd_tf.base import shipped
from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import from_height_width
from trivd_tf.base.model_files import (
    CONFIG,
    EXPORT_RECORD,
    LABELS,
    SAVED_MODEL,
    is_export,
    is_model_dir,
)
from trivd_tf.inference.horizon import predict_horizon, predict_horizon_with_motion
from trivd_tf.inference.predictor_base import Predictor
from trivd_tf.runs.open import open_run
from trivd_tf.runs.stored_weights import WeightsKey

_REMOTE = ("http://", "https://", "gs://")


class GeneratorPredictor(Predictor):
    """Predicts with a generator in this process.

    Args:
        generator: with averaged weights and standing statistics in place.
        stride: of the frames it was trained on.
        fps: frames a second that videos were brought to first; None is every coded frame.
        class_names: of its classes.
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
            lambda *inputs: predict_horizon(generator, *inputs), input_signature=signature
        )
        self._moving = tf.function(
            lambda *inputs: predict_horizon_with_motion(generator, *inputs),
            input_signature=signature,
        )

    def _run(
        self, conditioning: np.ndarray, z: np.ndarray, labels: np.ndarray | None, with_motion: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        if labels is None:
            labels = np.zeros([len(z)], np.int32)  # the dummy class
        outputs = (self._moving if with_motion else self._plain)(conditioning, z, labels)
        return outputs["frames"].numpy(), outputs["flow"].numpy() if with_motion else None


class SavedModelPredictor(Predictor):
    """Predicts with an exported model.

    Args:
        path: directory of the SavedModel.

    Raises:
        InputError: it does not load, or was not made by `trivd export`.
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


def load_predictor(
    path: str | os.PathLike[str],
    step: int | str | None = None,
    *,
    standing_batches: int | None = None,
    standing_batch_size: int | None = None,
) -> Predictor:
    """Loads what `trivd train` or `trivd export` wrote.

    One line on stderr states which weights it takes.

    Args:
        path: a model directory, the directory of an exported SavedModel, the name of a model that
            comes with the package (`small`), or the address of an export that TensorFlow Hub can
            fetch (`https://...`, `gs://...`).
        step: of a model directory's checkpoint, or "best"; the newest when left out.
        standing_batches, standing_batch_size: of a model directory's standing statistics; as its
            configuration says when left out.

    Raises:
        InputError: it is neither, or a step was asked of an export; the message names it.
    """
    if str(path).startswith(_REMOTE):
        path = _fetch(str(path))
    path = shipped.find_model(path)
    if is_export(path):
        if step is not None:
            raise InputError(f"--step {step}: {path} is an exported model, which has one step only")
        if standing_batches or standing_batch_size:
            raise InputError(
                f"--standing_batches, --standing_batch_size: the standing statistics of {path}, an "
                "exported model, are part of it; leave them out"
            )
        predictor = SavedModelPredictor(path)
        _state_weights(path)
        return predictor
    if not path.exists():
        names = ", ".join(shipped.shipped_models())
        raise InputError(
            f"{path}: no such directory; give a model directory or an exported model"
            + (f", or one of those that come with trivd_tf: {names}" if names else "")
        )
    if not is_model_dir(path):
        raise InputError(
            f"{path}: neither a model directory (no {CONFIG} in it) nor an exported SavedModel "
            f"(no {SAVED_MODEL})"
        )
    restored = open_run(
        path,
        step=step,
        standing_batches=standing_batches,
        standing_batch_size=standing_batch_size,
    )
    return GeneratorPredictor(
        restored.generator,
        stride=restored.stride,
        fps=restored.fps,
        class_names=restored.labels,
    )


def _state_weights(export_dir: Path) -> None:
    """Prints what `export.json` says of the weights, if it does."""
    try:
        held = json.loads((export_dir / EXPORT_RECORD).read_text(encoding="utf-8"))["weights"]
        print(f"weights: of the export {export_dir}: {WeightsKey(**held)}", file=sys.stderr)
    except (OSError, ValueError, KeyError, TypeError):
        print(f"weights: of the export {export_dir}, which does not name them", file=sys.stderr)


def _class_names(export_dir: Path, num_classes: int | None) -> tuple[str, ...]:
    """The names beside an export; none where the file is gone or another model's."""
    try:
        names = (export_dir / LABELS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ()
    return tuple(names) if len(names) == num_classes else ()


def _fetch(handle: str) -> str:
    """Downloads (once, into TensorFlow Hub's cache) what a handle names."""
    import tensorflow_hub

    try:
        return tensorflow_hub.resolve(handle)
    except Exception as error:  # the library lets everything through that the network can do
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{handle}: could not be fetched ({reason})") from error
