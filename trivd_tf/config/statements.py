"""Reads gin files and bindings into checked statements, before gin itself sees them.

gin reports an unknown name with a traceback and ignores other mistakes. This module resolves every
name first, so that each mistake becomes a one-line message with its location and what to use
instead.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import io
import pkgutil
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from gin import config_parser

from trivd_tf.base.errors import InputError
from trivd_tf.config.files import find_included, read_gin_file

DYNAMIC_REGISTRATION = "__gin__.dynamic_registration"
REQUIRED = "gin.REQUIRED"
PRELUDE = "from __gin__ import dynamic_registration"
HEADER = """\
# The operative configuration of this run: every value that was used, defaults included.
# It can be used again as a --gin_file.
"""


@dataclass(frozen=True)
class Macro:
    """A value written `%name`."""

    name: str

    def __repr__(self) -> str:
        return f"%{self.name}"


@dataclass(frozen=True)
class Reference:
    """A value written `@scope/selector` or, with `evaluate`, `@scope/selector()`."""

    scope: str
    selector: str
    evaluate: bool
    target: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        """The reference as written, without `@` and parentheses."""
        return f"{self.scope}/{self.selector}" if self.scope else self.selector

    def __repr__(self) -> str:
        return f"@{self.name}{'()' if self.evaluate else ''}"


@dataclass(frozen=True)
class Binding:
    """One binding `scope/selector.parameter = value` with resolved names."""

    scope: str
    selector: str
    parameter: str
    value: Any
    target: Callable[..., Any]
    where: str

    @property
    def name(self) -> str:
        """The binding's name as written in a gin file."""
        name = f"{self.selector}.{self.parameter}"
        return f"{self.scope}/{name}" if self.scope else name


@dataclass
class Statements:
    """All statements of a set of files and bindings; a later binding replaces an earlier one."""

    bindings: dict[tuple[str, int, str], Binding] = field(default_factory=dict)
    macros: dict[str, tuple[Any, str]] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)  # name in the file -> import line
    symbols: dict[str, ModuleType] = field(default_factory=dict)  # name in the file -> module

    def add(self, binding: Binding) -> None:
        self.bindings[binding.scope, id(binding.target), binding.parameter] = binding

    def find(self, scope: str, target: Callable[..., Any], parameter: str) -> Binding | None:
        """Returns the binding that a call of `target` under `scope` uses: the innermost one."""
        parts = scope.split("/") if scope else []
        for length in range(len(parts), -1, -1):
            found = self.bindings.get(("/".join(parts[:length]), id(target), parameter))
            if found is not None:
                return found
        return None

    def resolve_macro(self, value: Any) -> Any:
        """Returns `value` with macros resolved; `%gin.REQUIRED` is returned unchanged."""
        seen = set()
        while isinstance(value, Macro) and value.name in self.macros and value.name not in seen:
            seen.add(value.name)
            value = self.macros[value.name][0]
        return value

    def references(self, value: Any) -> Iterator[Reference]:
        """Yields all references inside `value`, also in containers and macros."""
        for part in flatten(self.resolve_macro(value)):
            if isinstance(part, Reference):
                yield part
            elif isinstance(part, Macro) and part is not value:
                yield from self.references(part)


def flatten(value: Any) -> Iterator[Any]:
    """Yields the leaves of nested lists, tuples and dicts."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flatten(key)
            yield from flatten(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from flatten(item)
    else:
        yield value


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns `; the nearest is 'x'`, or the known names if none is similar."""
    names = sorted(set(known))
    lowered = {candidate.lower(): candidate for candidate in names}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    if close:
        return f"; the nearest is '{lowered[close[0]]}'"
    return f"; known are {', '.join(names)}" if names else ""


def public_names(owner: Any) -> list[str]:
    """Returns the names in a module or class that a gin file can use."""
    names = getattr(owner, "__all__", None) or dir(owner)
    return [name for name in names if not name.startswith("_")]


def parameters_of(target: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Returns the parameters of a class or function, without `self`."""
    return dict(inspect.signature(target).parameters)


class _PlainDelegate(config_parser.ParserDelegate):
    """Keeps references and macros as written. It must not raise: gin would reword the error."""

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Reference:
        scope, _, selector = scoped_configurable_name.rpartition("/")
        return Reference(scope, selector, evaluate)

    def macro(self, macro_name: str) -> Macro:
        return Macro(macro_name)


def iterate(text: str, where: str) -> Iterator[tuple[Any, str]]:
    """Yields the parsed gin statements of `text`, each with its location for error messages.

    Raises:
        InputError: the text is not valid gin.
    """
    try:
        for statement in config_parser.ConfigParser(io.StringIO(text), _PlainDelegate()):
            yield statement, where.format(line=statement.location.line_num)
    except (SyntaxError, tokenize.TokenError) as error:
        number = getattr(error, "lineno", None) or error.args[-1][0]
        lines = text.splitlines()
        line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
        reason = str(error.args[0]).splitlines()[0].strip().rstrip(".")
        raise InputError(
            f"{where.format(line=number)}: cannot read '{line}' ({reason}); a binding is "
            'name = value, with strings in quotes: models.generator.recurrent_unit = "tsru_p"'
        ) from error


class Reader:
    """Collects the statements of files and bindings in the order in which gin applies them."""

    def __init__(self) -> None:
        self.statements = Statements()
        self._open_files: list[Path] = []

    def read_file(self, path: Path) -> None:
        """Reads a gin file and the files that it includes."""
        if path.resolve() in self._open_files:
            chain = [*self._open_files[self._open_files.index(path.resolve()) :], path]
            way = " includes ".join(file.name for file in chain)
            raise InputError(f"{path} includes itself ({way})")
        self._open_files.append(path.resolve())
        text = read_gin_file(path)
        # Braces in a path must survive the line number's formatting.
        where = f"{path}".replace("{", "{{").replace("}", "}}") + ", line {line}"
        self._read(text, where, {}, path=path)
        self._open_files.pop()

    def read_binding(self, text: str) -> None:
        """Reads one command-line binding, which can use the imports of the files."""
        where = f"--gin_bindings '{text}'".replace("{", "{{").replace("}", "}}")
        self._read(text, where, self.statements.symbols, dynamic=True)

    def _read(
        self,
        text: str,
        where: str,
        symbols: dict[str, ModuleType],
        dynamic: bool = False,
        path: Path | None = None,
    ) -> None:
        for statement, place in iterate(text, where):
            if isinstance(statement, config_parser.ImportStatement):
                if statement.module == DYNAMIC_REGISTRATION:
                    dynamic = True
                    continue
                name, module = self._import(statement, place)
                symbols[name] = self.statements.symbols[name] = module
                self.statements.imports[name] = statement.format()
            elif isinstance(statement, config_parser.IncludeStatement):
                # A command-line binding includes files relative to the working directory.
                includer = path or Path("command line")
                self.read_file(_find_included(statement.filename, includer, place))
            elif not dynamic:
                raise InputError(f"{place}: the file must begin with '{PRELUDE}'")
            elif isinstance(statement, config_parser.BindingStatement):
                self._bind(statement, symbols, place)
            else:
                _resolve(statement.selector, symbols, place)

    def _import(self, statement: Any, place: str) -> tuple[str, ModuleType]:
        try:
            module = importlib.import_module(statement.module)
        except ModuleNotFoundError as error:
            # A missing dependency of an existing module is not a misspelled import.
            if error.name is None or not (statement.module + ".").startswith(error.name + "."):
                raise
            parent, _, child = statement.module.rpartition(".")
            advice = nearest(child, _submodules(parent)) if parent else ""
            advice = _how_to_import(error.name) or advice
            raise InputError(f"{place}: there is no module {error.name}{advice}") from error
        except Exception as error:  # a user's module may raise any error while it is imported
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise InputError(
                f"{place}: the module {statement.module} cannot be imported ({reason})"
            ) from error
        if not (statement.is_from or statement.alias):
            module = importlib.import_module(statement.module.split(".")[0])
        return statement.bound_name(), module

    def _bind(self, statement: Any, symbols: dict[str, ModuleType], place: str) -> None:
        value = _resolve_value(statement.value, symbols, place)
        if not statement.arg_name:
            scoped = [statement.scope] if statement.scope else []
            self.statements.macros["/".join([*scoped, statement.selector])] = (value, place)
            return
        target = _resolve(statement.selector, symbols, place)
        binding = Binding(
            scope=statement.scope,
            selector=statement.selector,
            parameter=statement.arg_name,
            value=value,
            target=target,
            where=place,
        )
        parameters = parameters_of(target)
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        if statement.arg_name not in parameters and not takes_any:
            advice = nearest(statement.arg_name, parameters)
            raise InputError(
                f"{place}: {binding.name}: {statement.selector} has no parameter "
                f"'{statement.arg_name}'{advice}"
            )
        self.statements.add(binding)


def with_absolute_includes(text: str, path: Path) -> str:
    """Makes the includes of a gin file absolute, because gin does not know the including file."""
    lines = text.splitlines(keepends=True)
    for statement, place in iterate(text, f"{path}".replace("{", "{{").replace("}", "}}")):
        if isinstance(statement, config_parser.IncludeStatement):
            found = _find_included(statement.filename, path, place).resolve()
            number = statement.location.line_num - 1
            lines[number] = f"include {str(found)!r}\n"
    return "".join(lines)


def _find_included(name: str, includer: Path, place: str) -> Path:
    try:
        return find_included(name, includer)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def _how_to_import(name: str) -> str:
    """Returns advice if the module is in the working directory, which commands do not search."""
    if Path(f"{name}.py").is_file() or Path(name).is_dir():
        return (
            f", but {name} lies in the current folder, which is not searched: put PYTHONPATH=. "
            "before the command, or start it as python -m trivd_tf"
        )
    return ""


def _submodules(package: str) -> list[str]:
    try:
        path = importlib.import_module(package).__path__
    except (ImportError, AttributeError):
        return []
    return [module.name for module in pkgutil.iter_modules(path)]


def _resolve_value(value: Any, symbols: dict[str, ModuleType], place: str) -> Any:
    if isinstance(value, Reference):
        target = _resolve(value.selector, symbols, place)
        return Reference(value.scope, value.selector, value.evaluate, target)
    if isinstance(value, dict):
        pairs = value.items()
        return {
            _resolve_value(k, symbols, place): _resolve_value(v, symbols, place) for k, v in pairs
        }
    if isinstance(value, (list, tuple)):
        return type(value)(_resolve_value(item, symbols, place) for item in value)
    return value


def _resolve(selector: str, symbols: dict[str, ModuleType], place: str) -> Callable[..., Any]:
    """Returns the class or function that `selector` names through the file's imports."""
    first, *rest = selector.split(".")
    if first not in symbols:
        within = [f"{name}.{selector}" for name in symbols if hasattr(symbols[name], first)]
        advice = f"; write '{within[0]}'" if within else nearest(first, symbols)
        raise InputError(f"{place}: '{selector}': nothing imported is called '{first}'{advice}")
    found: Any = symbols[first]
    path = first
    for name in rest:
        if not hasattr(found, name):
            advice = nearest(name, public_names(found))
            raise InputError(f"{place}: '{selector}': {path} has no '{name}'{advice}")
        found = getattr(found, name)
        path = f"{path}.{name}"
    if not callable(found):
        raise InputError(
            f"{place}: '{selector}' is a {type(found).__name__}, but only classes and functions "
            f"can be configured{nearest(path, public_names(found))}"
        )
    return found
