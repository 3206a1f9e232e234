"""Protects existing files: outputs never replace inputs, or files that no command recorded.

A command claims all output names before its work begins:

    with claimed(["out/a.mp4", "out/a.gif"], inputs=["clips/a.mp4"]):
        ...

Before anything is written, `claimed` refuses a name that is an input (also by another path, a link
or another case), a name claimed twice, a file that no earlier command recorded, and a folder that
cannot be written. Outputs are recorded with their digests in `.trivd_outputs.json` beside them, so
that the same command may replace its own output later, unless it has been edited since.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.base.storage import write_whole

LEDGER = ".trivd_outputs.json"

Name = str | os.PathLike[str]

# Replaces the digest in a ledger while a command runs: files of an interrupted run may be replaced.
_BEGUN = "begun"
_ADVICE = "move it away, or choose another place for the output"


@contextlib.contextmanager
def claimed(outputs: Iterable[Name], *, inputs: Iterable[Name] = ()) -> Iterator[None]:
    """Context in which `outputs` may be written; they are recorded when it ends.

    Args:
        outputs: local files; not all of them need to be written.
        inputs: input files, which no output may replace.

    Raises:
        InputError: an output must not be written; the message names it.
        RunError: an output folder cannot be created or written.
    """
    paths = [Path(output) for output in outputs]
    check_outputs(paths, inputs=inputs)
    new = [folder for folder in dict.fromkeys(p.parent for p in paths) if not folder.exists()]
    _record({path: _BEGUN for path in paths})
    try:
        yield
    except BaseException:
        with contextlib.suppress(RunError):  # the original error is more informative
            _record_written(paths)
        for folder in new:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    _record_written(paths)


def check_outputs(outputs: Iterable[Name], *, inputs: Iterable[Name] = ()) -> None:
    """Runs the checks of `claimed` without claiming the outputs; leaves nothing behind."""
    paths = [Path(output) for output in outputs]
    read = [Path(name) for name in inputs]
    planned: dict[str, Path] = {}
    for path in paths:
        for source in read:
            if _same_file(path, source):
                raise InputError(
                    f"{path}: this output would replace the input {source}; choose another place "
                    "for the output"
                )
        other = planned.setdefault(folded(path), path)
        if other is not path:
            raise InputError(
                f"{path}: two outputs of this command have this name; rename an input, or give "
                "them to the command one by one"
            )
    ledgers: dict[Path, dict[str, str]] = {}
    for path in paths:
        if path.is_dir():
            raise InputError(f"{path}: is a folder, but the output is a file; {_ADVICE}")
        if not os.path.lexists(path):
            continue
        if path.parent not in ledgers:
            ledgers[path.parent] = _read(path.parent)
        if not _is_recorded(path, ledgers[path.parent]):
            raise InputError(
                f"{path}: exists and was not written by an earlier run of this command, or was "
                f"edited since; {_ADVICE}"
            )
    for folder in dict.fromkeys(path.parent for path in paths):
        check_writable(folder)


def set_aside_edited(outputs: Iterable[Name]) -> dict[Path, Path]:
    """Renames existing files of `outputs` that `claimed` would refuse, so that none is lost.

    Args:
        outputs: local files, not all of which need to exist.

    Returns:
        Old name -> new name, `NAME-earlier-1.SUFFIX` in the same folder.
    """
    renamed = {}
    for path in map(Path, outputs):
        if not os.path.lexists(path) or _is_recorded(path, _read(path.parent)):
            continue
        number = 1
        while os.path.lexists(kept := path.with_stem(f"{path.stem}-earlier-{number}")):
            number += 1
        path.rename(kept)
        renamed[path] = kept
    return renamed


def check_writable(folder: Name) -> None:
    """Checks a folder by creating it and a file in it; leaves nothing behind.

    Raises:
        RunError: the folder cannot be created or written: it is a file, its path is invalid, the
            permission is missing, or the disk is full.
    """
    folder = Path(folder)
    made: list[Path] = []
    try:
        missing = folder
        while not os.path.lexists(missing) and missing != missing.parent:
            made.append(missing)
            missing = missing.parent
        if not missing.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(missing))
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".trivd_probe.") as probe:
            probe.write(b"x" * 4096)
            probe.flush()
    except OSError as error:
        raise RunError(
            f"{folder}: could not be written ({error.strerror or error}); choose another place for "
            "the output"
        ) from error
    finally:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()  # fails if another process has used it in the meantime


def folded(path: Name) -> str:
    """Returns equal text for paths that may be the same file: case, Unicode form, links."""
    path = Path(path)
    whole = path.parent.resolve() / path.name
    return unicodedata.normalize("NFC", str(whole)).casefold()


def _same_file(output: Path, source: Path) -> bool:
    with contextlib.suppress(OSError):
        if os.path.samefile(output, source):
            return True
    # The link itself is an input, wherever it points.
    return output.parent.resolve() / output.name == source.parent.resolve() / source.name


def _is_recorded(path: Path, ledger: dict[str, str]) -> bool:
    entry = ledger.get(path.name)
    return entry == _BEGUN or (entry is not None and path.is_file() and entry == _digest(path))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(folder: Path) -> dict[str, str]:
    """Reads name -> digest; empty if the ledger is missing or damaged, so that no file is ours."""
    try:
        files = json.loads((folder / LEDGER).read_text(encoding="utf-8"))["files"]
        return {str(name): str(entry) for name, entry in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _record_written(paths: list[Path]) -> None:
    _record({path: _digest(path) if path.is_file() else None for path in paths})


def _record(entries: dict[Path, str | None]) -> None:
    """Adds entries to the ledgers of their folders; None removes an entry."""
    for folder in dict.fromkeys(path.parent for path in entries):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with one_at_a_time(folder):
                files = _read(folder)
                for path, entry in entries.items():
                    if path.parent == folder:
                        files[path.name] = entry or ""
                files = {name: entry for name, entry in sorted(files.items()) if entry}
                if files:
                    text = {"written_by": "trivd", "files": files}
                    write_whole(folder / LEDGER, json.dumps(text, indent=1) + "\n")
                else:
                    (folder / LEDGER).unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"{folder}: could not be written ({error.strerror or error})") from error


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Admits one process of this machine at a time, if the file system supports locks."""
    try:
        import fcntl
    except ImportError:  # a system without file locks
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
