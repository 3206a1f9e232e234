"""Predictors: futures of clips from a run, an export or an address."""

from trivd_tf.inference.predict_files import PredictedFile, predict_clip, predict_files
from trivd_tf.inference.predictor import GeneratorPredictor, SavedModelPredictor, load_predictor
from trivd_tf.inference.predictor_base import Predictor

__all__ = [
    "GeneratorPredictor",
    "PredictedFile",
    "Predictor",
    "SavedModelPredictor",
    "load_predictor",
    "predict_clip",
    "predict_files",
]
