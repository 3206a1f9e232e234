"""Trained models by name: those included in the package, and those of TensorFlow Hub.

In an installed package they are in `trivd_tf/pretrained/NAME`, in a checkout in
`export/pretrained/NAME`. Each is an export (`trivd export`) with its discriminators beside it.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from trivd_tf.base import model_files
from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import interrupted_copy

_PACKAGE = Path(__file__).resolve().parent.parent
# Discriminator weights, which an export lacks and `--start_from` needs.
DISCRIMINATORS = "discriminators.npz"
# Eight clips not used in training, uint8 `clips` [8, T, H, W, 3].
HELD_OUT_CLIPS = "held_out_clips.npz"


def shipped_directory() -> Path:
    """Returns the folder of the models included in this package."""
    installed = _PACKAGE / "pretrained"
    return installed if installed.is_dir() else _PACKAGE.parent / "export" / "pretrained"


def shipped_models() -> list[str]:
    """Returns the names of the models included in this package."""
    folder = shipped_directory()
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if model_files.is_export(path))


def find_model(name: str | os.PathLike[str]) -> Path:
    """Resolves a path or the name of an included model to a folder.

    Args:
        name: a path, which takes precedence if it exists, or a name of `shipped_models()`.

    Returns:
        The folder; `name` as a path if it is neither.

    Raises:
        InputError: an interrupted export moved the folder; the message names its location.
    """
    path = Path(name).expanduser()
    if not path.exists() and str(name) in shipped_models():
        return shipped_directory() / str(name)
    copy = interrupted_copy(path)
    if copy is not None:
        raise InputError(
            f"{path}: an export to it was interrupted and left the earlier one as {copy}; move "
            f"that to {path}, or export again"
        )
    return path


def fetch_from_hub(handle: str) -> str:
    """Returns the folder of a TensorFlow Hub module, downloading it if it is not cached.

    Raises:
        Exception: any error that the library passes through: network, HTTP, archive, value.
    """
    with warnings.catch_warnings():
        # tensorflow_hub 0.16 imports a module that setuptools is about to remove.
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        import tensorflow_hub
    return tensorflow_hub.resolve(handle)
