"""Several configurations trained under one budget, scored alike and put side by side."""

from trivd_tf.comparison.budget import Budget, TimeLimit
from trivd_tf.comparison.cell import CellResult, run_cell
from trivd_tf.comparison.report import Comparison

__all__ = ["Budget", "CellResult", "Comparison", "TimeLimit", "run_cell"]
