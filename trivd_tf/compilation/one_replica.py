"""A strategy that traces one replica of a synchronous job of N, without having N devices.

What a replica does is the same on every one of them, so its program can be written down anywhere.
Where TPUStrategy would reduce over replicas, this emits the same XLA collective; the program that
comes out is what each core of a TPU would be given.
"""

import tensorflow as tf

from trivd_tf.base.tensorflow_private import OneOfManyExtended


class OneReplicaStrategy(tf.distribute.Strategy):
    """Traces what one of `num_replicas` replicas runs.

    Only good for lowering a program: run, it would wait for replicas that do not exist. Reductions
    are what it knows; gathering, which only `mix_over_replicas` needs, has not been tried.
    """

    def __init__(self, num_replicas: int):
        super().__init__(OneOfManyExtended(self, num_replicas))
