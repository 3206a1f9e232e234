"""TrIVD-GAN for TensorFlow: adversarial video prediction with transformation-based recurrent units.

    model = trivd_tf.load("runs/mine")      # a model directory, an export, an address
    futures = model.predict_samples(clips, num_samples=3)
    trivd_tf.train(experiment, model_dir="runs/mine", dataset=my_clips)

Scores are in `trivd_tf.metrics`, networks in `trivd_tf.models`, recurrent units in
`trivd_tf.layers.recurrent`, data sets in `trivd_tf.data`; docs/python.md shows each in use.

Importing the package imports nothing heavy: TensorFlow comes with the first name that needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from trivd_tf._version import __version__

if TYPE_CHECKING:
    from trivd_tf.api.load import load
    from trivd_tf.api.train import train

__all__ = ["__version__", "load", "train"]

_FUNCTIONS = {"load": "trivd_tf.api.load", "train": "trivd_tf.api.train"}
_PACKAGES = (
    "config",
    "data",
    "evaluation",
    "experiment",
    "exporting",
    "inference",
    "layers",
    "metrics",
    "models",
    "ops",
    "pictures",
    "runs",
    "serving",
    "training",
)


def __getattr__(name: str) -> Any:
    """Imports a function or a package of `trivd_tf` when it is first asked for."""
    if name in _FUNCTIONS:
        function = getattr(importlib.import_module(_FUNCTIONS[name]), name)
        globals()[name] = function
        return function
    if name in _PACKAGES:
        return importlib.import_module(f"trivd_tf.{name}")
    raise AttributeError(f"module 'trivd_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES})
