"""Strategy that traces one replica of a synchronous job of N without N devices.

Every replica runs the same program, so it can be traced on any machine. Where TPUStrategy would
reduce over replicas, this strategy emits the same XLA collective. The result is the program of each
core of a TPU.
"""

import tensorflow as tf

from trivd_tf.base.tensorflow_private import OneOfManyExtended


class OneReplicaStrategy(tf.distribute.Strategy):
    """Traces the program of one of `num_replicas` replicas.

    For lowering a program only: if run, it would wait for replicas that do not exist. Reductions
    are supported; gathering, which only `mix_over_replicas` needs, is untested.
    """

    def __init__(self, num_replicas: int):
        super().__init__(OneOfManyExtended(self, num_replicas))
