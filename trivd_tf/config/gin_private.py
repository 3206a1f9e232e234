"""The private parts of gin-config 0.5 that this package uses, each with the reason.

`tests/config/test_gin_private.py` fails where an upgrade changes one of them, and says what to look
at. Everything else of gin is used through its public functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

import gin

# (scope, full selector) -> parameter -> value
Bindings = dict[tuple[str, str], dict[str, Any]]


def read_files_with(reader: Callable[[str], IO[str]], is_readable: Callable[[str], bool]) -> None:
    """Replaces the readers of `include` and `parse_config_file`.

    `gin.register_file_reader` adds behind gin's own, which log an error for every name that they
    do not find.
    """
    gin.config._FILE_READERS[:] = [(reader, is_readable)]


def parsed_bindings() -> Bindings:
    """What files and bindings set. gin offers it as formatted text only (`gin.config_str`)."""
    return gin.config._CONFIG


def operative_bindings() -> Bindings:
    """What calls took, defaults included.

    `gin.operative_config_str` gives it as text, without values that gin cannot write.
    """
    return gin.config._OPERATIVE_CONFIG


def forget(target: Callable[..., Any]) -> None:
    """Takes the bindings of `target` out of gin's configuration, which offers no way to do so."""
    for scope, selector in list(gin.config._CONFIG):
        if selector.rpartition(".")[2] == target.__name__:
            del gin.config._CONFIG[scope, selector]
