"""Files to prepare from: of this machine, or at addresses that tf.io.gfile reads (gs://...)."""

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterator

import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import is_address
from trivd_tf.data.files.listing import group
from trivd_tf.data.files.stills import is_animated, is_picture


def list_videos(folder: str) -> tuple[list[str], dict[str, str]]:
    """Videos below a folder, relative to it, sorted; names that begin with a dot are passed over.

    Returns:
      Files and folders of numbered pictures; and by folder, why the pictures there are no video.

    Raises:
      InputError: there is no such folder, or nothing in it.
    """
    if not tf.io.gfile.isdir(folder):
        raise InputError(f"{folder}: no such folder; name the folder that holds the videos")
    videos: list[str] = []
    problems: dict[str, str] = {}
    for place, subfolders, names in _walk(folder):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        seen = sorted(name for name in names if not name.startswith("."))
        files, pictures, problem = group(seen, functools.partial(_is_animated, place))
        here = os.path.relpath(place, folder)
        videos += [os.path.normpath(os.path.join(here, name)) for name in files]
        if problem:
            problems[here] = problem
        elif pictures:
            videos.append(here)
    if not videos and not problems:
        raise InputError(f"{folder}: the folder is empty; put the videos into it")
    return sorted(videos), problems


def list_files(folder: str) -> list[str]:
    """The videos of `list_videos` alone; pictures that are none are passed over."""
    return list_videos(folder)[0]


def _is_animated(folder: str, name: str) -> bool:
    """At an address every file named like a picture counts as one: a look would fetch it."""
    return not is_address(folder) and is_animated(os.path.join(folder, name))


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
            _fetch(path, copy)
        except tf.errors.OpError as error:
            raise InputError(f"{path}: cannot be read ({error.message})") from error
        yield copy


def _fetch(path: str, copy: str) -> None:
    """Copies a file, or the pictures of a folder."""
    if not tf.io.gfile.isdir(path):
        tf.io.gfile.copy(path, copy)
        return
    os.mkdir(copy)
    for name in tf.io.gfile.listdir(path):
        if is_picture(name):
            tf.io.gfile.copy(os.path.join(path, name), os.path.join(copy, name))
