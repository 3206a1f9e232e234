"""The generator, the discriminators and the nine discriminator decompositions."""

from trivd_tf.models.decompositions import DECOMPOSITIONS, make_discriminators
from trivd_tf.models.deferred import discriminators, generator
from trivd_tf.models.discriminators import Discriminator
from trivd_tf.models.encoder import Encoder
from trivd_tf.models.generator import Generator

__all__ = [
    "DECOMPOSITIONS",
    "Discriminator",
    "Encoder",
    "Generator",
    "discriminators",
    "generator",
    "make_discriminators",
]
