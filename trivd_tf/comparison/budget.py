"""Training budget of every cell of a comparison: a number of steps, or of minutes."""

import dataclasses
import json
import pathlib

from trivd_tf.base.storage import write_whole
from trivd_tf.experiment import Experiment
from trivd_tf.experiment.training_options import ENDLESS
from trivd_tf.training.loop import Stop


@dataclasses.dataclass(frozen=True)
class Budget:
    """Training budget; exactly one of the two is set.

    Attributes:
        steps: generator updates.
        minutes: of training, as `TimeLimit` counts them.
    """

    steps: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("a budget is either steps or minutes")

    def __str__(self) -> str:
        if self.steps is not None:
            return f"{self.steps} step{'s' * (self.steps != 1)}"
        return f"{self.minutes:g} minute{'s' * (self.minutes != 1)} of training"

    def applied(self, experiment: Experiment) -> Experiment:
        """Return the experiment with as many steps as the budget allows."""
        steps = ENDLESS if self.steps is None else self.steps
        training = dataclasses.replace(experiment.training, num_steps=steps)
        return dataclasses.replace(experiment, training=training)


class TimeLimit:
    """Ends training after some minutes in the compiled loop, over all starts of a run.

    Only the time of the compiled loops counts, not that of checkpoints and sample videos. The first
    loop of a process includes tracing and compilation, so its steps are charged at the rate of the
    next loop. The time used is stored beside the run, so an interrupted run resumes with the rest.

    Args:
        path: file that stores the time used, one JSON object per line.
        resume_at: step that training resumes from.
        minutes: the limit; None only measures.
        outer: another reason to stop, such as a signal.
    """

    def __init__(
        self,
        path: str | pathlib.Path,
        *,
        resume_at: int,
        minutes: float | None,
        outer: Stop | None = None,
    ) -> None:
        self._path = pathlib.Path(path)
        self._limit = None if minutes is None else 60.0 * minutes
        self._outer = outer
        self._uncharged = 0  # steps of this process's first loop
        self._is_first = True
        self.seconds = 0.0
        kept = [line for line in self._lines() if line["step"] <= resume_at]
        self._step = resume_at
        if kept:
            self.seconds = kept[-1]["seconds"]
        if self._path.exists():
            write_whole(self._path, "".join(json.dumps(line) + "\n" for line in kept))

    def _lines(self) -> list[dict]:
        lines = []
        for text in self._path.read_text().splitlines() if self._path.exists() else []:
            try:
                lines.append(json.loads(text))
            except ValueError:
                continue  # truncated by an interruption
        return lines

    def is_set(self) -> bool:
        """Whether training should end now."""
        if self._outer is not None and self._outer.is_set():
            return True
        return self._limit is not None and self.seconds >= self._limit

    def add(self, steps: int, seconds: float) -> None:
        """Add the time of one compiled loop; for `train(on_loop=...)`."""
        self._step += steps
        if self._is_first:
            self._is_first, self._uncharged = False, steps
            return
        self.seconds += seconds + self._uncharged * seconds / steps
        self._uncharged = 0
        with self._path.open("a") as file:
            file.write(json.dumps({"step": self._step, "seconds": round(self.seconds, 3)}) + "\n")
