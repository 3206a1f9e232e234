"""Running a recurrent unit over time."""

from typing import Any

import tensorflow as tf

from trivd_tf.layers.recurrent.base import RecurrentCell, Structure


def unroll(
    cell: RecurrentCell,
    inputs: tf.Tensor,
    state: Structure,
    *,
    num_steps: int | None = None,
    return_warp: bool = False,
    mode: str = "python",
) -> tuple[Any, ...]:
    """Runs `cell` over time-major frames; weights are normalised once, not once a time step.

    Args:
        cell: a recurrent unit.
        inputs: `[T, B, H, W, Cx]`; or `[1, B, H, W, Cx]` with `num_steps`, the same at each step.
        state: `cell.initial_state(encoding)`.
        num_steps: how often an only frame is repeated.
        return_warp: also return the warp weights (units with `has_motion`).
        mode: "python" (a loop of T steps in the graph) or "while" (`tf.while_loop`: the graph of
            one step, slower to run).

    Returns:
        (outputs `[T, B, H, W, channels]`, last state), and with `return_warp` the warp weights
        `[T, B, H, W, k*k]`.
    """
    if return_warp and not cell.has_motion:
        raise ValueError(f"{type(cell).__name__} does not warp its state: it has no warp weights.")
    if mode not in ("python", "while"):
        raise ValueError(f'mode must be "python" or "while". Received: mode={mode!r}.')
    if not cell.built:
        cell.build(tuple(inputs.shape[1:]))
    inputs = tf.cast(inputs, cell.compute_dtype)
    state = tf.nest.map_structure(lambda part: tf.cast(part, cell.compute_dtype), state)
    weights = cell.normalized_weights()
    projected = cell.project(inputs, weights)
    steps = _number_of_steps(inputs, num_steps)
    loop = _python_loop if mode == "python" else _while_loop
    outputs, state, warps = loop(cell, projected, state, weights, steps, return_warp)
    return (outputs, state, warps) if return_warp else (outputs, state)


def _number_of_steps(inputs: tf.Tensor, num_steps: int | None) -> int:
    given = inputs.shape[0]
    if given is None or (num_steps is not None and given not in (1, num_steps)):
        raise ValueError(
            "inputs need a known number of time steps, equal to num_steps or 1. "
            f"Received: shape {tuple(inputs.shape)}, num_steps={num_steps}."
        )
    return given if num_steps is None else num_steps


def _python_loop(
    cell: RecurrentCell,
    projected: Structure,
    state: Structure,
    weights: Structure,
    steps: int,
    return_warp: bool,
) -> tuple[tf.Tensor, Structure, tf.Tensor | None]:
    flat = [tf.unstack(part, axis=0) for part in tf.nest.flatten(projected)]
    outputs, warps = [], []
    for t in range(steps):
        now = tf.nest.pack_sequence_as(projected, [part[t % len(part)] for part in flat])
        output, state, warp = cell.step(now, state, weights)
        outputs.append(output)
        warps.append(warp)
    return tf.stack(outputs), state, tf.stack(warps) if return_warp else None


def _while_loop(
    cell: RecurrentCell,
    projected: Structure,
    state: Structure,
    weights: Structure,
    steps: int,
    return_warp: bool,
) -> tuple[tf.Tensor, Structure, tf.Tensor | None]:
    def arrays() -> tf.TensorArray:
        return tf.TensorArray(cell.compute_dtype, size=steps)

    def body(t: tf.Tensor, state: Structure, outputs: tf.TensorArray, warps: tf.TensorArray):
        now = tf.nest.map_structure(
            lambda part: part[0] if part.shape[0] == 1 else tf.gather(part, t), projected
        )
        output, state, warp = cell.step(now, state, weights)
        if return_warp:
            warps = warps.write(t, warp)
        return t + 1, state, outputs.write(t, output), warps

    _, state, outputs, warps = tf.while_loop(
        lambda t, *_: t < steps,
        body,
        (tf.constant(0), state, arrays(), arrays()),
        maximum_iterations=steps,
    )
    return outputs.stack(), state, warps.stack() if return_warp else None
