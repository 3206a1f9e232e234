"""Using a trained generator: prediction, pictures, export (imports nothing of training)."""

from trivd_tf.inference.export import ExportResult, export_model
from trivd_tf.inference.figures import Prediction
from trivd_tf.inference.motion import flow_to_color
from trivd_tf.inference.predict_files import PredictedFile, predict_clip, predict_files
from trivd_tf.inference.predictor import GeneratorPredictor, SavedModelPredictor, load_predictor
from trivd_tf.inference.predictor_base import Predictor
from trivd_tf.inference.video_io import Clip, read_clip, write_gif, write_mp4, write_png

__all__ = [
    "Clip",
    "ExportResult",
    "GeneratorPredictor",
    "PredictedFile",
    "Prediction",
    "Predictor",
    "SavedModelPredictor",
    "export_model",
    "flow_to_color",
    "load_predictor",
    "predict_clip",
    "predict_files",
    "read_clip",
    "write_gif",
    "write_mp4",
    "write_png",
]
