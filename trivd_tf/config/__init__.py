"""Parses gin files, checks them, builds an `Experiment` and saves the configuration.

gin keeps one global configuration. `parse` resets it and `ParsedConfig.build` reads it, so build
one configuration before parsing the next.

Example:
    parsed = config.parse(["quickstart"], ["training.TrainingOptions.num_steps = 10"])
    experiment = parsed.build()
    parsed.save("runs/first/config.gin")
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gin
from gin import config_parser

from trivd_tf.base import model_files
from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import RunName, absolute, run_folder, write_whole
from trivd_tf.config import gin_private
from trivd_tf.config.checks import check_all_used, check_macros, check_required, check_types
from trivd_tf.config.files import (
    find_gin_file,
    gin_directory,
    known_gin_files,
    read_gin_file,
)
from trivd_tf.config.statements import (
    DYNAMIC_REGISTRATION,
    HEADER,
    PRELUDE,
    REQUIRED,
    Macro,
    Reader,
    Reference,
    Statements,
    iterate,
    parameters_of,
    with_absolute_includes,
)

__all__ = [
    "ParsedConfig",
    "bindings_in",
    "changed_bindings",
    "find_gin_file",
    "gin_directory",
    "known_gin_files",
    "load_run",
    "parse",
]

_STAND_IN_IMPORT = "from trivd_tf import data"


def _is_known_gin_file(name: str) -> bool:
    try:
        find_gin_file(name)
    except InputError:
        return False
    return True


def _open_for_gin(name: str) -> io.StringIO:
    path = find_gin_file(name)
    return io.StringIO(with_absolute_includes(read_gin_file(path), path))


# `include` resolves the same names as --gin_file.
gin_private.read_files_with(_open_for_gin, _is_known_gin_file)


def _default_root() -> Callable[..., Any]:
    from trivd_tf.experiment import Experiment

    return Experiment


class ParsedConfig:
    """A parsed and checked configuration, returned by `parse`."""

    def __init__(self, statements: Statements, root: Callable[..., Any]) -> None:
        self._statements = statements
        self._root = root
        self._operative: str | None = None

    def build(self) -> Any:
        """Calls the root class with the configured values.

        Returns:
            The `Experiment`.

        Raises:
            InputError: an option rejects its value, or a binding is not used.
        """
        try:
            built = gin.get_configurable(self._root)()
        except InputError as error:
            raise InputError(_with_configurable(str(error))) from error
        check_all_used(
            gin_private.parsed_bindings(), gin_private.operative_bindings(), self._statements
        )
        self._operative = HEADER + gin.operative_config_str(max_line_length=100)
        return built

    @property
    def operative_text(self) -> str:
        """All values that `build` used, as a gin file."""
        if self._operative is None:
            raise RuntimeError("the operative configuration is known only after build()")
        return self._operative

    def save(self, path: RunName) -> None:
        """Writes `operative_text` to `path` atomically."""
        target = run_folder(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, self.operative_text)


def parse(
    gin_files: Sequence[str | Path],
    gin_bindings: Sequence[str] = (),
    *,
    data_dir: str | Path | None = None,
    stand_in_data: bool = False,
    root: Callable[..., Any] | None = None,
) -> ParsedConfig:
    """Parses and checks gin files and bindings; later ones take precedence.

    Args:
        gin_files: paths, or names of files included in the package (see `find_gin_file`).
        gin_bindings: single bindings, applied after the files.
        data_dir: if set, bound to `data_dir` of the source that the root's `data` selects.
        stand_in_data: if the source that the root's `data` selects has no `data_dir`, replace it by
            generated clips, which suffices to build networks.
        root: root class of the configuration; defaults to `trivd_tf.experiment.Experiment`.

    Raises:
        InputError: a file does not exist or cannot be read, a name is unknown, a value has the
            wrong type, or a required value is missing.
    """
    root = _default_root() if root is None else root
    paths = [find_gin_file(name) for name in gin_files]
    reader = Reader()
    for path in paths:
        reader.read_file(path)
    bindings = list(gin_bindings)
    for text in bindings:
        reader.read_binding(text)
    statements = reader.statements
    check_macros(statements)
    root_name = _root_name(statements, root, paths)
    if data_dir is not None:
        bindings.append(_data_dir_binding(statements, root, data_dir))
        reader.read_binding(bindings[-1])
    replaced = None
    if stand_in_data:
        replaced = _take_out_data_without_folder(statements, root)
    if replaced is not None:
        for text in (_STAND_IN_IMPORT, f"{root_name}.data = @data.BouncingDigits()"):
            bindings.append(text)
            reader.read_binding(text)
    check_types(statements)
    check_required(statements, root, root_name)

    gin.clear_config(clear_constants=True)
    for path in paths:
        gin.parse_config_file(str(path.resolve()))
    gin.parse_config([PRELUDE, *statements.imports.values(), *bindings])
    if replaced is not None:
        gin_private.forget(replaced)
    gin.finalize()
    return ParsedConfig(statements, root)


def load_run(model_dir: str | Path) -> Any:
    """Builds the `Experiment` of a model directory from its saved configuration.

    Raises:
        InputError: the directory holds no configuration, or this version rejects it.
    """
    path = Path(model_dir) / model_files.CONFIG
    if not path.is_file():
        raise InputError(f"{model_dir} is not a model directory: it holds no {model_files.CONFIG}")
    return parse([path]).build()


def _root_name(statements: Statements, root: Callable[..., Any], paths: Sequence[Path]) -> str:
    for binding in statements.bindings.values():
        if binding.target is root:
            return binding.selector
    names = " and ".join(str(path) for path in paths) or "no gin file"
    known = ", ".join(path.stem for path in known_gin_files() if path.parts[0] == "runs")
    raise InputError(
        f"{names}: nothing there configures an {root.__name__}; use the file of a run, for "
        f"example one of {known}"
    )


def _data_dir_binding(
    statements: Statements, root: Callable[..., Any], data_dir: str | Path
) -> str:
    binding = statements.find("", root, "data")
    source = statements.resolve_macro(binding.value) if binding else None
    if not isinstance(source, Reference) or source.target is None:
        raise InputError(f"--data_dir {data_dir}: the configuration selects no data source")
    if "data_dir" not in parameters_of(source.target):
        raise InputError(
            f"--data_dir {data_dir}: {source.selector} reads no folder; leave the flag out, or "
            f"bind {root.__name__}.data to a source that does"
        )
    # An absolute path, so that the run can be resumed from another working directory.
    return f"{source.name}.data_dir = {absolute(data_dir)!r}"


def _take_out_data_without_folder(
    statements: Statements, root: Callable[..., Any]
) -> Callable[..., Any] | None:
    """Removes the bindings of the selected data source if it has no folder; returns the source."""
    binding = statements.find("", root, "data")
    source = statements.resolve_macro(binding.value) if binding else None
    if not isinstance(source, Reference) or source.target is None:
        return None
    if "data_dir" not in parameters_of(source.target):
        return None
    folder = statements.find(source.scope, source.target, "data_dir")
    value = statements.resolve_macro(folder.value) if folder else None
    if folder is not None and not (isinstance(value, Macro) and value.name == REQUIRED):
        return None
    for key, found in list(statements.bindings.items()):
        if found.target is source.target:
            del statements.bindings[key]
    return source.target


def _with_configurable(message: str) -> str:
    """Moves the configurable's name, which gin appends to a message, to its front."""
    text, _, rest = message.partition("\n  In call to configurable ")
    name = re.match(r"'([^']+)'", rest)
    return f"{name.group(1)}: {text}" if name and not text.startswith(name.group(1)) else text


def bindings_in(text: str) -> dict[str, str]:
    """Reads a saved configuration: full name (`trivd_tf.data.ClipSpec.size`) -> value as text.

    It imports no modules, so that it can read configurations of other versions too.
    """
    modules: dict[str, str] = {}
    found: dict[str, str] = {}
    for statement, _ in iterate(text, "the saved configuration, line {line}"):
        if isinstance(statement, config_parser.ImportStatement):
            if statement.module != DYNAMIC_REGISTRATION:
                whole = statement.is_from or statement.alias
                name = statement.bound_name()
                modules[name] = statement.module if whole else name
        elif isinstance(statement, config_parser.BindingStatement):
            first, _, rest = statement.selector.partition(".")
            selector = f"{modules.get(first, first)}.{rest}" if rest else first
            name = f"{selector}.{statement.arg_name}" if statement.arg_name else selector
            scoped = f"{statement.scope}/{name}" if statement.scope else name
            found[scoped] = repr(statement.value)
    return found


def changed_bindings(old: str, new: str) -> dict[str, tuple[str | None, str | None]]:
    """Returns the bindings that differ between two configurations: name -> (old, new value)."""
    before, after = bindings_in(old), bindings_in(new)
    return {
        name: (before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    }
