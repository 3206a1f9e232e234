"""Options of a training run: batch, optimizers, intervals (docs/architecture.md, section 6)."""

import dataclasses
import math

from trivd_tf.base.errors import InputError
from trivd_tf.experiment.option_types import check_types

# A step count that is never reached: training continues until it is stopped.
ENDLESS = 10**9
PRECISIONS = ("float32", "mixed_bfloat16", "float64")


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """Hyperparameters of one run; the defaults are the paper's.

    Attributes:
        batch_size: global batch size over all replicas.
        num_steps: total number of generator updates.
        discriminator_steps: discriminator updates per generator update.
        generator_learning_rate, discriminator_learning_rate: Adam learning rates.
        beta_1, beta_2, adam_epsilon: parameters of Adam.
        optimizer: `adam`, or `sgd` for checks in which rounding errors must not be amplified.
        orthogonal_penalty: weight of the penalty on the generator's raw weights.
        prediction_loss: weight of the mean absolute difference between predicted and real frames in
            [-1, 1], added to the generator's loss; the paper uses 0, no such loss.
        prediction_draws: number of predictions per clip whose mean enters `prediction_loss`. More
            than 1 preserves the spread of a stochastic model, at the cost of a forward pass each.
        ema_decay, ema_start_step: parameters of the average of the generator's weights.
        mean_of_discriminators: average the discriminators' losses instead of summing them.
        mix_over_replicas: mixed projection over the global batch instead of each replica's batch.
        precision: `float32`, `mixed_bfloat16` or `float64`.
        recompute: recompute residual blocks in the backward pass instead of storing their
            activations: less memory, more time, the same result.
        jit_compile: compile the small operations of a step (spectral norms, batch norms, the
            recurrent step, penalty, optimizer, average) with XLA into one operation each: True (on
            one device), False, or `auto` (off, until it has been measured on a GPU). On a TPU,
            whole updates are always compiled.
        deterministic: whether a run is reproducible to the last bit: `auto` (on if all devices are
            CPUs, where it costs little; off on GPU and TPU), True or False.
        steps_per_loop: generator updates per call of the compiled loop.
        checkpoint_every_steps, keep_checkpoints: interval between checkpoints, and their number.
        save_patience_seconds: how long saving a checkpoint is retried before the run ends.
        summary_every_steps: interval of TensorBoard scalars.
        sample_every_steps: interval of TensorBoard sample videos; 0 for never.
        evaluate_every_steps: interval of scoring on the training set, which selects the `best`
            model; 0 for never.
    """

    batch_size: int = 512
    num_steps: int = 700_000
    discriminator_steps: int = 2
    generator_learning_rate: float = 1e-4
    discriminator_learning_rate: float = 5e-4
    beta_1: float = 0.0
    beta_2: float = 0.999
    adam_epsilon: float = 1e-8
    optimizer: str = "adam"
    orthogonal_penalty: float = 1e-4
    prediction_loss: float = 0.0
    prediction_draws: int = 1
    ema_decay: float = 0.9999
    ema_start_step: int = 20_000
    mean_of_discriminators: bool = False
    mix_over_replicas: bool = False
    precision: str = "float32"
    recompute: bool = False
    jit_compile: bool | str = "auto"
    deterministic: bool | str = "auto"
    steps_per_loop: int = 100
    checkpoint_every_steps: int = 1000
    keep_checkpoints: int = 3
    save_patience_seconds: float = 60.0
    summary_every_steps: int = 100
    sample_every_steps: int = 1000
    evaluate_every_steps: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("batch_size", "num_steps", "discriminator_steps", "steps_per_loop"):
            self._at_least(name, 1)
        for name in ("checkpoint_every_steps", "keep_checkpoints", "summary_every_steps"):
            self._at_least(name, 1)
        self._at_least("prediction_draws", 1)
        for name in (
            "orthogonal_penalty",
            "prediction_loss",
            "ema_start_step",
            "sample_every_steps",
        ):
            self._at_least(name, 0)
        self._at_least("evaluate_every_steps", 0)
        if self.prediction_draws > 1 and not self.prediction_loss:
            self._refuse("prediction_draws", "1 where prediction_loss is 0")
        self._at_least("save_patience_seconds", 0)
        for name in ("generator_learning_rate", "discriminator_learning_rate", "adam_epsilon"):
            if not 0 < getattr(self, name) < math.inf:
                self._refuse(name, "more than 0 and finite")
        for name in ("beta_1", "beta_2", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                self._refuse(name, "at least 0 and below 1")
        if self.precision not in PRECISIONS:
            self._refuse("precision", f"one of {', '.join(PRECISIONS)}")
        for name in ("jit_compile", "deterministic"):
            if getattr(self, name) not in (True, False, "auto"):
                self._refuse(name, 'True, False or "auto"')
        if self.optimizer not in ("adam", "sgd"):
            self._refuse("optimizer", "adam or sgd")

    def _at_least(self, name: str, bound: int) -> None:
        if not getattr(self, name) >= bound:
            self._refuse(name, f"at least {bound}")

    def _refuse(self, name: str, wanted: str) -> None:
        raise InputError(f"TrainingOptions.{name} must be {wanted}; it is {getattr(self, name)!r}")
