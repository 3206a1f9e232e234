"""`run.json` in a run directory: what code, versions, seed and command a run came from."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from trivd_tf.base import model_files
from trivd_tf._version import __version__
from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import RunName, RunPath, run_folder, write_whole
from trivd_tf.experiment import Experiment


# Distributions under which TensorFlow is installed; the module's own version is not asked for,
# because importing it takes seconds.
_DISTRIBUTIONS = {
    "tensorflow": ("tensorflow", "tensorflow-tpu", "tensorflow-cpu"),
    "keras": ("keras",),
    "numpy": ("numpy",),
    "gin-config": ("gin-config",),
}


def git_state(folder: Path | None = None) -> dict[str, Any] | None:
    """Revision of the checkout that this code runs from, and whether it has uncommitted changes.

    None when the package runs from somewhere else than a checkout of its own, or without git.
    """
    root = folder if folder is not None else Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        revision = _git(root, "rev-parse", "HEAD")
        changes = _git(root, "status", "--porcelain")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"revision": revision.strip(), "dirty": bool(changes.strip())}


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


def versions() -> dict[str, str]:
    """Versions of Python, this package and what decides its results."""
    found = {"python": platform.python_version(), "trivd_tf": __version__}
    for name, distributions in _DISTRIBUTIONS.items():
        for distribution in distributions:
            try:
                found[name] = metadata.version(distribution)
                break
            except metadata.PackageNotFoundError:
                continue
    return found


def describe_start(*, seed: int, argv: list[str]) -> dict[str, Any]:
    """What one start of a command is recorded as."""
    return {
        "seed": seed,
        "argv": argv,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": git_state(),
        "versions": versions(),
        "host": {
            "platform": platform.platform(),
            "machine": platform.machine(),
            "cpu_count": os.cpu_count(),
        },
    }


def read(run_dir: RunName) -> dict[str, Any] | None:
    """The record in `run_dir`, or None where there is none.

    Raises:
        InputError: the file is there but is not JSON.
    """
    path = run_folder(run_dir) / model_files.RECORD
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path} is not readable JSON ({error}); delete it to continue") from error


def choose_seed(run_dir: RunName, seed: int | None) -> int:
    """The seed of a run: what was asked for, what the run began with, or 0.

    Raises:
        InputError: the run in `run_dir` began with another seed; resuming with this one would
            make a run that cannot be repeated.
    """
    record = read(run_dir)
    begun_with = record.get("seed") if record else None
    if begun_with is None:
        return 0 if seed is None else seed
    if seed is not None and seed != begun_with:
        raise InputError(
            f"--seed {seed}: the run in {run_dir} began with seed {begun_with}; leave --seed out "
            "to resume it, or choose another --model_dir"
        )
    return int(begun_with)


def write(
    run_dir: RunName,
    *,
    seed: int,
    class_names: Sequence[str] = (),
    data: dict[str, str] | None = None,
    data_changes: Sequence[str] = (),
    argv: list[str] | None = None,
    resume: bool = True,
) -> RunPath:
    """Writes the record of a first start, or adds a later one under `resumed`.

    Args:
        run_dir: the run's directory; made where it is missing.
        seed: of the run.
        class_names: of the model's labels, if it takes any.
        data: `data_of` the experiment; the standing statistics are estimated on the same clips.
        data_changes: what changed in the data since the last start, for its record.
        argv: the command; this process's when left out.
        resume: False replaces an earlier record, of a start that came to nothing.

    Returns:
        The path of the file. It is replaced whole, so that a kill never leaves half of one.
    """
    folder = run_folder(run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    start = describe_start(seed=seed, argv=list(sys.argv) if argv is None else argv)
    if data_changes:
        start["data_changes"] = list(data_changes)
    record = read(folder) if resume else None
    if record is None:
        record = start
    else:
        record.setdefault("resumed", []).append(start)
    if class_names:
        record["class_names"] = list(class_names)
    if data:
        record["data"] = dict(data)
    path = folder / model_files.RECORD
    write_whole(path, json.dumps(record, indent=2) + "\n")
    return path


def data_of(experiment: Experiment) -> dict[str, str]:
    """What a record says of the training clips; asked after `data.prepare`."""
    data = experiment.data
    return {"name": data.name, "fingerprint": data.fingerprint(experiment.clip, "train")}


def class_names_of(experiment: Experiment) -> tuple[str, ...]:
    """Names of the labels that the model takes, which are those that it began with."""
    if not experiment.class_conditional:
        return ()
    if experiment.class_names is not None and experiment.data.class_names != experiment.labels:
        raise InputError(
            f"the classes of {experiment.data.name} are not those that the run began with; resume "
            "with its own data, or choose another --model_dir"
        )
    return experiment.labels


def with_classes(experiment: Experiment, run_dir: RunName) -> Experiment:
    """The experiment of a run with the classes of its record: the data need not be there."""
    names = (read(run_dir) or {}).get("class_names")
    return dataclasses.replace(experiment, class_names=tuple(names)) if names else experiment


def gin_names(run_dir: str | Path) -> list[str]:
    """Names, without `.gin`, under which a run may be known: its gin files, then its folders.

    The last `--gin_file` of the command that began it comes first; then the directory's own name
    and that of the directory around it.
    """
    record = read(run_dir) or {}
    argv = list(record.get("argv", []))
    given = [after for flag, after in itertools.pairwise(argv) if flag == "--gin_file"]
    given += [text.partition("=")[2] for text in argv if text.startswith("--gin_file=")]
    folder = Path(run_dir).absolute()
    names = [*(Path(name).name for name in reversed(given)), folder.name, folder.parent.name]
    return list(dict.fromkeys(name.removesuffix(".gin") for name in names))
