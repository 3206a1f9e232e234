"""TrIVD-GAN for TensorFlow: adversarial video prediction with transformation-based recurrent units.

This module imports nothing heavy, so that `trivd --help` and configuration errors answer at once.
Import what you need from the subpackages: `trivd_tf.models`, `trivd_tf.layers`, `trivd_tf.data`,
`trivd_tf.metrics`, `trivd_tf.inference`.
"""

from trivd_tf._version import __version__

__all__ = ["__version__"]
