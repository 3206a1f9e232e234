"""Tracing of a job's programs in a separate process, to release its memory.

TensorFlow keeps the memory of deleted networks, 9 GB at ch 120, until the process ends. The
compiler and the next batch size need that memory.

The process is `python -m trivd_tf.compilation.emission FOLDER`: it reads `request.pickle` in the
folder and writes the programs and `emitted.pickle` there.
"""

import dataclasses
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.compilation.programs import Emitted
from trivd_tf.experiment import Experiment

_INPUT_ERROR = 2  # exit status for invalid input


@dataclasses.dataclass(frozen=True)
class _Request:
    experiment: Experiment
    num_replicas: int
    programs: tuple[str, ...]


def emit(
    experiment: Experiment, num_replicas: int, programs: Sequence[str], folder: Path
) -> dict[str, "Emitted"]:
    """Write `programs` of an experiment into `folder`.

    Args:
        experiment: the experiment, with the global batch size.
        num_replicas: replicas of the synchronous job.
        programs: some of `programs.PROGRAMS`.
        folder: a folder used by this call alone.

    Raises:
        InputError: the networks cannot be built as configured.
        RunError: the process failed for another reason.
    """
    request = _Request(experiment, num_replicas, tuple(programs))
    (folder / "request.pickle").write_bytes(pickle.dumps(request))
    done = subprocess.run(
        [sys.executable, "-m", "trivd_tf.compilation.emission", str(folder)],
        env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    if done.returncode == _INPUT_ERROR:
        raise InputError(why(done))
    if done.returncode:
        raise RunError(f"tracing {', '.join(programs)} failed: {why(done)}")
    return pickle.loads((folder / "emitted.pickle").read_bytes())


def why(done: subprocess.CompletedProcess[str]) -> str:
    """Return the reason that a failed process printed, in one line."""
    if done.returncode < 0:
        return f"signal {-done.returncode} ended it; is there enough memory?"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit status {done.returncode}"


def main(arguments: list[str]) -> int:
    """Process the request in the folder."""
    from trivd_tf.compilation.programs import Emitter

    folder = Path(arguments[0])
    request = pickle.loads((folder / "request.pickle").read_bytes())
    try:
        emitter = Emitter(request.experiment, request.num_replicas)
        emitted = {name: emitter.emit(name, folder) for name in request.programs}
    except InputError as error:
        print(error, file=sys.stderr)
        return _INPUT_ERROR
    (folder / "emitted.pickle").write_bytes(pickle.dumps(emitted))
    return 0


if __name__ == "__main__":
    # Import by the name that the other process uses: pickle stores names.
    from trivd_tf.compilation import emission

    sys.exit(emission.main(sys.argv[1:]))
