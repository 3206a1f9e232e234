"""Every subject on two replicas against one, in a process of its own that has two devices.

python replicas.py NAME ...    prints one JSON object: subject -> largest relative differences
"""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

# Before anything makes a variable: devices cannot be split later.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
subjects = importlib.import_module("tests.conformance.subjects")


def largest_difference(ones, others) -> float:
    """Relative to each array's own size, or a thousandth of the largest one's where that is more.

    A bias that a batch norm takes away again has rounding errors for a gradient.
    """
    ones, others = [list(map(np.asarray, arrays)) for arrays in (ones, others)]
    floor = 1e-3 * max(np.abs(one).max() for one in ones)
    return max(
        float(np.abs(one - other).max() / max(np.abs(one).max(), floor))
        for one, other in zip(ones, others, strict=True)
    )


def on_two_replicas(subject, strategy):
    """Concatenated outputs, summed losses and gradients of two halves of the batch."""
    with strategy.scope():
        made, inputs = subjects.make_seeded(subject)
    halves = [slice(0, subjects.BATCH // 2), slice(subjects.BATCH // 2, subjects.BATCH)]

    def replica_value(number):
        def value(context):
            half = halves[context.replica_id_in_sync_group]
            return tf.constant(subject.share(inputs, half)[number])

        return strategy.experimental_distribute_values_from_function(value)

    def run(*arrays):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        # The part of the fixed target; each replica traces its own.
        half = halves[int(tf.get_static_value(replica))]
        return subject.loss_and_gradients(made, list(arrays), half)

    distributed = [replica_value(number) for number in range(len(inputs))]
    outputs, loss, gradients = strategy.run(run, args=distributed)
    whole = [
        np.concatenate(strategy.experimental_local_results(o), subject.out_axis) for o in outputs
    ]
    total = sum(strategy.experimental_local_results(loss))
    summed = [sum(strategy.experimental_local_results(g)) for g in gradients]
    return whole, total, summed


def main() -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    found = {}
    for name in sys.argv[1:]:
        subject = subjects.SUBJECTS[name]
        made, inputs = subjects.make_seeded(subject)
        expected = subject.loss_and_gradients(made, inputs)
        outputs, loss, gradients = on_two_replicas(subject, strategy)
        found[name] = {
            "outputs": largest_difference(expected[0], outputs),
            "loss": abs(float(expected[1] - loss)) / max(abs(float(expected[1])), 0.1),
            "gradients": largest_difference(expected[2], gradients),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
