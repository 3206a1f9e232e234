"""Training batches, copied to their devices while the previous step is still running."""

import tensorflow as tf

from trivd_tf.experiment import Experiment
from trivd_tf.training.distribution.devices import kind_of

# One batch is ready on the device when a step begins; more would only use memory.
_BATCHES_ON_DEVICE = 1


def make_iterator(experiment: Experiment, strategy: tf.distribute.Strategy, seed: int, start: int):
    """Return an endless iterator of training batches per replica, starting at clip `start`.

    Batches are copied to the replicas' GPUs in advance. With several replicas TensorFlow does this
    itself (`tf.distribute.InputOptions.experimental_fetch_to_device`); a TPU is fed by its host.
    """
    replicas = strategy.num_replicas_in_sync

    def dataset(context: tf.distribute.InputContext) -> tf.data.Dataset:
        clips = experiment.data.training_clips(
            experiment.clip,
            seed=seed,
            start=start,
            shard_index=context.input_pipeline_id,
            shard_count=context.num_input_pipelines,
            batch_size=experiment.training.batch_size,
        )
        own = replicas // context.num_input_pipelines
        if own == 1:
            return clips
        # A batch of this worker contains its replicas' shares in order.
        share = experiment.training.batch_size // replicas
        return clips.unbatch().batch(share, drop_remainder=True)

    if replicas == 1:
        return iter(copied_ahead(dataset(tf.distribute.InputContext()), only_gpu(strategy)))
    return iter(strategy.distribute_datasets_from_function(dataset))


def only_gpu(strategy: tf.distribute.Strategy) -> str | None:
    """Return the name of the GPU of a strategy with one replica, or None for a CPU or TPU."""
    if kind_of(strategy) != "GPU":
        return None
    try:
        (device,) = strategy.extended.worker_devices
    except RuntimeError:  # TensorFlow's default strategy has no list: it uses the first GPU
        device = tf.config.list_logical_devices("GPU")[0].name
    return device


def copied_ahead(batches: tf.data.Dataset, device: str | None) -> tf.data.Dataset:
    """Return `batches` in order, each copied to `device` in advance; unchanged if that is None.

    No transformation can follow: `prefetch_to_device` has to come last.
    """
    if device is None:
        return batches
    return batches.apply(
        tf.data.experimental.prefetch_to_device(device, buffer_size=_BATCHES_ON_DEVICE)
    )
