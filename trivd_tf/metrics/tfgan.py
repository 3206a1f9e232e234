"""TF-GAN's evaluation module, without importing the TF-GAN package.

``import tensorflow_gan`` (2.1.0) fails on TensorFlow 2.16 and later, because the package's
``__init__`` uses ``tf.estimator``. The module with the Frechet distance does not. It is executed
here from its file, while namespace modules in ``sys.modules`` replace the packages around it and
the one function it uses of TensorFlow Probability (which would import Keras 2). They are removed
from ``sys.modules`` afterwards.
"""

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import tensorflow as tf

from trivd_tf.base.errors import InputError


def _covariance(samples: tf.Tensor) -> tf.Tensor:
    """``tfp.stats.covariance`` of ``[N, D]``: the biased (1/N) covariance matrix ``[D, D]``."""
    centred = samples - tf.reduce_mean(samples, axis=0)
    return tf.matmul(centred, centred, transpose_a=True) / tf.cast(tf.shape(samples)[0], tf.float64)


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # a .py file always has a spec with a loader
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def classifier_metrics() -> ModuleType:
    """Return TF-GAN's module ``tensorflow_gan.python.eval.classifier_metrics``.

    Raises:
        InputError: the package ``tensorflow-gan`` is not installed.
    """
    spec = importlib.util.find_spec("tensorflow_gan")  # finds the files without importing them
    if spec is None or not spec.submodule_search_locations:
        raise InputError("TF-GAN is not installed; `pip install tensorflow-gan==2.1.0`")
    folder = Path(next(iter(spec.submodule_search_locations))) / "python" / "eval"
    stand_ins: dict[str, ModuleType] = {}
    for name in ("tensorflow_gan", "tensorflow_gan.python", "tensorflow_gan.python.eval"):
        stand_ins[name] = ModuleType(name)
        stand_ins[name].__path__ = []
    probability = ModuleType("tensorflow_probability")
    probability.stats = ModuleType("tensorflow_probability.stats")  # type: ignore[attr-defined]
    probability.stats.covariance = _covariance
    stand_ins["tensorflow_probability"] = probability

    before = {name: sys.modules.get(name) for name in stand_ins}
    sys.modules.update(stand_ins)
    try:
        evaluation = stand_ins["tensorflow_gan.python.eval"]
        evaluation.eval_utils = _load(  # type: ignore[attr-defined]
            "tensorflow_gan.python.eval.eval_utils", folder / "eval_utils.py"
        )
        return _load(
            "tensorflow_gan.python.eval.classifier_metrics", folder / "classifier_metrics.py"
        )
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
