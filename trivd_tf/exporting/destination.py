"""Checks the destination of an export: it may replace only an unchanged earlier export.

`export.json` lists the files of an export with their digests. Other files in the directory, and
files that were edited since, belong to the user and are not replaced.
"""

import contextlib
import hashlib
import json
import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from trivd_tf.base.errors import InputError
from trivd_tf.base.model_files import EXPORT_RECORD
from trivd_tf.base.outputs import check_writable
from trivd_tf.base.storage import put_back

_ADVICE = "move it away, or choose another --export_dir"


def archive_of(export_dir: Path) -> Path:
    """Returns the path of the archive, `EXPORT_DIR.tar.gz`."""
    return export_dir.with_name(export_dir.name + ".tar.gz")


def list_files(directory: Path) -> dict[str, str]:
    """Returns the relative paths of all files below a directory, with their SHA-256 digests."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): _digest(path) for path in paths}


def check_destination(export_dir: Path, *, archive: bool = False) -> None:
    """Checks that an export may be written.

    The only change it makes is to restore an export that an interrupted run moved from
    `export_dir`.

    Args:
        export_dir: destination of the export.
        archive: whether `EXPORT_DIR.tar.gz` is written too.

    Raises:
        InputError: the export would replace something other than an unchanged export.
        RunError: the parent folder cannot be written.
    """
    with contextlib.suppress(OSError):  # `check_writable` reports the problem
        put_back(export_dir)
    if export_dir.exists() and not export_dir.is_dir():
        raise InputError(f"{export_dir}: is a file; give a directory for the export")
    if export_dir.is_dir() and any(export_dir.iterdir()):
        _check_directory(export_dir)
    packed = archive_of(export_dir)
    if archive and os.path.lexists(packed):
        problem = _problem_of_archive(packed)
        if problem:
            raise InputError(
                f"{packed}: is not the archive of an export ({problem}); {_ADVICE}, or give "
                "--no_archive"
            )
    check_writable(export_dir.parent)


def _check_directory(export_dir: Path) -> None:
    try:
        metadata = json.loads((export_dir / EXPORT_RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        metadata = None
    if not isinstance(metadata, dict):
        raise InputError(
            f"{export_dir}: holds something else than an export of this package (no readable "
            f"{EXPORT_RECORD}); give an empty or a new directory"
        )
    listed = _listed(metadata)
    if listed is None:
        raise InputError(
            f"{export_dir}: holds an export of an earlier version, whose {EXPORT_RECORD} does not "
            f"list its files; {_ADVICE}"
        )
    # A SavedModel has a folder `assets` even if it is empty.
    folders = {PurePosixPath("assets")}
    folders |= {folder for file in listed for folder in PurePosixPath(file).parents}
    for path in sorted(export_dir.rglob("*")):
        name = path.relative_to(export_dir).as_posix()
        if path.is_dir() and not path.is_symlink():
            belongs = PurePosixPath(name) in folders
        else:
            belongs = name == EXPORT_RECORD or name in listed
        if not belongs:
            raise InputError(
                f"{path}: does not belong to the existing export; {_ADVICE}. Nothing was changed"
            )
        if name in listed and (path.is_symlink() or _digest(path) != listed[name]):
            raise InputError(
                f"{path}: was edited since the export was written; {_ADVICE}. Nothing was changed"
            )


def _listed(metadata: dict[str, Any]) -> dict[str, str] | None:
    files = metadata.get("files")
    return files if isinstance(files, dict) and "signatures" in metadata else None


def _problem_of_archive(archive: Path) -> str | None:
    """Returns why a file is not an archive of an export with exactly the files in its metadata."""
    if not archive.is_file() or archive.is_symlink():
        return "no plain file"
    try:
        with tarfile.open(archive, "r:gz") as tar:
            names = {member.name for member in tar.getmembers() if not member.isdir()}
            file = tar.extractfile(EXPORT_RECORD)
            listed = _listed(json.loads(file.read())) if file else None
    except (OSError, EOFError, ValueError, KeyError, tarfile.TarError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"
    if listed is None:
        return f"its {EXPORT_RECORD} lists no files"
    others = names ^ {*listed, EXPORT_RECORD}
    return f"{min(others)} is in only one of archive and list" if others else None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
