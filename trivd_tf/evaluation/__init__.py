"""Evaluation of a model: protocols, baselines, pictures, reports, the paper's tables."""

from trivd_tf.evaluation.evaluate import evaluate
from trivd_tf.evaluation.protocols import PROTOCOLS, Scoring, apply_protocol, find_protocol
from trivd_tf.evaluation.reporting.pictures import Pictures
from trivd_tf.evaluation.reporting.report import Report, Row
from trivd_tf.evaluation.training_score import TrainingScore
from trivd_tf.experiment import EvaluationOptions

__all__ = [
    "PROTOCOLS",
    "EvaluationOptions",
    "Pictures",
    "Report",
    "Row",
    "Scoring",
    "TrainingScore",
    "apply_protocol",
    "evaluate",
    "find_protocol",
]
