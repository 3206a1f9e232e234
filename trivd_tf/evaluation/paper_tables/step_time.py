"""How long a step of a run took, out of its TensorBoard log."""

import pathlib
import statistics

import tensorflow as tf

from trivd_tf.base import model_files

TAG = "time/seconds_a_step"


def seconds_a_step(model_dir: str | pathlib.Path) -> float | None:
    """Seconds of a generator update with its discriminator updates: the median of all logged.

    Args:
        model_dir: a run's directory.

    Returns:
        None where nothing is logged.
    """
    values: list[float] = []
    for path in sorted(
        (pathlib.Path(model_dir) / model_files.TENSORBOARD).glob("events.out.tfevents.*")
    ):
        try:
            for record in tf.data.TFRecordDataset(str(path)):
                event = tf.compat.v1.Event.FromString(record.numpy())
                values += [
                    float(tf.make_ndarray(value.tensor))
                    for value in event.summary.value
                    if value.tag == TAG
                ]
        except tf.errors.DataLossError:  # its end, where a run was killed while it wrote
            continue
    return statistics.median(values) if values else None
