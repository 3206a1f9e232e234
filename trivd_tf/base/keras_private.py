"""The private Keras 3 APIs that this package uses, each with the reason.

`tests/base/test_keras_private.py` fails if an upgrade changes one of them, and reports what to
check. All other code uses only public Keras APIs.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


def leave_gradients_as_they_are(optimizer: keras.optimizers.Optimizer) -> None:
    """Prevents `optimizer.apply` from summing gradients over replicas.

    Use it for gradients that are already summed. Keras 3 has no public argument for this, unlike
    Keras 2's `experimental_aggregate_gradients`.
    """
    optimizer._all_reduce_sum_gradients = _unchanged


def _unchanged(gradients_and_weights: list) -> list:
    return gradients_and_weights


class OpenAdam(keras.optimizers.Adam):
    """Keras's Adam with access to the values that a custom update kernel needs.

    The public `update_step` receives a learning rate and a weight. The values shared by all weights
    in a step, and the moments of a weight, are available through private names only.
    """

    def step_values(self, learning_rate: tf.Tensor) -> Any:
        """Returns the value that `update_step` of every weight receives as its learning rate."""
        return learning_rate

    def moments(self, variable: tf.Variable) -> tuple[tf.Variable, tf.Variable]:
        """Returns the first and second moment of a weight, as this replica's variables."""
        index = self._get_variable_index(variable)
        return self._momentums[index].value, self._velocities[index].value

    def _backend_update_step(
        self, grads: Sequence[tf.Tensor], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        super()._backend_update_step(grads, trainable_variables, self.step_values(learning_rate))
