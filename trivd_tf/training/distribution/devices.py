"""Device-dependent choices: determinism, XLA compilation and reports of device failures."""

import contextlib
from collections.abc import Callable, Iterator

import tensorflow as tf

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.base.tensorflow_private import disable_op_determinism
from trivd_tf.experiment import TrainingOptions


def kind_of(strategy: tf.distribute.Strategy) -> str:
    """Return the strategy's kind, `CPU`, `GPU` or `TPU`; a GPU or TPU among CPUs counts."""
    try:
        devices = strategy.extended.worker_devices
    except RuntimeError:  # TensorFlow's default strategy: the first GPU, if any
        return "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    kinds = {kind for device in devices for kind in ("GPU", "TPU") if f"{kind}:" in device.upper()}
    return min(kinds, default="CPU")


def is_deterministic(options: TrainingOptions, kind: str) -> bool:
    """Whether a run on devices of this kind is repeatable to the last bit."""
    if options.deterministic == "auto":
        return kind == "CPU"
    return bool(options.deterministic)


def set_determinism(options: TrainingOptions, kind: str) -> None:
    """Make the operations of this process deterministic if `is_deterministic` is true.

    A kernel whose summation order depends on threads gives different last bits, and so a different
    run. If `options` leave the choice to the devices, the process's earlier setting stays.
    """
    if is_deterministic(options, kind):
        tf.config.experimental.enable_op_determinism()
    elif options.deterministic is False:
        disable_op_determinism()


@contextlib.contextmanager
def graph_optimizers(kind: str) -> Iterator[None]:
    """Choose graph optimizers for graphs that first run inside, by kind of device.

    On CPUs TensorFlow's graph optimizers take a third of the first step and make no later step
    faster (docs/scaling.md), so they are disabled. A GPU keeps them: they choose the layout of its
    convolutions.
    """
    if kind != "CPU":
        yield
        return
    before = tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": before})


def compiles_islands(options: TrainingOptions, kind: str, num_replicas: int) -> bool:
    """Whether XLA compiles the small operations of a step (`layers.islands`).

    Only if requested: islands have not been run on a GPU yet, and a GPU on which XLA lacks a
    library or compiles for minutes must not block a run that trains without it.

    Raises:
        InputError: requested on several devices, whose batch norms reduce over replicas.
    """
    if kind == "TPU" or options.jit_compile == "auto":  # a TPU compiles the whole update
        return False
    if options.jit_compile and num_replicas > 1:
        raise InputError(
            f"TrainingOptions.jit_compile is True on {num_replicas} replicas, but compiled parts "
            "cannot reduce over replicas: use False, or --strategy one_device"
        )
    return bool(options.jit_compile)


# An allocation that fails inside an XLA program raises an internal error.
_MEMORY_SIGNS = ("RESOURCE_EXHAUSTED", "OUT_OF_MEMORY", "Out of memory", "out of memory")
_COMPILER_SIGNS = ("libdevice", "ptxas", "nvlink", "XLA", "xla", "HLO")


@contextlib.contextmanager
def reporting_device_failures(
    options: TrainingOptions, step: Callable[[], int], *, jit_compile: bool = False
) -> Iterator[None]:
    """Convert TensorFlow's device failures into one short RunError.

    For a failed allocation the error names the batch size and the options to lower. For a failed
    XLA compilation it names the option that disables it.

    Args:
        options: options of the run.
        step: returns the number of steps done.
        jit_compile: whether XLA compiles parts of the step.
    """
    try:
        yield
    except tf.errors.OpError as error:
        text = str(error)
        if isinstance(error, tf.errors.ResourceExhaustedError) or (
            isinstance(error, tf.errors.InternalError)
            and any(sign in text for sign in _MEMORY_SIGNS)
        ):
            raise RunError(_out_of_memory(options, step())) from error
        if jit_compile and any(sign in text for sign in _COMPILER_SIGNS):
            reason = next(line for line in text.splitlines() if line.strip())
            raise RunError(
                f"XLA could not compile or run a part of the step ({reason.strip()[:200]}): bind "
                "training.TrainingOptions.jit_compile = False, which computes the same without it"
            ) from error
        raise


def _out_of_memory(options: TrainingOptions, step: int) -> str:
    ways = ["a smaller TrainingOptions.batch_size", "a smaller channel_multiplier"]
    if not options.recompute:
        ways.insert(0, "TrainingOptions.recompute = True")
    return (
        f"out of memory on the device after step {step}, with batch_size {options.batch_size}: use "
        f"{', '.join(ways[:-1])} or {ways[-1]}; the last checkpoint is kept, and the same command "
        "resumes from it"
    )
