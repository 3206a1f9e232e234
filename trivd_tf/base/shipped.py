"""Trained models by name: those that come with the package, and TensorFlow Hub's.

An installed package carries them as `trivd_tf/pretrained/NAME`; in a checkout they are
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
# What an export lacks and `--start_from` needs: the discriminators' weights.
DISCRIMINATORS = "discriminators.npz"
# Eight clips that training never saw, uint8 `clips` [8, T, H, W, 3].
HELD_OUT_CLIPS = "held_out_clips.npz"


def shipped_directory() -> Path:
    """The folder of the models that come with this package."""
    installed = _PACKAGE / "pretrained"
    return installed if installed.is_dir() else _PACKAGE.parent / "export" / "pretrained"


def shipped_models() -> list[str]:
    """Names of the models that come with this package."""
    folder = shipped_directory()
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if model_files.is_export(path))


def find_model(name: str | os.PathLike[str]) -> Path:
    """The folder that a path or the name of a shipped model stands for.

    Args:
        name: a path, which wins where it exists; or a name of `shipped_models()`.

    Returns:
        The folder; `name` as a path where it is neither.

    Raises:
        InputError: an interrupted export took the folder away; the message says where it is.
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
    """The folder of a TensorFlow Hub module, downloaded where it is not in the library's cache.

    Raises:
        Exception: whatever the library lets through: network, HTTP, archive, value.
    """
    with warnings.catch_warnings():
        # tensorflow_hub 0.16 imports what setuptools is about to remove.
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        import tensorflow_hub
    return tensorflow_hub.resolve(handle)
