"""Comparison of several configurations, trained under one budget and scored alike."""

from trivd_tf.comparison.budget import Budget, TimeLimit
from trivd_tf.comparison.cell import CellResult, run_cell
from trivd_tf.comparison.report import Comparison

__all__ = ["Budget", "CellResult", "Comparison", "TimeLimit", "run_cell"]
