"""Runs the commands of `check_accelerator.py` on a tiny model, without importing TensorFlow."""

import concurrent.futures
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from accelerator_report import Failure

TOOLS = Path(__file__).resolve().parent
WORKER = TOOLS / "accelerator_worker.py"
# Hides GPUs from TensorFlow.
CPU_ONLY = {"CUDA_VISIBLE_DEVICES": "-1"}
TINY = (
    "models.generator.channel_multiplier = 1",
    "models.discriminators.channel_multiplier = 1",
    "models.discriminators.num_sampled_frames = 2",
    "data.ClipSpec.num_conditioning_frames = 2",
    "data.ClipSpec.num_predicted_frames = 2",
    "data.ClipSpec.size = 16",
    "training.TrainingOptions.batch_size = 4",
    "training.TrainingOptions.num_steps = 4",
    "training.TrainingOptions.steps_per_loop = 1",
    "training.TrainingOptions.checkpoint_every_steps = 1",
    "training.TrainingOptions.sample_every_steps = 0",
    "evaluation.EvaluationOptions.num_samples = 8",
    "evaluation.EvaluationOptions.batch_size = 4",
    "evaluation.EvaluationOptions.standing_batches = 1",
    "evaluation.EvaluationOptions.standing_batch_size = 4",
)


@dataclasses.dataclass
class Machine:
    """Runs commands in separate processes, in one folder.

    Attributes:
        folder: folder of everything written.
        kind: `CPU`, `GPU` or `TPU`.
        strategy: flags of `trivd train` for the accelerator.
        cores: CPU cores; each concurrent run needs four.
    """

    folder: Path
    kind: str
    strategy: tuple[str, ...] = ()
    cores: int = len(os.sched_getaffinity(0))

    def __post_init__(self) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers=max(1, self.cores // 4))
        self._ahead: dict[str, concurrent.futures.Future[str]] = {}

    def python(self, *arguments: Any, **environment: str) -> str:
        """Run Python in a process and return its output.

        Raises:
            Failure: it failed; with the last line of its output.
        """
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            env=self.environment(**environment),
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise Failure(lines[-1])
        return done.stdout

    @staticmethod
    def environment(**changes: str) -> dict[str, str]:
        """Return this process's environment, with the package of this checkout."""
        paths = [str(TOOLS.parent), os.environ.get("PYTHONPATH", "")]
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        return {**os.environ, **quiet, **changes}

    def worker(self, task: str, *arguments: Any, **environment: str) -> dict[str, Any]:
        """Return the result of a task of `accelerator_worker.py`."""
        return json.loads(self.python(WORKER, task, *arguments, **environment).splitlines()[-1])

    def train_command(self, name: str, *bindings: str, flags: tuple[str, ...] = ()) -> list[str]:
        """Return the command that trains the tiny model into the folder `name`."""
        command = ["-m", "trivd_tf", "train", "--gin_file", "bouncing_digits", "--seed", "3"]
        for binding in (*TINY, "training.TrainingOptions.deterministic = True", *bindings):
            command += ["--gin_bindings", binding]
        return [*command, "--model_dir", str(self.folder / name), *(flags or self.strategy)]

    def train(self, name: str, *bindings: str, flags: tuple[str, ...] = ()) -> None:
        """Train the tiny model to its end, or wait for the run if it was started before."""
        if name in self._ahead:
            self._ahead.pop(name).result()
        else:
            self.python(*self.train_command(name, *bindings, flags=flags))

    def train_ahead(self, name: str, *bindings: str, flags: tuple[str, ...] = ()) -> None:
        """Start `train` in the background if there are enough cores."""
        if self.cores >= 8:
            command = self.train_command(name, *bindings, flags=flags)
            self._ahead[name] = self._pool.submit(self.python, *command)

    def losses(self, name: str) -> list[dict[str, float]]:
        """Read a run's `losses.jsonl`."""
        text = (self.folder / name / "losses.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]
