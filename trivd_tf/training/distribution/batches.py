"""Training batches on the devices that use them, copied there while the step before still runs."""

import tensorflow as tf

from trivd_tf.experiment import Experiment
from trivd_tf.training.distribution.devices import kind_of

# On the device: the next one is there when a step begins, and no more memory is spent on it.
_BATCHES_ON_DEVICE = 1


def make_iterator(experiment: Experiment, strategy: tf.distribute.Strategy, seed: int, start: int):
    """Endless training batches, each replica's share of them, from clip number `start` on.

    They are copied to the replicas' GPUs ahead of their use. Where there are several replicas
    TensorFlow does so by itself (`tf.distribute.InputOptions.experimental_fetch_to_device`); a TPU
    is fed by its host.
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
        # A batch of this worker holds its replicas' shares one after the other.
        share = experiment.training.batch_size // replicas
        return clips.unbatch().batch(share, drop_remainder=True)

    if replicas == 1:
        return iter(copied_ahead(dataset(tf.distribute.InputContext()), only_gpu(strategy)))
    return iter(strategy.distribute_datasets_from_function(dataset))


def only_gpu(strategy: tf.distribute.Strategy) -> str | None:
    """The name of the GPU that a strategy with one replica computes on; None for a CPU or a TPU."""
    if kind_of(strategy) != "GPU":
        return None
    try:
        (device,) = strategy.extended.worker_devices
    except RuntimeError:  # TensorFlow's default strategy has no list: it takes the first GPU
        device = tf.config.list_logical_devices("GPU")[0].name
    return device


def copied_ahead(batches: tf.data.Dataset, device: str | None) -> tf.data.Dataset:
    """`batches` in their order, each copied to `device` before it is asked for; as is for None.

    Nothing can be applied to the result: `prefetch_to_device` has to come last.
    """
    if device is None:
        return batches
    return batches.apply(
        tf.data.experimental.prefetch_to_device(device, buffer_size=_BATCHES_ON_DEVICE)
    )
