"""Training: step, loop, checkpoints, weight average and standing statistics."""

from trivd_tf.experiment import TrainingOptions
from trivd_tf.training.distribution.strategy import make_strategy
from trivd_tf.training.ema import WeightAverage
from trivd_tf.training.loop import LoopResult, train
from trivd_tf.training.standing_statistics import estimate_standing_statistics

__all__ = [
    "LoopResult",
    "TrainingOptions",
    "WeightAverage",
    "estimate_standing_statistics",
    "make_strategy",
    "train",
]
