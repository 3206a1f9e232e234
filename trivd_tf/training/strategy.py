"""Which devices train: one, several in this machine, several machines, or a TPU."""

import tensorflow as tf

from trivd_tf.errors import InputError

STRATEGIES = ("one_device", "mirrored", "multi_worker", "tpu")


def make_strategy(name: str = "one_device", tpu: str | None = None) -> tf.distribute.Strategy:
    """Builds a tf.distribute strategy.

    Args:
        name: one of `STRATEGIES`.
        tpu: for `tpu`, the name of a Cloud TPU, its address, or `local`.

    Raises:
        InputError: for an unknown name or a TPU that does not answer.
    """
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy("/gpu:0" if _gpus() else "/cpu:0")
    if name == "mirrored":
        devices = [f"/gpu:{index}" for index in range(len(_gpus()))]
        if not devices:
            devices = [
                d.name.replace("/device:", "/") for d in tf.config.list_logical_devices("CPU")
            ]
        return tf.distribute.MirroredStrategy(devices)
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "tpu":
        return _tpu_strategy(tpu)
    raise InputError(f"--strategy must be one of {', '.join(STRATEGIES)}; received {name!r}")


def _gpus() -> list[tf.config.LogicalDevice]:
    return tf.config.list_logical_devices("GPU")


def _tpu_strategy(tpu: str | None) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=tpu or "local")
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"no TPU answers as {tpu or 'local'!r}: {reason} (install the [tpu] extra on a Cloud "
            "TPU VM and pass --tpu local, or its name)"
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def replica_batch_size(strategy: tf.distribute.Strategy, batch_size: int) -> int:
    """Each replica's share of the global batch.

    Raises:
        InputError: when it cannot be shared evenly.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise InputError(
            f"a batch of {batch_size} cannot be shared evenly by {replicas} replicas: make "
            f"TrainingOptions.batch_size a multiple of {replicas}"
        )
    return batch_size // replicas
