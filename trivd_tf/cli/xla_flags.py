"""XLA flags, which XLA reads from the environment when it is first used.

XLA aborts the process on an unknown flag. Those used here are known to TensorFlow 2.19.1 and
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
    """Make XLA store GPU kernel autotuning results in `folder` and reuse them.

    The results are valid for one version of XLA, which does not check it, so every version of
    TensorFlow has its own folder. Several processes may share it
    (https://openxla.org/xla/persisted_autotuning). Call this before TensorFlow is imported. A
    folder already set in the environment is kept.

    Args:
        folder: created if missing.
        environment: environment with the XLA_FLAGS to extend.
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
