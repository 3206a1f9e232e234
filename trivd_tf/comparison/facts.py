"""What a cell's scores depend on besides its own configuration: data, evaluation, code."""

import dataclasses
import functools
import hashlib
import json
import pathlib
import shutil
from typing import Any

from trivd_tf.base.storage import write_whole
from trivd_tf.data.source import SPLITS
from trivd_tf.experiment import Experiment

FILE_NAME = "facts.json"
_PACKAGE = pathlib.Path(__file__).resolve().parent.parent
# Packages whose code affects a cell's scores.
_ROOMS = (
    *("base", "data", "evaluation", "experiment", "inference", "layers"),
    *("metrics", "models", "ops", "runs", "training"),
)


def facts_of(experiment: Experiment) -> dict[str, Any]:
    """Return the facts for a cell of this experiment, as read back from JSON."""
    data, clip = experiment.data, experiment.clip
    facts = {
        "data": {split: data.fingerprint(clip, split) for split in SPLITS},
        "evaluation": dataclasses.asdict(experiment.evaluation),
        "code": code_digest(),
    }
    return json.loads(json.dumps(facts, default=str))


@functools.cache
def code_digest() -> str:
    """Return a digest of the source files that affect scores: no docs, no commands."""
    digest = hashlib.sha256()
    for room in _ROOMS:
        for path in sorted((_PACKAGE / room).rglob("*.py")):
            digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:20]


def read_facts(directory: pathlib.Path) -> dict[str, Any] | None:
    """Return the facts recorded when a cell was started, or None if unknown."""
    try:
        found = json.loads((directory / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_facts(directory: pathlib.Path, facts: dict[str, Any]) -> None:
    """Record the facts when a cell is started."""
    directory.mkdir(parents=True, exist_ok=True)
    write_whole(directory / FILE_NAME, json.dumps(facts, indent=1) + "\n")


def differences(before: dict[str, Any] | None, now: dict[str, Any]) -> list[str]:
    """Describe each difference in a few words; empty if there is none."""
    if before is None:
        return ["data, evaluation and code were not recorded"]
    found = []
    if before.get("data") != now["data"]:
        found.append("other data")
    old, new = before.get("evaluation") or {}, now["evaluation"]
    changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    if changed:
        found.append(f"another evaluation ({', '.join(changed)})")
    if before.get("code") != now["code"]:
        found.append("other code of this package")
    return found


def move_aside(directory: pathlib.Path) -> pathlib.Path:
    """Move a cell to `<directory>-earlier-<n>`, which comparisons ignore."""
    number = 1
    while (target := directory.with_name(f"{directory.name}-earlier-{number}")).exists():
        number += 1
    shutil.move(directory, target)
    return target
