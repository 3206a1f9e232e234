"""File storage in local folders and object stores such as gs://bucket/run.

`run_folder(name)` returns a `pathlib` path for a local name, and a `RemotePath` for `scheme://...`:
the part of pathlib's interface that a run needs, on TensorFlow's file systems. pathlib itself would
interpret `gs://bucket` as the local folder `gs:/bucket`.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fnmatch
import glob
import os
import posixpath
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from trivd_tf.base.errors import RunError

_SEPARATOR = "://"
_PARTIAL = ".partial"
_OLD = "old"
# Constants of Linux's renameat2(2).
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_CANNOT_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM)

# Advice for commands that can be resumed.
RUN_AGAIN = "free space or fix the permissions there, then run the same command again"


class RemotePath:
    """A path in an object store; not an `os.PathLike`, so that code for local files refuses it.

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
        """The last component."""
        return posixpath.basename(self._rest)

    @property
    def parent(self) -> RemotePath:
        """The path without its last component."""
        return RemotePath(f"{self._scheme}{_SEPARATOR}{posixpath.dirname(self._rest)}")

    def is_dir(self) -> bool:
        """Returns whether the path is a folder."""
        return _gfile().isdir(str(self))

    def exists(self) -> bool:
        """Returns whether the path is a file or a folder."""
        return _gfile().exists(str(self))

    def is_file(self) -> bool:
        """Returns whether the path is a file."""
        return self.exists() and not self.is_dir()

    def mkdir(self, parents: bool = True, exist_ok: bool = True) -> None:
        """Creates the folder and its parents, the only way that stores support."""
        del parents, exist_ok
        _gfile().makedirs(str(self))

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """Yields the paths in this folder that match `pattern`."""
        if self.is_dir():
            names = sorted(name.rstrip("/") for name in _gfile().listdir(str(self)))
            yield from (self / name for name in fnmatch.filter(names, pattern))

    def read_text(self, encoding: str = "utf-8") -> str:
        """Reads the whole file.

        Raises:
            FileNotFoundError: there is no such file.
        """
        if not self.is_file():
            raise FileNotFoundError(str(self))
        with _gfile().GFile(str(self), "rb") as file:
            return file.read().decode(encoding)


RunPath: TypeAlias = Path | RemotePath
RunName: TypeAlias = str | os.PathLike[str] | RemotePath


def run_folder(name: RunName) -> RunPath:
    """Returns the path of a folder; `~` is expanded to the home directory."""
    if isinstance(name, RemotePath):
        return name
    if is_address(name):
        return RemotePath(str(name))
    return Path(name).expanduser()


def is_address(name: str | os.PathLike[str] | RemotePath) -> bool:
    """Returns whether `name` is an address, which tf.io.gfile handles but os and pathlib do not."""
    return isinstance(name, RemotePath) or _SEPARATOR in os.fspath(name)


def absolute(path: str | os.PathLike[str]) -> str:
    """Returns the absolute path with `~` expanded; an address is returned unchanged."""
    text = os.fspath(path)
    return text if is_address(text) else os.path.abspath(os.path.expanduser(text))


@contextlib.contextmanager
def whole_file(path: RunName, *, folder: RunName | None = None, advice: str = "") -> Iterator[Path]:
    """Writes a file atomically: yields a local path that replaces `path` if the block succeeds.

    A reader of `path`, even after an interrupted run or a power cut, finds either the previous
    content or all of the new content. A failed block leaves nothing behind. A killed process leaves
    one hidden file, `.<host>.<process>.<random>.partial`, which no reader mistakes for a result and
    `remove_leftovers` deletes.

    Args:
        path: target file, local or an address; its parent folders are created.
        folder: folder of the partial file, or of the partial upload for an address, on the file
            system of `path`; defaults to the folder of `path`.
        advice: advice for the user, appended to the error message if writing fails.

    Yields:
        A path that does not exist yet; for an address, in a local temporary folder.

    Raises:
        RunError: the file cannot be written: full disk, no permission, no such store.

    Example:
        with whole_file("scores.npz") as partial, open(partial, "wb") as file:
            np.savez(file, scores=scores)
    """
    target = run_folder(path)
    beside = target.parent if folder is None else run_folder(folder)
    name = f".{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex}{_PARTIAL}"
    try:
        if isinstance(target, RemotePath):
            with tempfile.TemporaryDirectory() as local:
                yield Path(local) / "content"
                _upload(Path(local) / "content", beside / name, target)
        else:
            partial = Path(beside / name)  # type: ignore[arg-type]
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield partial
                _to_disk(partial)
                partial.replace(target)
            finally:
                # Needed even after `replace`, which keeps both names if they are links to one file.
                with contextlib.suppress(OSError):
                    partial.unlink()
    except OSError as error:
        raise _not_written(path, error, advice) from error


def write_whole(path: RunName, content: str | bytes, *, advice: str = "") -> None:
    """Writes a file with `whole_file`; text is encoded as UTF-8."""
    with whole_file(path, advice=advice) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Yields a temporary directory beside `path` that replaces `path` if the block succeeds.

    The replacement is atomic if the system can exchange two directories (Linux, on most local file
    systems). Elsewhere it takes two renames. An interruption between them leaves the earlier
    directory as `.NAME.old.*/NAME`, which the next call restores and `find_model` reports.

    Raises:
        RunError: the directory cannot be written; the previous content of `path` is unchanged.
    """
    partial = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        put_back(path)
        _remove_partial(path)
        own = f".{path.name}.{socket.gethostname()}.{os.getpid()}."
        partial = Path(tempfile.mkdtemp(prefix=own, suffix=_PARTIAL, dir=path.parent))
        yield partial
        partial.chmod(0o755)
        _replace(partial, path)
    except OSError as error:
        raise _not_written(path, error) from error
    finally:
        if partial is not None:  # after an exchange, this is the earlier directory
            shutil.rmtree(partial, ignore_errors=True)


def interrupted_copy(path: Path) -> Path | None:
    """Returns the copy of `path` that an interrupted run left beside it; None if there is none."""
    if os.path.lexists(path):
        return None
    found = sorted(path.parent.glob(f".{glob.escape(path.name)}.{_OLD}.*/{glob.escape(path.name)}"))
    return found[-1] if found else None


def put_back(path: Path) -> Path | None:
    """Moves `interrupted_copy` back to `path`; returns its former path, None without a copy."""
    copy = interrupted_copy(path)
    if copy is not None:
        copy.rename(path)
        with contextlib.suppress(OSError):
            copy.parent.rmdir()
    return copy


def _replace(new: Path, path: Path) -> None:
    if not path.exists():
        new.rename(path)
        return
    if _exchange(new, path):
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.{_OLD}.", dir=path.parent))
    path.rename(old / path.name)
    try:
        new.rename(path)
    except OSError:
        put_back(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Exchanges two directories atomically; returns False if that is not supported."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    names = os.fsencode(first), os.fsencode(second)
    if rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], ctypes.c_uint(_RENAME_EXCHANGE)) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(second))


def _remove_partial(path: Path) -> None:
    """Deletes partial directories of `path` that dead processes of this machine left."""
    pattern = f".{glob.escape(path.name)}.{glob.escape(socket.gethostname())}.*{_PARTIAL}"
    for leftover in path.parent.glob(pattern):
        process = leftover.name.split(".")[-3]
        if process.isdigit() and not _is_running(int(process)):
            shutil.rmtree(leftover, ignore_errors=True)


def remove_leftovers(folder: RunName) -> None:
    """Deletes partial files that `whole_file` left in a local folder in killed processes.

    Files of running processes and of other machines, which may share the folder, are kept.
    """
    path = run_folder(folder)
    if isinstance(path, RemotePath):
        return
    for leftover in path.glob(f".{glob.escape(socket.gethostname())}.*{_PARTIAL}"):
        process = leftover.name.split(".")[-3]
        if process.isdigit() and not _is_running(int(process)):
            with contextlib.suppress(OSError):
                leftover.unlink()


def _not_written(path: RunName, error: OSError, advice: str = "") -> RunError:
    reason = error.strerror or " ".join(str(error).split())
    return RunError(f"{path}: could not be written ({reason})" + (f"; {advice}" if advice else ""))


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _to_disk(path: Path) -> None:
    """Waits until the content is on disk, which must happen before the file gets its name."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _upload(local: Path, partial: RunPath, target: RemotePath) -> None:
    import tensorflow as tf

    try:
        target.parent.mkdir()
        tf.io.gfile.copy(str(local), str(partial))
        tf.io.gfile.rename(str(partial), str(target), overwrite=True)
    except tf.errors.OpError as error:
        with contextlib.suppress(tf.errors.OpError):
            tf.io.gfile.remove(str(partial))
        raise OSError(" ".join(str(error.message).split())[:200]) from error


def append(path: RunPath, data: bytes) -> None:
    """Appends all of `data`, or nothing on failure; an object store rewrites the whole file."""
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
