"""Represents an experiment as the calls that rebuild it, for saved configurations."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trivd_tf import data, models
from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import absolute
from trivd_tf.data.source import ClipSource
from trivd_tf.experiment.evaluation_options import EvaluationOptions
from trivd_tf.experiment.experiment import Experiment
from trivd_tf.experiment.training_options import TrainingOptions

# Modules from which gin files import these types; data sources come from `trivd_tf.data`.
_HOMES: dict[type, str] = {
    EvaluationOptions: "trivd_tf.evaluation",
    TrainingOptions: "trivd_tf.training",
}


@dataclasses.dataclass(frozen=True)
class Call:
    """The call `module.name(**arguments)`; each argument is a plain value or another call.

    Attributes:
        module: an importable module, such as `trivd_tf.data`.
        name: a class or function in the module.
        arguments: all of its parameters, including defaults.
    """

    module: str
    name: str
    arguments: dict[str, Any]


def calls_of(experiment: Experiment) -> Call:
    """Returns the call that rebuilds `experiment`, with nested calls for its parts.

    Raises:
        InputError: a part cannot be written as text: a class that cannot be imported, a function
            instead of `models.generator(...)`, or a value that is not a literal.
    """
    arguments: dict[str, Any] = {}
    for field in dataclasses.fields(experiment):
        value = getattr(experiment, field.name)
        where = f"Experiment.{field.name}"
        if field.name == "generator":
            value = _deferred(value, models.Generator, "generator", where)
        elif field.name == "discriminators":
            value = _deferred(value, models.make_discriminators, "discriminators", where)
        elif isinstance(value, ClipSource):
            value = _source(value, where)
        elif dataclasses.is_dataclass(value):
            named = {part.name: getattr(value, part.name) for part in dataclasses.fields(value)}
            value = _call(type(value), named, where)
        else:
            value = _plain(value, where)
        arguments[field.name] = value
    return Call("trivd_tf.experiment", "Experiment", arguments)


def _deferred(value: Any, function: Callable[..., Any], name: str, where: str) -> Call:
    """Converts a partial to the call `models.generator(...)` or `models.discriminators(...)`."""
    how = f"use trivd_tf.models.{name}(...)"
    options: dict[str, Any] = {}
    if isinstance(value, functools.partial) and value.func is function:
        options = inspect.signature(function).bind_partial(*value.args, **value.keywords).arguments
        options |= options.pop("kwargs", {})
    elif value is not function:
        raise InputError(f"{where}: {_shown(value)} cannot be written to config.gin; {how}")
    known = inspect.signature(getattr(models, name)).parameters
    if others := sorted(set(options) - set(known)):
        raise InputError(f"{where}: {', '.join(others)} cannot be set here; {how}")
    defaults = {key: parameter.default for key, parameter in known.items()}
    given = defaults | options
    missing = [key for key, value in given.items() if value is inspect.Parameter.empty]
    if missing:
        raise InputError(f"{where}: {', '.join(missing)} has no value; {how}")
    plain = {key: _plain(value, f"{where}.{key}") for key, value in given.items()}
    return Call("trivd_tf.models", name, plain)


def _source(source: ClipSource, where: str) -> Call:
    positional, by_name = source.made_with
    bound = inspect.signature(type(source)).bind(*positional, **by_name)
    bound.apply_defaults()
    named = dict(bound.arguments)
    for parameter in bound.signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            named |= named.pop(parameter.name)
    kept = {name: value for name, value in named.items() if name not in source.not_in_gin}
    if isinstance(kept.get("data_dir"), str | os.PathLike):
        # A later command may run in another working directory.
        kept["data_dir"] = absolute(kept["data_dir"])
    return _call(type(source), kept, where)


def _call(kind: type, named: dict[str, Any], where: str) -> Call:
    plain = {name: _plain(value, f"{where}.{name}") for name, value in named.items()}
    if kind in _HOMES:
        return Call(_HOMES[kind], kind.__name__, plain)
    if getattr(data, kind.__name__, None) is kind:
        return Call("trivd_tf.data", kind.__name__, plain)
    module = importlib.import_module(kind.__module__)
    if kind.__module__ == "__main__" or getattr(module, kind.__qualname__, None) is not kind:
        raise InputError(
            f"{where}: {kind.__module__}.{kind.__qualname__} cannot be named in config.gin; define "
            "it at the top of a module that can be imported, or pass trivd_tf.train a dataset"
        )
    return Call(kind.__module__, kind.__name__, plain)


def _plain(value: Any, where: str) -> Any:
    """Returns a value that `repr` reproduces: None, bool, number, text, or a container of them."""
    if isinstance(value, Path):
        value = os.fspath(value)
    elif hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()  # a NumPy scalar
    try:
        if ast.literal_eval(repr(value)) == value:
            return value
    except (ValueError, SyntaxError):
        pass
    raise InputError(
        f"{where}: {_shown(value)} cannot be written to config.gin; use numbers, text, None, or "
        "lists, tuples and dicts of them"
    )


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
