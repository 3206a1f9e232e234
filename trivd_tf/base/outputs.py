"""Decides whether files may be written: inputs never, files of other origin never.

A command plans every name before its work begins:

    with claimed(["out/a.mp4", "out/a.gif"], inputs=["clips/a.mp4"]):
        ...

`claimed` refuses, before anything is touched, a name that is an input (by another path, a link or
another case too), a name planned twice, a file that no earlier command recorded, and a folder that
cannot be written. What was written is recorded with its digest in `.trivd_outputs.json` beside it,
so that the same command may replace its own output later, unless somebody has edited it meanwhile.
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

# In a ledger instead of a digest, while a command is at work: whatever a kill leaves is its own.
_BEGUN = "begun"
_ADVICE = "move it away, or choose another place for the output"


@contextlib.contextmanager
def claimed(outputs: Iterable[Name], *, inputs: Iterable[Name] = ()) -> Iterator[None]:
    """Within it `outputs` may be written; afterwards they are recorded.

    Args:
        outputs: local files; not all of them have to be written.
        inputs: files that are read, which no output may replace.

    Raises:
        InputError: an output must not be written; the message names it.
        RunError: a folder of theirs cannot be made or written.
    """
    paths = [Path(output) for output in outputs]
    check_outputs(paths, inputs=inputs)
    new = [folder for folder in dict.fromkeys(p.parent for p in paths) if not folder.exists()]
    _record({path: _BEGUN for path in paths})
    try:
        yield
    except BaseException:
        with contextlib.suppress(RunError):  # the error under way says more than this one
            _record_written(paths)
        for folder in new:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
    _record_written(paths)


def check_outputs(outputs: Iterable[Name], *, inputs: Iterable[Name] = ()) -> None:
    """As `claimed`, without the claim: raises what it raises and leaves nothing behind."""
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
    """Renames those of `outputs` that `claimed` would refuse, so that a later output loses nothing.

    Args:
        outputs: local files, not all of which have to be there.

    Returns:
        The old name -> the new one, `NAME-earlier-1.SUFFIX` in the same folder.
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
    """Tries the folder by making it and a file in it; leaves nothing behind.

    Raises:
        RunError: it cannot be made or written: a file, no such place, no permission, a full disk.
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
                path.rmdir()  # not one that somebody else has used meanwhile


def folded(path: Name) -> str:
    """The same text for paths that some file system takes for one: case, Unicode form, links."""
    path = Path(path)
    whole = path.parent.resolve() / path.name
    return unicodedata.normalize("NFC", str(whole)).casefold()


def _same_file(output: Path, source: Path) -> bool:
    with contextlib.suppress(OSError):
        if os.path.samefile(output, source):
            return True
    # The link itself is the user's, wherever it leads.
    return output.parent.resolve() / output.name == source.parent.resolve() / source.name


def _is_recorded(path: Path, ledger: dict[str, str]) -> bool:
    entry = ledger.get(path.name)
    return entry == _BEGUN or (entry is not None and path.is_file() and entry == _digest(path))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(folder: Path) -> dict[str, str]:
    """Name -> digest; nothing where the ledger is missing or damaged: then all is of others."""
    try:
        files = json.loads((folder / LEDGER).read_text(encoding="utf-8"))["files"]
        return {str(name): str(entry) for name, entry in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _record_written(paths: list[Path]) -> None:
    _record({path: _digest(path) if path.is_file() else None for path in paths})


def _record(entries: dict[Path, str | None]) -> None:
    """Adds entries to the ledgers of their folders; None removes one."""
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
    """One process of this machine at a time, as far as the file system knows locks."""
    try:
        import fcntl
    except ImportError:  # a system without them
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
