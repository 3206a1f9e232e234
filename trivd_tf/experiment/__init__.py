"""What a run is: one object that names everything train, evaluate and export take."""

from trivd_tf.experiment.evaluation_options import EvaluationOptions
from trivd_tf.experiment.experiment import Experiment
from trivd_tf.experiment.training_options import TrainingOptions

__all__ = ["EvaluationOptions", "Experiment", "TrainingOptions"]
