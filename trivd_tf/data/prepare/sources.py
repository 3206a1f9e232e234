"""Files to prepare from: of this machine, or at addresses that tf.io.gfile reads (gs://...)."""

import contextlib
import os
import tempfile
from collections.abc import Iterator

import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import is_address


def list_files(folder: str) -> list[str]:
    """Files below a folder, relative to it, sorted; names that begin with a dot are passed over.

    Raises:
      InputError: there is no such folder, or nothing in it.
    """
    if not tf.io.gfile.isdir(folder):
        raise InputError(f"{folder}: no such folder; name the folder that holds the videos")
    files = []
    for place, subfolders, names in _walk(folder):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        files += [
            os.path.relpath(os.path.join(place, name), folder)
            for name in names
            if not name.startswith(".")
        ]
    if not files:
        raise InputError(f"{folder}: the folder is empty; put the videos into it")
    return sorted(files)


def _walk(folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """As os.walk: of a folder that is an address, through tf.io.gfile."""
    if not is_address(folder):
        yield from os.walk(folder)
        return
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(folder)]
    inside = {name for name in names if tf.io.gfile.isdir(os.path.join(folder, name))}
    subfolders = sorted(inside)
    yield folder, subfolders, [name for name in names if name not in inside]
    for name in subfolders:
        yield from _walk(os.path.join(folder, name))


def read_text(path: str) -> str:
    """The text of a file, less a byte order mark.

    Raises:
      OSError, UnicodeDecodeError: it cannot be read.
    """
    if not is_address(path):
        with open(path, "rb") as file:
            return file.read().decode("utf-8-sig")
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            return file.read().decode("utf-8-sig")
    except tf.errors.OpError as error:
        raise OSError(error.message) from error


@contextlib.contextmanager
def local_file(path: str) -> Iterator[str]:
    """The path itself, or that of a copy for as long as the block runs: libav reads local files.

    Raises:
      InputError: it cannot be copied.
    """
    if not is_address(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, os.path.basename(path))
        try:
            tf.io.gfile.copy(path, copy)
        except tf.errors.OpError as error:
            raise InputError(f"{path}: cannot be read ({error.message})") from error
        yield copy
