"""The private parts of Keras 3 that this package uses, each with the reason.

`tests/base/test_keras_private.py` fails where an upgrade changes one of them, and says what to look
at. Everything else of Keras is used through its public interface.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


def leave_gradients_as_they_are(optimizer: keras.optimizers.Optimizer) -> None:
    """Keeps `optimizer.apply` from summing gradients over replicas.

    For gradients that are sums already. Keras 3 has no argument for it, unlike Keras 2's
    `experimental_aggregate_gradients`.
    """
    optimizer._all_reduce_sum_gradients = _unchanged


def _unchanged(gradients_and_weights: list) -> list:
    return gradients_and_weights


class OpenAdam(keras.optimizers.Adam):
    """Keras's Adam, open where a kernel of its own needs it.

    `update_step`, which is public, receives a learning rate and a weight. What it should receive
    besides once a step, and where a weight's moments are, only private names tell.
    """

    def step_values(self, learning_rate: tf.Tensor) -> Any:
        """What `update_step` of every weight receives as its learning rate."""
        return learning_rate

    def moments(self, variable: tf.Variable) -> tuple[tf.Variable, tf.Variable]:
        """The first and second moment of a weight, as TensorFlow's variables of this replica."""
        index = self._get_variable_index(variable)
        return self._momentums[index].value, self._velocities[index].value

    def _backend_update_step(
        self, grads: Sequence[tf.Tensor], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        super()._backend_update_step(grads, trainable_variables, self.step_values(learning_rate))
