"""Log of every step's losses, one JSON object per line."""

import json

import numpy as np

from trivd_tf.base.storage import RunName, append, run_folder, write_whole


class LossesLog:
    """Appends to `losses.jsonl`; on resuming, drops lines after the checkpoint's step.

    Args:
        path: path of the file.
        resume_at: last step whose line is kept.
    """

    def __init__(self, path: RunName, resume_at: int = 0):
        self._path = run_folder(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lines: list[str] = []
        if self._path.exists():
            self._drop_after(resume_at)

    def _drop_after(self, step: int) -> None:
        kept = []
        for line in self._path.read_text().splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (json.JSONDecodeError, KeyError, TypeError):
                continue  # a line truncated by an interruption
        write_whole(self._path, "".join(f"{line}\n" for line in kept))

    def write(self, metrics: dict[str, np.ndarray], first_step: int) -> None:
        """Buffer the values of the steps after `first_step`."""
        names = [name for name in metrics if name != "seconds_waiting"]
        for index in range(len(metrics[names[0]])):
            row: dict[str, float] = {"step": first_step + index + 1}
            # As many digits as needed to read a float32 back to the last bit.
            row |= {name: float(f"{metrics[name][index]:.9g}") for name in names}
            self._lines.append(json.dumps(row))

    def flush(self) -> None:
        """Write all buffered lines or none: half a line would corrupt the next attempt."""
        append(self._path, "".join(f"{line}\n" for line in self._lines).encode())
        self._lines.clear()


def read_losses(path: RunName) -> list[dict[str, float]]:
    """Return all complete lines of a `losses.jsonl`, one dict per step."""
    return [json.loads(line) for line in run_folder(path).read_text().splitlines()]
