"""Predictors for model directories, exports and remote models."""

from trivd_tf.inference.open import OpenedModel, load_predictor, open_model
from trivd_tf.inference.predict_files import PredictedFile, predict_clip, predict_files
from trivd_tf.inference.predictor import GeneratorPredictor, SavedModelPredictor
from trivd_tf.inference.predictor_base import Predictor

__all__ = [
    "GeneratorPredictor",
    "OpenedModel",
    "PredictedFile",
    "Predictor",
    "SavedModelPredictor",
    "load_predictor",
    "open_model",
    "predict_clip",
    "predict_files",
]
