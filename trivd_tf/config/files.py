"""Where gin files lie, in a checkout and in an installed package alike."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from trivd_tf.base.errors import InputError

_PACKAGE = Path(__file__).resolve().parent.parent


def gin_directory() -> Path:
    """The folder of the gin files that come with this package.

    An installed package carries them as `trivd_tf/gin_files`; in a checkout they are `gin/` beside
    the package. The installed place is asked first: beside an installed package, `gin` is the
    gin-config library.
    """
    installed = _PACKAGE / "gin_files"
    return installed if installed.is_dir() else _PACKAGE.parent / "gin"


def known_gin_files() -> list[Path]:
    """Every gin file that comes with this package, relative to `gin_directory()`."""
    root = gin_directory()
    return sorted(path.relative_to(root) for path in root.glob("**/*.gin"))


def find_gin_file(name: str | os.PathLike[str]) -> Path:
    """The file that `name` stands for.

    Args:
        name: a path (absolute, or relative to the working directory), or the name of a file of
            `gin_directory()` or one of its subfolders, with or without its folder and `.gin`:
            `runs/quickstart.gin`, `quickstart.gin` and `quickstart` are the same. A name that
            several folders have is that of the run.

    Raises:
        InputError: there is no such file, or a bare name stands for several.
    """
    given = Path(name).expanduser()
    if given.is_file():
        return given
    wanted = given if given.suffix == ".gin" else given.with_name(given.name + ".gin")
    if wanted.is_file():
        return wanted
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
