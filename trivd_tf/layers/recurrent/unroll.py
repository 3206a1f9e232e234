"""Running a recurrent unit over time."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from trivd_tf.layers import islands
from trivd_tf.layers.recurrent.base import RecurrentCell, Structure

MODES = ("function", "python", "while")


def unroll(
    cell: RecurrentCell,
    inputs: tf.Tensor,
    state: Structure,
    *,
    num_steps: int | None = None,
    return_warp: bool = False,
    mode: str = "function",
) -> tuple[Any, ...]:
    """Run `cell` over time-major frames, normalizing weights once instead of once per time step.

    Args:
        cell: a recurrent unit.
        inputs: `[T, B, H, W, Cx]`; or, with `num_steps`, `[1, B, H, W, Cx]` repeated at each step.
        state: `cell.initial_state(encoding)`.
        num_steps: number of steps for a single repeated frame.
        return_warp: also return the warp weights (units with `has_motion`).
        mode: "function" (one traced step, called T times: fastest to trace; the same as "python" in
            eager mode), "python" (T steps in the graph) or "while" (`tf.while_loop`: smallest
            graph, slower to run; required if T is not known when the graph is built).

    Returns:
        (outputs `[T, B, H, W, channels]`, last state), and with `return_warp` the warp weights
        `[T, B, H, W, k*k]`, which `cell.flow` converts to a motion field.
    """
    if return_warp and not cell.has_motion:
        raise ValueError(f"{type(cell).__name__} does not warp its state: it has no warp weights.")
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}. Received: mode={mode!r}.")
    steps = _number_of_steps(inputs, num_steps, mode)
    if not cell.built:
        cell.build(tuple(inputs.shape[1:]))
    inputs = tf.cast(inputs, cell.compute_dtype)
    state = tf.nest.map_structure(lambda part: tf.cast(part, cell.compute_dtype), state)
    weights = cell.normalized_weights()
    projected = cell.project(inputs, weights)
    if mode == "while":
        outputs, state, warps = _while_loop(cell, projected, state, weights, steps)
    else:
        once = mode == "function" and not tf.executing_eagerly()
        outputs, state, warps = _python_loop(cell, projected, state, weights, steps, once)
    return (outputs, state, warps) if return_warp else (outputs, state)


def _number_of_steps(inputs: tf.Tensor, num_steps: int | None, mode: str) -> int | tf.Tensor:
    given = inputs.shape[0]
    if given is None and num_steps is None and mode == "while":
        return tf.shape(inputs)[0]
    if given is None or (num_steps is not None and given not in (1, num_steps)):
        raise ValueError(
            "inputs need a known number of time steps, equal to num_steps or 1; only "
            f'mode="while" does without. Received: shape {tuple(inputs.shape)}, '
            f"num_steps={num_steps}, mode={mode!r}."
        )
    return given if num_steps is None else num_steps


def _python_loop(
    cell: RecurrentCell,
    projected: Structure,
    state: Structure,
    weights: Structure,
    steps: int,
    trace_once: bool,
) -> tuple[tf.Tensor, Structure, tf.Tensor | None]:
    flat = [tf.unstack(part, axis=0) for part in tf.nest.flatten(projected)]
    by_step = [
        tf.nest.pack_sequence_as(projected, [part[t % len(part)] for part in flat])
        for t in range(steps)
    ]
    step: Callable[..., Any] = cell.step
    if trace_once:
        compiled = tf.function(step, jit_compile=islands.are_compiled() or None, autograph=False)
        step = compiled.get_concrete_function(by_step[0], state, weights)
    outputs, warps = [], []
    for now in by_step:
        output, state, warp = step(now, state, weights)
        outputs.append(output)
        warps.append(warp)
    return tf.stack(outputs), state, None if warps[0] is None else tf.stack(warps)


def _while_loop(
    cell: RecurrentCell,
    projected: Structure,
    state: Structure,
    weights: Structure,
    steps: int | tf.Tensor,
) -> tuple[tf.Tensor, Structure, tf.Tensor | None]:
    def array() -> tf.TensorArray:
        return tf.TensorArray(cell.compute_dtype, size=steps)

    def body(t: tf.Tensor, state: Structure, outputs: tf.TensorArray, warps: tf.TensorArray) -> Any:
        now = tf.nest.map_structure(
            lambda part: part[0] if part.shape[0] == 1 else tf.gather(part, t), projected
        )
        output, state, warp = cell.step(now, state, weights)
        if cell.has_motion:
            warps = warps.write(t, warp)
        return t + 1, state, outputs.write(t, output), warps

    _, state, outputs, warps = tf.while_loop(
        lambda t, *_: t < steps,
        body,
        (tf.constant(0), state, array(), array()),
        # XLA needs a bound for the gradient and accepts a Python number only.
        maximum_iterations=steps if isinstance(steps, int) else None,
    )
    return outputs.stack(), state, warps.stack() if cell.has_motion else None


@keras.saving.register_keras_serializable("trivd_tf")
class Unroll(keras.layers.Layer):
    """Keras layer that runs a recurrent unit over the time axis of `[B, T, H, W, C]`.

    With `training=True` every call first runs one power iteration of the unit's spectral norms.

    Args:
        cell: a recurrent unit, from `make_cell`.
        return_sequences: return the output of every step instead of the last one only.
        mode: how to run over time; see `unroll`.

    Call arguments:
        inputs: `[B, T, H, W, Cx]`.
        encoding: `[B, H, W, channels]`, from which the state is initialized; zeros if None.
        training: whether to run the power iteration.

    Returns:
        `[B, T, H, W, channels]`, or `[B, H, W, channels]` without `return_sequences`.

    Example of a network that classifies clips of 8 frames:

        >>> import keras
        >>> from trivd_tf.layers.recurrent import Unroll, make_cell
        >>> model = keras.Sequential([
        ...     keras.Input([8, 16, 16, 3]),
        ...     keras.layers.TimeDistributed(keras.layers.Conv2D(4, 3, 2, "same")),
        ...     Unroll(make_cell("tsru_p", channels=6), return_sequences=False),
        ...     keras.layers.GlobalAveragePooling2D(),
        ...     keras.layers.Dense(5),
        ... ])
        >>> model.output_shape
        (None, 5)
    """

    def __init__(
        self,
        cell: RecurrentCell,
        *,
        return_sequences: bool = True,
        mode: str = "function",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.cell = cell
        self.return_sequences = return_sequences
        self.mode = mode

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if len(input_shape) != 5:
            raise ValueError(
                f"Unroll needs inputs [B, T, H, W, C]. Received: shape {tuple(input_shape)}."
            )
        if not self.cell.built:
            self.cell.build((input_shape[0], *input_shape[2:]))
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        encoding: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        self.cell.iterate_if(training)
        if encoding is None:
            shape = tf.shape(inputs)
            encoding = tf.zeros([shape[0], shape[2], shape[3], self.cell.channels], inputs.dtype)
            encoding = tf.ensure_shape(
                encoding, [inputs.shape[0], *inputs.shape[2:4], self.cell.channels]
            )
        outputs, _ = unroll(
            self.cell,
            tf.transpose(inputs, [1, 0, 2, 3, 4]),
            self.cell.initial_state(encoding),
            mode=self.mode,
        )
        if not self.return_sequences:
            return outputs[-1]
        return tf.transpose(outputs, [1, 0, 2, 3, 4])

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...], *of_encoding: Any
    ) -> tuple[int | None, ...]:
        batch, time, height, width, _ = input_shape
        if self.return_sequences:
            return batch, time, height, width, self.cell.channels
        return batch, height, width, self.cell.channels

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "cell": keras.saving.serialize_keras_object(self.cell),
            "return_sequences": self.return_sequences,
            "mode": self.mode,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Unroll":
        cell = keras.saving.deserialize_keras_object(config["cell"])
        return cls(**{**config, "cell": cell})
