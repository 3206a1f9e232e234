"""Locates gin files in a checkout and in an installed package."""

from __future__ import annotations

import difflib
import logging
import os
from pathlib import Path

from trivd_tf.base.errors import InputError

_LOG = logging.getLogger(__name__)
_PACKAGE = Path(__file__).resolve().parent.parent


def gin_directory() -> Path:
    """Returns the folder of the gin files included in this package.

    In an installed package it is `trivd_tf/gin_files`; in a checkout it is `gin/` beside the
    package. The installed location is tried first: beside an installed package, `gin` is the
    gin-config library.
    """
    installed = _PACKAGE / "gin_files"
    return installed if installed.is_dir() else _PACKAGE.parent / "gin"


def known_gin_files() -> list[Path]:
    """Returns all gin files included in this package, relative to `gin_directory()`."""
    root = gin_directory()
    return sorted(path.relative_to(root) for path in root.glob("**/*.gin"))


def read_gin_file(path: Path) -> str:
    """Reads the text of a gin file, without a UTF-8 byte order mark.

    Raises:
        InputError: the file cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"gin file {path} cannot be read: {error}") from error


def find_included(name: str, includer: Path) -> Path:
    """Resolves `include 'name'` in the file `includer`.

    The folder of the including file is searched first. A file of this package includes only files
    of the package. For a local file, the working directory is searched next, and the files of the
    package last.

    Raises:
        InputError: there is no such file.
    """
    beside = _with_ending(includer.parent, name)
    if beside is not None and not _is_same(beside, includer):
        # Files of the package include each other by their file names.
        return beside if _is_shipped(includer) else _reported(beside, name)
    if _is_shipped(includer):
        inside = _with_ending(gin_directory(), name)
        return inside if inside is not None else _shipped(name)
    local = _with_ending(Path(), name)
    if local is not None and not _is_same(local, includer):
        return _reported(local, name)
    try:
        return _shipped(name)
    except InputError:
        if beside is None and local is None:
            raise
    raise InputError(f"{includer} includes itself, and there is no other file '{name}'")


def find_gin_file(name: str | os.PathLike[str]) -> Path:
    """Resolves the name of a gin file.

    Args:
        name: a path (absolute, or relative to the working directory), or the name of a file in
            `gin_directory()` or one of its subfolders, with or without its folder and `.gin`:
            `runs/quickstart.gin`, `quickstart.gin` and `quickstart` are the same. If a name occurs
            in several folders, the file in `runs` is used.

    Raises:
        InputError: there is no such file, or the name is ambiguous.
    """
    local = _with_ending(Path(), name)
    if local is not None:
        return _reported(local, name)
    return _shipped(name)


def _with_ending(folder: Path, name: str | os.PathLike[str]) -> Path | None:
    """Returns the file `name` in `folder`, with or without `.gin`; None if there is none."""
    given = folder / Path(name).expanduser()
    wanted = given if given.suffix == ".gin" else given.with_name(given.name + ".gin")
    return next((path for path in (given, wanted) if path.is_file()), None)


def _is_same(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve()


def _is_shipped(path: Path) -> bool:
    return path.resolve().is_relative_to(gin_directory().resolve())


def _reported(local: Path, name: str | os.PathLike[str]) -> Path:
    """Returns `local`, after a warning if it hides a file of the package of the same name."""
    if not _is_shipped(local) and not Path(name).is_absolute():
        try:
            hidden = _shipped(name)
        except InputError:
            return local
        _LOG.warning(
            "gin file '%s' is the local %s; trivd_tf comes with a %s of this name too",
            name, local, hidden.relative_to(gin_directory()),
        )  # fmt: skip
    return local


def _shipped(name: str | os.PathLike[str]) -> Path:
    """Resolves a name to a gin file of this package."""
    given = Path(name)
    wanted = given if given.suffix == ".gin" else given.with_name(given.name + ".gin")
    known = known_gin_files()
    matches = [path for path in known if path == wanted or path.name == str(wanted)]
    matches = [path for path in matches if path.parts[0] == "runs"] or matches
    if len(matches) == 1:
        return gin_directory() / matches[0]
    if matches:
        choices = " or ".join(str(path) for path in matches)
        raise InputError(f"gin file '{name}' could be {choices}; give it with its folder")
    names = {path.stem: path for path in known} | {str(path): path for path in known}
    close = difflib.get_close_matches(str(name).removesuffix(".gin"), names, n=1)
    if close:
        advice = f"the nearest of those that come with trivd_tf is '{names[close[0]].stem}'"
    else:
        runs = [path.stem for path in known if path.parts[0] == "runs"]
        advice = f"give a path, or one of the runs that come with trivd_tf: {', '.join(runs)}"
    raise InputError(f"gin file '{name}' does not exist; {advice}")
