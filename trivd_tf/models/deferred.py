"""Gin-configurable model options, for models that are built later under a strategy.

`generator(**options)` takes the arguments of `Generator` and returns a `functools.partial` of it;
`discriminators` does the same for `make_discriminators`. Making a Keras class itself configurable
would break its construction; building it immediately would miss the strategy's scope.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal

from trivd_tf.layers.recurrent import CELLS
from trivd_tf.models.decompositions import DECOMPOSITIONS, make_discriminators
from trivd_tf.models.generator import Generator

# Set from the clip and data options. A gin binding of these would contradict them.
_DECIDED_BY_DATA = (
    "num_predicted_frames",
    "num_conditioning_frames",
    "frame_size",
    "num_classes",
    "dtype",
)

# Names that are otherwise looked up only when the models are built. Checking them here reports a
# wrong one earlier.
_CHOICES: dict[str, Any] = {
    "recurrent_unit": Literal[tuple(CELLS)],
    "decomposition": Literal[tuple(DECOMPOSITIONS)],
    "head": Literal["mixed_projection", "projection"],
}


def _deferred(function: Callable[..., Any], name: str) -> Callable[..., Callable[..., Any]]:
    """Return a configurable function with the free arguments of `function` that makes a partial."""
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(
            kind=inspect.Parameter.KEYWORD_ONLY,
            annotation=_CHOICES.get(parameter.name, parameter.annotation),
        )
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        and parameter.name not in _DECIDED_BY_DATA
    ]

    def configure(**options: Any) -> Callable[..., Any]:
        return functools.partial(function, **options)

    configure.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    configure.__name__ = configure.__qualname__ = name
    configure.__module__ = __name__
    configure.__doc__ = function.__doc__
    return configure


generator = _deferred(Generator, "generator")
discriminators = _deferred(make_discriminators, "discriminators")
