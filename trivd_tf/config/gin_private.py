"""The private gin-config 0.5 APIs that this package uses, each with the reason.

`tests/config/test_gin_private.py` fails if an upgrade changes one of them, and reports what to
check. All other code uses only public gin functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

import gin

# (scope, full selector) -> parameter -> value
Bindings = dict[tuple[str, str], dict[str, Any]]


def read_files_with(reader: Callable[[str], IO[str]], is_readable: Callable[[str], bool]) -> None:
    """Replaces the readers of `include` and `parse_config_file`.

    `gin.register_file_reader` appends to gin's own readers, which log an error for every name that
    they do not find.
    """
    gin.config._FILE_READERS[:] = [(reader, is_readable)]


def parsed_bindings() -> Bindings:
    """Returns the parsed bindings, which gin offers only as formatted text (`gin.config_str`)."""
    return gin.config._CONFIG


def operative_bindings() -> Bindings:
    """Returns the values that calls used, including defaults.

    `gin.operative_config_str` returns them as text, without values that gin cannot write.
    """
    return gin.config._OPERATIVE_CONFIG


def forget(target: Callable[..., Any]) -> None:
    """Removes the bindings of `target` from gin's configuration; gin has no function for it."""
    for scope, selector in list(gin.config._CONFIG):
        if selector.rpartition(".")[2] == target.__name__:
            del gin.config._CONFIG[scope, selector]
