"""What the devices of a run decide: whether its operations are deterministic."""

import tensorflow as tf
from tensorflow.python.framework import config as tf_config

from trivd_tf.experiment import TrainingOptions


def kind_of(strategy: tf.distribute.Strategy) -> str:
    """`CPU`, `GPU` or `TPU`: what the strategy computes on; a GPU or TPU among CPUs counts."""
    try:
        devices = strategy.extended.worker_devices
    except RuntimeError:  # TensorFlow's default strategy: the first GPU, if there is one
        return "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    kinds = {kind for device in devices for kind in ("GPU", "TPU") if f"{kind}:" in device.upper()}
    return min(kinds, default="CPU")


def is_deterministic(options: TrainingOptions, kind: str) -> bool:
    """Whether a run on devices of this kind repeats to the last bit."""
    if options.deterministic == "auto":
        return kind == "CPU"
    return bool(options.deterministic)


def set_determinism(options: TrainingOptions, kind: str) -> None:
    """Makes the operations of this process deterministic where `is_deterministic` says so.

    A kernel that adds up in an order which threads decide gives other last bits, and so another
    run. Where `options` leave the choice to the devices, what the process asked for before stays.
    """
    if is_deterministic(options, kind):
        tf.config.experimental.enable_op_determinism()
    elif options.deterministic is False:
        tf_config.disable_op_determinism()
