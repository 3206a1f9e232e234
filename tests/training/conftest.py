"""One tiny training set-up for all tests of this folder: tracing a step is what takes long."""

import dataclasses

import pytest
import tensorflow as tf

from tests.training.train_command import train
from trivd_tf import data, evaluation, experiment, models, training
from trivd_tf.training.checkpoints import Checkpoints, Counters
from trivd_tf.training.compiled_loop import CompiledLoop
from trivd_tf.training.distribution.batches import make_iterator
from trivd_tf.training.loop import build_step

__all__ = ["train"]


def tiny_experiment(**changes) -> experiment.Experiment:
    """ch 1, 2 -> 3 frames of 16 x 16, batch 2, an average from step 2 on."""
    options = {
        "batch_size": 2,
        "num_steps": 4,
        "ema_decay": 0.75,
        "ema_start_step": 2,
        "steps_per_loop": 2,
        "checkpoint_every_steps": 2,
        "summary_every_steps": 2,
        "sample_every_steps": 4,
        **changes,
    }
    return experiment.Experiment(
        clip=data.ClipSpec(num_conditioning_frames=2, num_predicted_frames=3, size=16),
        data=data.BouncingDigits(),
        generator=models.generator(channel_multiplier=1, recurrent_unit="tsru_p"),
        discriminators=models.discriminators(channel_multiplier=1, num_sampled_frames=2),
        training=training.TrainingOptions(**options),
        evaluation=evaluation.EvaluationOptions(
            num_samples=4, batch_size=4, standing_batches=2, standing_batch_size=4
        ),
    )


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """None here: setting TensorFlow's seed throws its compiled functions away.

    What is random in training is a function of the run's own seed anyway.
    """


@dataclasses.dataclass
class TinyRun:
    """A compiled loop and all that belongs to it; `reset` goes back to the start."""

    experiment: experiment.Experiment
    step: object
    counters: Counters
    loop: CompiledLoop
    checkpoints: Checkpoints
    start: str

    def iterator(self):
        """Training batches from where the counters stand."""
        strategy = tf.distribute.get_strategy()
        return make_iterator(self.experiment, strategy, 7, int(self.counters.clips))

    def reset(self) -> None:
        self.checkpoints._checkpoint.restore(self.start)


@pytest.fixture(scope="session")
def tiny_session(tmp_path_factory) -> TinyRun:
    tf.config.experimental.enable_op_determinism()  # as `train` does
    tiny = tiny_experiment()
    step = build_step(tiny, tf.distribute.get_strategy(), 7)
    counters = Counters()
    folder = tmp_path_factory.mktemp("tiny")
    checkpoints = Checkpoints(folder / "start", step, counters)
    loop = CompiledLoop(step, tf.distribute.get_strategy(), counters)
    return TinyRun(tiny, step, counters, loop, checkpoints, checkpoints.save())


@pytest.fixture
def tiny(tiny_session: TinyRun) -> TinyRun:
    """The shared set-up at its first step."""
    tiny_session.reset()
    return tiny_session
