"""The experiment: one object that holds all options of training, evaluation and export."""

from trivd_tf.experiment.evaluation_options import EvaluationOptions
from trivd_tf.experiment.experiment import Experiment
from trivd_tf.experiment.training_options import TrainingOptions

__all__ = ["EvaluationOptions", "Experiment", "TrainingOptions"]
