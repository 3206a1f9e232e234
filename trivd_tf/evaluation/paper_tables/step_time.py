"""Time per training step, read from a run's TensorBoard log."""

import pathlib
import statistics

import tensorflow as tf

from trivd_tf.base import model_files

TAG = "time/seconds_a_step"


def seconds_a_step(model_dir: str | pathlib.Path) -> float | None:
    """Return the median seconds of a generator update including its discriminator updates.

    Args:
        model_dir: a model directory.

    Returns:
        None if no times are logged.
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
        except tf.errors.DataLossError:  # truncated end of an interrupted run's log
            continue
    return statistics.median(values) if values else None
