"""Source files of a preparation: local, or at addresses that tf.io.gfile reads (gs://...)."""

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
    """Lists the videos below a folder, relative to it and sorted; skips names that begin with dots.

    Returns:
      Files and folders of numbered pictures; and the reason, by folder, why its pictures are not a
      video.

    Raises:
      InputError: there is no such folder, or it is empty.
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
    """Returns only the videos of `list_videos`, without the problems."""
    return list_videos(folder)[0]


def _is_animated(folder: str, name: str) -> bool:
    """Checks for an animation; at an address it assumes a picture, to avoid downloading it."""
    return not is_address(folder) and is_animated(os.path.join(folder, name))


def _walk(folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """As os.walk, also for addresses, with tf.io.gfile."""
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
    """Reads the text of a file without a byte order mark.

    Raises:
      OSError, UnicodeDecodeError: the file cannot be read.
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
    """Yields a local path, or that of a temporary copy, because libav reads only local files.

    Raises:
      InputError: the file cannot be copied.
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
    """Copies a file, or all pictures of a folder."""
    if not tf.io.gfile.isdir(path):
        tf.io.gfile.copy(path, copy)
        return
    os.mkdir(copy)
    for name in tf.io.gfile.listdir(path):
        if is_picture(name):
            tf.io.gfile.copy(os.path.join(path, name), os.path.join(copy, name))
