"""Scores of a model: protocol, baselines, report."""

from trivd_tf.evaluation.evaluate import evaluate
from trivd_tf.evaluation.options import EvaluationOptions
from trivd_tf.evaluation.report import Report, Row

__all__ = ["EvaluationOptions", "Report", "Row", "evaluate"]
