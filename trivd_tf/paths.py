"""Paths of data: local ones, and addresses such as gs://bucket/folder that TensorFlow reads."""

import os


def is_address(path: str | os.PathLike[str]) -> bool:
    """Whether it is an address, for tf.io.gfile alone: os and pathlib would read it wrongly."""
    return "://" in os.fspath(path)


def absolute(path: str | os.PathLike[str]) -> str:
    """The absolute path, with the user's folder for ~; an address stays as it is."""
    text = os.fspath(path)
    return text if is_address(text) else os.path.abspath(os.path.expanduser(text))
