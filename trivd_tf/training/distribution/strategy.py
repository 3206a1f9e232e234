"""Choice of the training devices: one, several in this machine, several machines, or a TPU."""

import json
import os
import sys

import tensorflow as tf

from trivd_tf.base.errors import InputError, RunError

STRATEGIES = ("one_device", "mirrored", "multi_worker", "tpu")


def make_strategy(
    name: str = "one_device", *, tpu: str | None = None, logical_devices: int | None = None
) -> tf.distribute.Strategy:
    """Build a tf.distribute strategy; call it before TensorFlow computes anything.

    Args:
        name: one of `STRATEGIES`. `one_device` is the first GPU, or the CPU; `mirrored` all GPUs,
            or all logical CPU devices; `multi_worker` the machines listed in TF_CONFIG.
        tpu: for `tpu`, the name of a Cloud TPU, its address, or `local`.
        logical_devices: number of logical devices of the CPU, to try replicas without GPUs.

    Raises:
        InputError: unknown name, a TPU that does not answer, or an invalid TF_CONFIG.
    """
    if name not in STRATEGIES:
        raise InputError(f"--strategy must be one of {', '.join(STRATEGIES)}; received {name!r}")
    if tpu is not None and name != "tpu":
        raise InputError(f"--tpu {tpu} needs --strategy tpu; received --strategy {name}")
    if logical_devices is not None:
        _divide_cpu(logical_devices)
    if name == "mirrored":
        kind = "GPU" if _gpus() else "CPU"
        found = tf.config.list_logical_devices(kind)
        return tf.distribute.MirroredStrategy([d.name.replace("/device:", "/") for d in found])
    if name == "multi_worker":
        return _multi_worker_strategy()
    if name == "tpu":
        return _tpu_strategy(tpu)
    # TensorFlow's default for one device; it needs no wrappers around variables.
    return tf.distribute.get_strategy()


def _divide_cpu(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError as error:
        raise InputError(
            f"--logical_devices {count} comes too late: TensorFlow has already started"
        ) from error


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


def _multi_worker_strategy() -> tf.distribute.Strategy:
    text = os.environ.get("TF_CONFIG", "")
    example = (
        '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
        '"task": {"type": "worker", "index": 0}}'
    )
    if not text:
        raise InputError(
            f"--strategy multi_worker needs the environment variable TF_CONFIG, such as {example} "
            "(docs/scaling.md; tools/launch/ sets it)"
        )
    try:
        config = json.loads(text)
        jobs, task = config["cluster"], config["task"]
        addresses = jobs[task["type"]]
        if not isinstance(addresses, list) or not 0 <= int(task["index"]) < len(addresses):
            raise ValueError("the task's index is not in the cluster")
        if task["type"] not in ("chief", "worker") or not set(jobs) <= {"chief", "worker"}:
            raise ValueError("jobs are named chief and worker")
    except (ValueError, KeyError, TypeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"TF_CONFIG is wrong ({reason}): it must look like {example}; received {text[:200]}"
        ) from error
    workers = sum(len(hosts) for hosts in jobs.values())
    if workers > 1:
        print(f"trivd: waiting for all {workers} workers", file=sys.stderr, flush=True)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RunError(f"the workers of TF_CONFIG did not come together: {reason}") from error


def replica_batch_size(
    strategy: tf.distribute.Strategy,
    batch_size: int,
    option: str = "TrainingOptions.batch_size",
) -> int:
    """Return each replica's share of the global batch.

    Raises:
        InputError: the batch cannot be divided evenly.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise InputError(
            f"a batch of {batch_size} cannot be shared evenly by {replicas} replicas: make "
            f"{option} a multiple of {replicas}"
        )
    return batch_size // replicas
