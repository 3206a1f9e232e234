"""Flags of XLA, which it reads from the environment when it is first used.

XLA ends the process at a flag that it does not know: those here are known to TensorFlow 2.19.1 and
2.21.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import MutableMapping
from pathlib import Path

AUTOTUNE_CACHE = "--xla_gpu_per_fusion_autotune_cache_dir"
_DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu", "tensorflow-tpu")


def keep_autotuning(folder: Path, environment: MutableMapping[str, str] = os.environ) -> None:
    """Has XLA keep in `folder` which GPU kernels it measured to be fastest, and look there first.

    What was measured holds for one version of XLA, which does not check it: every version of
    TensorFlow has a folder of its own. Several processes may share it
    (https://openxla.org/xla/persisted_autotuning). To be called before TensorFlow is imported; a
    folder that the environment names already stays.

    Args:
        folder: made where it is missing.
        environment: whose XLA_FLAGS are extended.
    """
    before = environment.get("XLA_FLAGS", "")
    if AUTOTUNE_CACHE in before:
        return
    own = folder.absolute() / f"tensorflow-{_version()}"
    own.mkdir(parents=True, exist_ok=True)
    value = f'"{own}"' if any(letter.isspace() for letter in str(own)) else own
    environment["XLA_FLAGS"] = f"{before} {AUTOTUNE_CACHE}={value}".strip()


def _version() -> str:
    for name in _DISTRIBUTIONS:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"
