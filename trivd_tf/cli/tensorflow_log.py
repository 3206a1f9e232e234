"""Import of TensorFlow without its log lines.

While loading, TensorFlow prints to file descriptor 2 before any of its settings apply ("oneDNN
custom operations are on", "Could not find cuda drivers"). Only a command's own messages belong on
stderr, so the descriptor is redirected meanwhile. If the import fails, the captured output is
printed.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator

# Exists on Linux if the driver of an NVIDIA GPU is loaded.
NVIDIA_DRIVER = "/proc/driver/nvidia/version"


def import_tensorflow(*, debug: bool = False) -> None:
    """Import TensorFlow and Keras, silently unless `debug`."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    # Otherwise one process takes all GPU memory, and predicting during a training run fails.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    logging.basicConfig(format="trivd: %(levelname)s: %(message)s", level=logging.WARNING)
    for level in ("warning", "error"):
        logging.addLevelName(getattr(logging, level.upper()), level)
    if debug:
        importlib.import_module("keras")
        _warn_of_an_unused_gpu()
        return
    # 2 leaves errors; warnings and information of the C++ code are for debugging.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    with held_back_stderr():
        importlib.import_module("keras")
        import tensorflow as tf

        # Listing the devices prints the warnings about missing GPU drivers.
        tf.config.list_physical_devices()
    tf.get_logger().setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)
    _warn_of_an_unused_gpu()


def _warn_of_an_unused_gpu() -> None:
    """Warn if the machine has an NVIDIA GPU but TensorFlow lacks its libraries."""
    import tensorflow as tf

    is_hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1")
    if is_hidden or not os.path.exists(NVIDIA_DRIVER) or tf.config.list_physical_devices("GPU"):
        return
    print(
        "trivd: warning: this machine has an NVIDIA GPU, but TensorFlow does not find CUDA's "
        "libraries: computing on the CPU (pip install 'tensorflow[and-cuda]' brings them; "
        "CUDA_VISIBLE_DEVICES= silences this)",
        file=sys.stderr,
    )


@contextlib.contextmanager
def held_back_stderr() -> Iterator[None]:
    """Capture file descriptor 2; the captured output is printed only after an exception."""
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, AttributeError, ValueError):
        yield  # there is no stderr to capture
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
