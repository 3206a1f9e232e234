"""Seeds for tests, without losing the functions that TensorFlow has compiled so far."""

import random
import sys
from unittest import mock

import numpy as np

_tensorflow_has_a_seed = False


def set_seeds(seed: int) -> None:
    """As `keras.utils.set_random_seed`, but sets TensorFlow's own seed once in a process.

    Setting that one drops all compiled functions and kernels, which costs a quarter of the suite's
    time. What tests draw comes from NumPy, `keras.random` or stateless operations instead.
    """
    global _tensorflow_has_a_seed
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    # Tests of the command line alone never import Keras; importing it for them would cost seconds.
    if "keras" not in sys.modules:
        return
    keras, tf = sys.modules["keras"], sys.modules["tensorflow"]
    if not _tensorflow_has_a_seed:
        _tensorflow_has_a_seed = True
        keras.utils.set_random_seed(seed)
    with mock.patch.object(tf.random, "set_seed"):
        keras.utils.set_random_seed(seed)
