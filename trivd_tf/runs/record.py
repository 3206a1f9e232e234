"""`run.json` in a model directory: the code, versions, seed and command of a run."""

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


# Distributions that install TensorFlow; the version is not read from the module, because importing
# it takes seconds.
_DISTRIBUTIONS = {
    "tensorflow": ("tensorflow", "tensorflow-tpu", "tensorflow-cpu"),
    "keras": ("keras",),
    "numpy": ("numpy",),
    "gin-config": ("gin-config",),
}


def git_state(folder: Path | None = None) -> dict[str, Any] | None:
    """Returns the git revision of this code's checkout and whether it has uncommitted changes.

    None if the package does not run from its own checkout, or git is missing.
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
    """Returns the versions of Python, this package and the packages that affect results."""
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
    """Returns the record of one start of a command."""
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
    """Reads the record in `run_dir`; None if there is no record.

    Raises:
        InputError: the file is not valid JSON.
    """
    path = run_folder(run_dir) / model_files.RECORD
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path} is not readable JSON ({error}); delete it to continue") from error


def choose_seed(run_dir: RunName, seed: int | None) -> int:
    """Returns the seed of a run: the seed of its first start, else `seed`, else 0.

    Raises:
        InputError: the run in `run_dir` began with another seed; resuming it with `seed` would
            make the run irreproducible.
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
    """Writes the record of a first start, or appends a later start under `resumed`.

    Args:
        run_dir: the model directory; created if missing.
        seed: seed of the run.
        class_names: names of the model's labels, if it takes any.
        data: result of `data_of`; the standing statistics are estimated on the same clips.
        data_changes: changes in the data since the last start, to be recorded.
        argv: the command; defaults to that of this process.
        resume: False replaces the record of an earlier start that saved no checkpoint.

    Returns:
        The path of the file. It is replaced atomically, so that an interrupted run never leaves a
        partial file.
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
    """Returns the record's entry on the training clips; call after `data.prepare`."""
    data = experiment.data
    return {"name": data.name, "fingerprint": data.fingerprint(experiment.clip, "train")}


def class_names_of(experiment: Experiment) -> tuple[str, ...]:
    """Returns the names of the model's labels, after checking them against the data.

    Raises:
        InputError: the data's classes differ from those that the run began with.
    """
    if not experiment.class_conditional:
        return ()
    if experiment.class_names is not None and experiment.data.class_names != experiment.labels:
        raise InputError(
            f"the classes of {experiment.data.name} are not those that the run began with; resume "
            "with its own data, or choose another --model_dir"
        )
    return experiment.labels


def with_classes(experiment: Experiment, run_dir: RunName) -> Experiment:
    """Returns the experiment with the recorded class names, which do not need the data."""
    names = (read(run_dir) or {}).get("class_names")
    return dataclasses.replace(experiment, class_names=tuple(names)) if names else experiment


def gin_names(run_dir: str | Path) -> list[str]:
    """Returns candidate names of a run, without `.gin`: its gin files, then its folders.

    The last `--gin_file` of the run's first command comes first; then follow the names of the
    directory and of its parent.
    """
    record = read(run_dir) or {}
    argv = list(record.get("argv", []))
    given = [after for flag, after in itertools.pairwise(argv) if flag == "--gin_file"]
    given += [text.partition("=")[2] for text in argv if text.startswith("--gin_file=")]
    folder = Path(run_dir).absolute()
    names = [*(Path(name).name for name in reversed(given)), folder.name, folder.parent.name]
    return list(dict.fromkeys(name.removesuffix(".gin") for name in names))
