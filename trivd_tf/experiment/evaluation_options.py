"""Options of an evaluation."""

import dataclasses

from trivd_tf.base.errors import InputError
from trivd_tf.experiment.option_types import check_types

RESIZE_RULES = ("tf1_bilinear", "tf2_bilinear", "antialiased")


@dataclasses.dataclass(frozen=True)
class EvaluationOptions:
    """Everything that a score depends on; the report prints it beside the score.

    Attributes:
        split: `test` or `train`.
        num_samples: number of real clips, and of predicted clips.
        batch_size: number of clips predicted at once.
        standing_batches, standing_batch_size: number and size of the batches for the standing
            statistics.
        resize: rule for resizing frames to I3D's 224 x 224.
        i3d: source of the I3D weights: None for the installed ones, else a weight file, or a TF-Hub
            handle or directory of deepmind/i3d-kinetics-400/1.
        seed: seed of the latents and of the order of clips.
        truncation: latents beyond this are redrawn; None for no truncation, 0 for z = 0.
        num_runs: number of times that the model is scored, each with latents and standing
            statistics of another seed (`seed`, `seed + 1`, ...); the scores are then mean and
            unbiased standard deviation.
    """

    split: str = "test"
    num_samples: int = 2048
    batch_size: int = 32
    standing_batches: int = 100
    standing_batch_size: int = 256
    resize: str = "tf1_bilinear"
    i3d: str | None = None
    seed: int = 0
    truncation: float | None = None
    num_runs: int = 1

    def __post_init__(self) -> None:
        check_types(self)
        if self.split not in ("train", "test"):
            self._refuse("split", "train or test")
        if not self.num_samples >= 2:
            self._refuse("num_samples", "at least 2 (a covariance needs two clips)")
        for name in ("batch_size", "standing_batches", "standing_batch_size", "num_runs"):
            if not getattr(self, name) >= 1:
                self._refuse(name, "at least 1")
        if self.resize not in RESIZE_RULES:
            self._refuse("resize", f"one of {', '.join(RESIZE_RULES)}")
        if self.truncation is not None and not self.truncation >= 0:
            self._refuse("truncation", "None, 0 or a positive number")

    def _refuse(self, name: str, wanted: str) -> None:
        raise InputError(
            f"EvaluationOptions.{name} must be {wanted}; it is {getattr(self, name)!r}"
        )
