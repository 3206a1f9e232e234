"""I3D as a TF-Hub module in the TF1 format, such as deepmind/i3d-kinetics-400/1."""

from pathlib import Path

import keras
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.base.shipped import fetch_from_hub
from trivd_tf.base.tensorflow_private import saved_model_tags
from trivd_tf.metrics.i3d import weights as i3d_weights
from trivd_tf.metrics.i3d.shapes import check_video_shape

LOGITS_TENSOR = "RGB/inception_i3d/Mean:0"


class HubI3D(keras.Model):
    """Runs the graph of a TF-Hub I3D module.

    Called like `trivd_tf.metrics.I3D`. It is slower than that class (batch norm is not folded), and
    is the reference where both run.

    Args:
        source: a TF-Hub handle, or a directory with a TF1 hub module or SavedModel whose graph has
            the tensor ``RGB/inception_i3d/Mean:0`` and one video input.

    Raises:
        InputError: the module does not exist or is not an I3D module.
    """

    def __init__(self, source: str, name: str = "i3d_hub"):
        super().__init__(name=name, dtype="float32")
        path = _download(source) if i3d_weights.is_hub_handle(source) else source
        self._run = _prune_to_logits(path)
        self.built = True

    def call(self, videos: tf.Tensor) -> tf.Tensor:
        check_video_shape(videos.shape)
        return self._run(videos)


def _download(handle: str) -> str:
    url = handle if "://" in handle else f"https://tfhub.dev/{handle}"
    try:
        return fetch_from_hub(url)
    except Exception as error:  # hub raises many types: network, HTTP, archive, value
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"I3D: cannot fetch the TF-Hub module {handle} ({reason}); {i3d_weights.HOW_TO_GET}"
        ) from error


def _prune_to_logits(path: str) -> tf.types.experimental.ConcreteFunction:
    """Return the part of the module's graph from its video input to the logits."""
    if not (Path(path) / "saved_model.pb").is_file():
        raise InputError(f"I3D: {path} holds no saved_model.pb; {i3d_weights.HOW_TO_GET}")
    try:
        module = tf.saved_model.load(path, tags=_inference_tags(path))
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"I3D: cannot load the module {path} ({reason})") from error
    signature = next(iter(module.signatures.values()), None)
    inputs = [t for t in signature.inputs if t.dtype == tf.float32] if signature else []
    try:
        # Only TF1 modules have `graph` and `prune`; only I3D has the tensor.
        function = module.prune(inputs[0].name, module.graph.get_tensor_by_name(LOGITS_TENSOR))
    except (AttributeError, IndexError, KeyError, ValueError) as error:
        raise InputError(
            f"I3D: the module {path} has no float32 input with a tensor {LOGITS_TENSOR} behind "
            "it; expected deepmind/i3d-kinetics-400/1"
        ) from error
    function._trivd_keep_alive = module  # the function does not own the variables
    return function


def _inference_tags(path: str) -> list[str]:
    """Return the tags of the inference graph; hub modules also have a graph for training."""
    tag_sets = saved_model_tags((Path(path) / "saved_model.pb").read_bytes())
    return next((tags for tags in tag_sets if "train" not in tags), [])
