"""Writes an `Experiment` that was built in Python as a gin file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trivd_tf.config.checks import check_required, check_types
from trivd_tf.config.statements import HEADER, PRELUDE, Reader
from trivd_tf.experiment import Experiment
from trivd_tf.experiment.parts import Call, calls_of

_RULE = "# " + "=" * 98


def experiment_text(experiment: Experiment) -> str:
    """Returns a gin file that builds an equal experiment, with all values including defaults.

    The text equals `ParsedConfig.operative_text` of an experiment from gin files. gin's global
    state is not changed.

    Raises:
        InputError: a part of the experiment cannot be written, or has the wrong type; the message
            names it.

    Example:
        >>> text = experiment_text(experiment)
        >>> pathlib.Path("mine.gin").write_text(text)    # for `trivd train --gin_file mine.gin`
    """
    root = calls_of(experiment)
    calls = list(_all(root))
    imports = {call.module: _import(call.module) for call in calls}
    sections = {_selector(call): sorted(_bindings(call)) for call in calls}
    lines = sorted(imports.values())
    _check([*lines, *(binding for section in sections.values() for binding in section)])
    parts = [HEADER + "\n".join([PRELUDE, *lines])]
    for selector, bindings in sorted(sections.items(), key=lambda item: _last(item[0]).lower()):
        if bindings:
            parts.append("\n".join([f"# Parameters for {selector}:", _RULE, *bindings]))
    return "\n\n".join(parts) + "\n"


def _check(statements: list[str]) -> None:
    reader = Reader()
    for text in statements:
        reader.read_binding(text)
    check_types(reader.statements)
    check_required(reader.statements, Experiment, "experiment.Experiment")


def _all(call: Call) -> Iterator[Call]:
    yield call
    for value in call.arguments.values():
        if isinstance(value, Call):
            yield from _all(value)


def _bindings(call: Call) -> Iterator[str]:
    for name, value in call.arguments.items():
        yield f"{_selector(call)}.{name} = {_value(value)}"


def _value(value: Any) -> str:
    return f"@{_selector(value)}()" if isinstance(value, Call) else repr(value)


def _selector(call: Call) -> str:
    return f"{_bound_name(call.module)}.{call.name}"


def _bound_name(module: str) -> str:
    """Returns the name of a module in the file; another package's `data` is `its_package_data`."""
    package, _, last = module.rpartition(".")
    return last if package == "trivd_tf" else module.replace(".", "_")


def _import(module: str) -> str:
    package, _, last = module.rpartition(".")
    if not package:
        return f"import {module}"
    alias = "" if package == "trivd_tf" else f" as {_bound_name(module)}"
    return f"from {package} import {last}{alias}"


def _last(selector: str) -> str:
    return selector.rpartition(".")[2]
