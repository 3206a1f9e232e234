"""Checks of a configuration before and after the experiment is built."""

from __future__ import annotations

import inspect
import math
import sys
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

import typeguard

from trivd_tf.base.errors import InputError
from trivd_tf.config.statements import (
    REQUIRED,
    Macro,
    Reference,
    Statements,
    flatten,
    nearest,
    parameters_of,
)


def check_macros(statements: Statements) -> None:
    """Checks that every macro `%name` is defined and not circular.

    Raises:
        InputError: a binding uses an undefined macro, or macros refer to each other in a circle.
    """
    uses = [(binding.value, binding.where) for binding in statements.bindings.values()]
    for value, where in uses + list(statements.macros.values()):
        for part in flatten(value):
            if isinstance(part, Macro) and part.name not in {*statements.macros, REQUIRED}:
                advice = nearest(part.name, [*statements.macros, REQUIRED])
                raise InputError(f"{where}: %{part.name} is not defined{advice}")
    for name in statements.macros:
        _refuse_circle(statements, [name])


def _refuse_circle(statements: Statements, way: list[str]) -> None:
    value, where = statements.macros[way[-1]]
    for part in flatten(value):
        if isinstance(part, Macro) and part.name in statements.macros:
            if part.name in way:
                circle = " = ".join(
                    f"%{name}" for name in [*way[way.index(part.name) :], part.name]
                )
                raise InputError(f"{where}: macros refer to each other in a circle: {circle}")
            _refuse_circle(statements, [*way, part.name])


def check_types(statements: Statements) -> None:
    """Checks every bound value against the annotation of its parameter.

    Raises:
        InputError: a value has the wrong type; the message names the binding and both types.
    """
    for binding in statements.bindings.values():
        annotation = annotation_of(binding.target, binding.parameter)
        value = statements.resolve_macro(binding.value)
        if any(isinstance(part, float) and not math.isfinite(part) for part in flatten(value)):
            raise InputError(f"{binding.where}: {binding.name}: the number is too large")
        if annotation is None or (isinstance(value, Macro) and value.name == REQUIRED):
            continue
        if isinstance(value, Reference):
            problem = _problem_with_reference(value, annotation)
        elif any(isinstance(part, (Reference, Macro)) for part in flatten(value)):
            continue  # a container of references: their results are known only when called
        else:
            problem = _problem_with_value(value, annotation)
        if problem:
            raise InputError(f"{binding.where}: {binding.name} = {binding.value!r}: {problem}")


def _problem_with_value(value: Any, annotation: Any) -> str | None:
    # In Python a bool is an int; in a configuration it is a mistake.
    is_stray_bool = isinstance(value, bool) and not _admits(annotation, bool)
    if not is_stray_bool and _fits(value, annotation):
        return None
    if isinstance(value, list) and _fits(tuple(value), annotation):
        return "write it in round brackets"
    if isinstance(value, tuple) and _fits(list(value), annotation):
        return "write it in square brackets"
    if typing.get_origin(annotation) is typing.Literal and isinstance(value, str):
        choices = [str(choice) for choice in typing.get_args(annotation)]
        return f"expected {describe(annotation)}{nearest(value, choices)}"
    return f"expected {describe(annotation)}, received {type(value).__name__}"


def _problem_with_reference(reference: Reference, annotation: Any) -> str | None:
    target = reference.target
    if not inspect.isclass(target):
        return None  # the result of a function is known only when it is called
    if reference.evaluate:
        if _fits(target, type[annotation]):
            return None
        return f"expected {describe(annotation)}, received a {target.__name__}"
    if _fits(target, annotation):
        return None
    if _fits(target, type[annotation]):
        return f"write @{reference.name}() with parentheses: they make the object"
    return f"expected {describe(annotation)}, received the class {target.__name__}"


def _fits(value: Any, annotation: Any) -> bool:
    try:
        typeguard.check_type(
            value,
            annotation,
            collection_check_strategy=typeguard.CollectionCheckStrategy.ALL_ITEMS,
        )
    except typeguard.TypeCheckError:
        return False
    except TypeError:
        return True  # an annotation that cannot be checked at run time
    return True


def _admits(annotation: Any, kind: type) -> bool:
    if annotation is Any or annotation is kind or annotation is object:
        return True
    if typing.get_origin(annotation) is typing.Literal:
        return any(isinstance(choice, kind) for choice in typing.get_args(annotation))
    return any(_admits(part, kind) for part in typing.get_args(annotation))


def describe(annotation: Any) -> str:
    """Formats an annotation for readers of gin files: `int or None`, `'a' or 'b'`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is None or annotation is type(None):
        return "None"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe(part) for part in arguments)
    if origin is typing.Literal:
        return " or ".join(repr(choice) for choice in arguments)
    if inspect.isclass(annotation) and not arguments:
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")


def annotation_of(target: Callable[..., Any], parameter: str) -> Any | None:
    """Returns the annotated type of `parameter` of `target`; None if there is none to check."""
    found = parameters_of(target).get(parameter)
    if found is None or found.annotation is inspect.Parameter.empty:
        return None
    annotation = found.annotation
    if not isinstance(annotation, str):
        return annotation
    owners = target.__mro__ if inspect.isclass(target) else (inspect.unwrap(target),)
    for owner in owners:
        module = sys.modules.get(getattr(owner, "__module__", ""))
        try:
            return eval(annotation, dict(vars(module)) if module else {})
        except (NameError, AttributeError, TypeError):
            continue  # imported for type checkers only, or defined in a base class's module
    return None


def check_required(statements: Statements, root: Callable[..., Any], root_name: str) -> None:
    """Checks that all required parameters of `root` and of the objects it refers to have a value.

    Raises:
        InputError: a parameter without a default is not bound, or is bound to `%gin.REQUIRED`; the
            message names the binding, and for `data_dir` the flag.
    """
    for binding in statements.bindings.values():
        value = statements.resolve_macro(binding.value)
        if isinstance(value, Macro) and value.name == REQUIRED:
            raise InputError(_missing(binding.name, binding.parameter, value))
    _check_required_of(statements, Reference("", root_name, True, root), "", set())


def _check_required_of(
    statements: Statements, reference: Reference, scope: str, seen: set[tuple[str, int]]
) -> None:
    target, scope = reference.target, reference.scope or scope
    if target is None or (scope, id(target)) in seen:
        return
    seen.add((scope, id(target)))
    # A function that defers a call has the signature of the deferred function; parameters without a
    # default get their values later, from the code that makes the call.
    deferred = hasattr(target, "__signature__")
    for name, parameter in parameters_of(target).items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        binding = statements.find(scope, target, name)
        if binding is None:
            if parameter.default is parameter.empty and not deferred:
                raise InputError(_missing(f"{reference.name}.{name}", name))
            continue
        for inner in statements.references(binding.value):
            if inner.evaluate:
                _check_required_of(statements, inner, scope, seen)


def _missing(name: str, parameter: str, value: Macro | None = None) -> str:
    state = "is REQUIRED" if value is not None else "has no value"
    if parameter == "data_dir":
        return f"{name} {state}: give --data_dir DIR"
    return f"{name} {state}: bind it in a gin file or with --gin_bindings '{name} = ...'"


def check_all_used(
    parsed: dict[tuple[str, str], dict[str, Any]],
    operative: dict[tuple[str, str], dict[str, Any]],
    statements: Statements,
) -> None:
    """Checks that every binding was used; finds misspelled scopes and forgotten bindings.

    Args:
        parsed: gin's bindings: (scope, full selector) -> parameter -> value.
        operative: the values that calls actually used, in the same form.
        statements: the checked statements, for the message.

    Raises:
        InputError: a binding was not used.
    """
    for (scope, selector), values in parsed.items():
        for parameter in values:
            if not _is_used(scope, selector, parameter, operative):
                raise InputError(_unused(scope, selector, parameter, operative, statements))


def _is_used(
    scope: str, selector: str, parameter: str, operative: dict[tuple[str, str], dict[str, Any]]
) -> bool:
    prefix = scope.split("/") if scope else []
    return any(
        called == selector
        and parameter in values
        and (called_in.split("/") if called_in else [])[: len(prefix)] == prefix
        for (called_in, called), values in operative.items()
    )


def _unused(
    scope: str,
    selector: str,
    parameter: str,
    operative: Iterable[tuple[str, str]],
    statements: Statements,
) -> str:
    if selector == "gin.macro":
        where = statements.macros[scope][1]
        others = [name for name in statements.macros if name != scope]
        return f"{where}: nothing uses the macro %{scope}{nearest(scope, others)}"
    binding = next(
        found
        for found in statements.bindings.values()
        if (found.scope, found.parameter) == (scope, parameter)
        and selector.endswith(found.target.__name__)
    )
    scopes = {called_in for called_in, called in operative if called == selector}
    if not scopes:
        advice = f"the configuration refers to @{binding.selector}() nowhere"
    elif scope and scope not in scopes:
        advice = f"{binding.selector} is never called in a scope '{scope}'"
        advice += nearest(scope, scopes - {""}) or "; leave the scope out"
    else:
        advice = f"the code that calls {binding.selector} sets {parameter} itself"
    return f"{binding.where}: nothing uses {binding.name}: {advice}"
