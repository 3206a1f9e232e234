"""Type checks of options that are built in Python, where gin does not check them."""

import dataclasses
import numbers
from typing import Any

from trivd_tf.base.errors import InputError

_WANTED = {int: "a whole number", float: "a number", str: "text", bool: "True or False"}


def check_types(options: Any) -> None:
    """Checks the fields of a dataclass against their annotations: int, float, str or bool.

    Fields of other types are not checked. An int is accepted as a float; a bool is not a number.

    Raises:
        InputError: a value has the wrong type; the message names the field and the value.
    """
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        optional = field.type == float | None
        kind = float if optional else field.type
        if kind not in _WANTED or (optional and value is None):
            continue
        if not _fits(value, kind):
            wanted = f"None or {_WANTED[kind]}" if optional else _WANTED[kind]
            raise InputError(
                f"{type(options).__name__}.{field.name} must be {wanted}; it is {value!r}"
            )


def _fits(value: Any, kind: Any) -> bool:
    if kind in (bool, str):
        return isinstance(value, kind)
    number = numbers.Integral if kind is int else numbers.Real
    return isinstance(value, number) and not isinstance(value, bool)
