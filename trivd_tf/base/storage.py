"""Where files are kept: folders of this machine, or of a store such as gs://bucket/run.

`run_folder(name)` gives what `pathlib` makes of a local name, and of `scheme://...` a
`RemotePath`: the part of pathlib that a run needs, over the file systems that TensorFlow knows.
pathlib itself would take `gs://bucket` for the local folder `gs:/bucket`.
"""

from __future__ import annotations

import fnmatch
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

_SEPARATOR = "://"


class RemotePath:
    """A name in a store; not an `os.PathLike`, so that what knows local files alone refuses it.

    Args:
        name: `scheme://rest`.
    """

    def __init__(self, name: str):
        scheme, _, rest = name.partition(_SEPARATOR)
        self._scheme, self._rest = scheme, rest.rstrip("/")

    def __str__(self) -> str:
        return f"{self._scheme}{_SEPARATOR}{self._rest}"

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self}/{name}")

    @property
    def name(self) -> str:
        """The last part."""
        return posixpath.basename(self._rest)

    @property
    def parent(self) -> RemotePath:
        """All but the last part."""
        return RemotePath(f"{self._scheme}{_SEPARATOR}{posixpath.dirname(self._rest)}")

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return _gfile().isdir(str(self))

    def exists(self) -> bool:
        """Whether it is a file or a folder."""
        return _gfile().exists(str(self))

    def is_file(self) -> bool:
        """Whether it is a file."""
        return self.exists() and not self.is_dir()

    def mkdir(self, parents: bool = True, exist_ok: bool = True) -> None:
        """Makes the folder and those above it; stores know no other way."""
        del parents, exist_ok
        _gfile().makedirs(str(self))

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """Names in this folder that fit."""
        if self.is_dir():
            names = sorted(name.rstrip("/") for name in _gfile().listdir(str(self)))
            yield from (self / name for name in fnmatch.filter(names, pattern))

    def read_text(self, encoding: str = "utf-8") -> str:
        """All of the file.

        Raises:
            FileNotFoundError: there is none.
        """
        if not self.is_file():
            raise FileNotFoundError(str(self))
        with _gfile().GFile(str(self), "rb") as file:
            return file.read().decode(encoding)


RunPath: TypeAlias = Path | RemotePath
RunName: TypeAlias = str | Path | RemotePath


def run_folder(name: RunName) -> RunPath:
    """The folder of that name, `~` for the user's own."""
    if isinstance(name, RemotePath):
        return name
    if is_address(name):
        return RemotePath(str(name))
    return Path(name).expanduser()


def is_address(name: str | os.PathLike[str] | RemotePath) -> bool:
    """Whether it is an address, for tf.io.gfile alone: os and pathlib would read it wrongly."""
    return isinstance(name, RemotePath) or _SEPARATOR in os.fspath(name)


def absolute(path: str | os.PathLike[str]) -> str:
    """The absolute path, with the user's folder for ~; an address stays as it is."""
    text = os.fspath(path)
    return text if is_address(text) else os.path.abspath(os.path.expanduser(text))


def write_whole(path: RunPath, text: str) -> None:
    """A new file, or a new content: a kill leaves what was there before, or all of `text`."""
    if isinstance(path, RemotePath):
        name = f"{path}.partial"
        if _gfile().exists(name):
            _gfile().remove(name)  # not every file system begins a file anew
        with _gfile().GFile(name, "wb") as remote:
            remote.write(text.encode())
        _gfile().rename(name, str(path), overwrite=True)
        return
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def append(path: RunPath, data: bytes) -> None:
    """Adds to a file all of `data`, or nothing where that fails; a store writes it all anew."""
    if isinstance(path, RemotePath):
        with _gfile().GFile(str(path), "ab") as remote:
            remote.write(data)
        return
    with path.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            while data:
                data = data[file.write(data) :]
        except OSError:
            file.truncate(before)
            raise


def _gfile():  # type: ignore[no-untyped-def]
    import tensorflow as tf

    return tf.io.gfile
