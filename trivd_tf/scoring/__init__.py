"""Scores video files of any origin, for `trivd score REAL FAKE`."""

from trivd_tf.scoring.plots import plot_by_samples
from trivd_tf.scoring.report import Figure, Score
from trivd_tf.scoring.rules import RULES, Rule, find_rule
from trivd_tf.scoring.score import Options, score

__all__ = ["RULES", "Figure", "Options", "Rule", "Score", "find_rule", "plot_by_samples", "score"]
