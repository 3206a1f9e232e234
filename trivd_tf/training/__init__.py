"""Training: the step, the loop, checkpoints, the average and standing statistics."""

from trivd_tf.training.ema import WeightAverage
from trivd_tf.training.loop import LoopResult, train
from trivd_tf.training.options import TrainingOptions
from trivd_tf.training.standing_statistics import estimate_standing_statistics
from trivd_tf.training.strategy import make_strategy

__all__ = [
    "LoopResult",
    "TrainingOptions",
    "WeightAverage",
    "estimate_standing_statistics",
    "make_strategy",
    "train",
]
