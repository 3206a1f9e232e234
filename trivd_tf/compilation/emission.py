"""Traces a job's programs in a process of its own, which takes its memory with it.

TensorFlow keeps what networks took after they are gone: 9 GB at ch 120, for as long as the process
lives. The compiler, and the next batch that is tried, would have to do without.

`python -m trivd_tf.compilation.emission FOLDER` is that process: it reads `request.pickle` there,
writes the programs and `emitted.pickle` beside it, and ends.
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

_INPUT_ERROR = 2  # the exit status of a process whose input was at fault


@dataclasses.dataclass(frozen=True)
class _Request:
    experiment: Experiment
    num_replicas: int
    programs: tuple[str, ...]


def emit(
    experiment: Experiment, num_replicas: int, programs: Sequence[str], folder: Path
) -> dict[str, "Emitted"]:
    """Writes `programs` of an experiment into `folder`.

    Args:
        experiment: its batch size is the global one.
        num_replicas: of the synchronous job.
        programs: of `programs.PROGRAMS`.
        folder: of this call alone.

    Raises:
        InputError: the networks cannot be built as configured.
        RunError: the process failed otherwise.
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
    """The reason that a process which failed gave, in one line."""
    if done.returncode < 0:
        return f"signal {-done.returncode} ended it; is there enough memory?"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit status {done.returncode}"


def main(arguments: list[str]) -> int:
    """Does what the request in the folder asks for."""
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
    # As the module that the other process knows: pickle goes by names.
    from trivd_tf.compilation import emission

    sys.exit(emission.main(sys.argv[1:]))
