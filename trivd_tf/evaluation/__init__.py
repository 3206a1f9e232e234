"""Scores of a model: protocol, baselines, report."""

from trivd_tf.evaluation.options import EvaluationOptions

__all__ = ["EvaluationOptions"]
