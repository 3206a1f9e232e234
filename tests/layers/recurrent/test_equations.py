"""Every recurrent unit against its equations in plain NumPy (loops, float64)."""

import numpy as np
import pytest
import tensorflow as tf

from tests.layers.recurrent import numpy_units as reference
from trivd_tf.layers.recurrent import CELLS, unroll
from trivd_tf.layers.spectral_norm import power_iterate


def tsru(variant, transform):
    return lambda h, x, w: reference.tsru(h, x, w, variant, transform)


# name -> (output before, x, weights) -> output
EQUATIONS = {
    "conv_gru": reference.conv_gru,
    "conv_lstm": reference.conv_lstm,
    "traj_gru": reference.traj_gru,
    "k_traj_gru": reference.k_traj_gru,
    **{f"tsru_{v}": tsru(v, reference.factorized) for v in "cps"},
    **{f"ptsru_{v}": tsru(v, reference.pixelwise) for v in "cps"},
}


def run(cell, encoding, frames):
    """The outputs of a cell that is called step by step."""
    state, outputs = cell.initial_state(tf.constant(encoding)), []
    for frame in frames:
        output, state = cell(tf.constant(frame), state)
        outputs.append(output.numpy())
    return outputs


@pytest.mark.parametrize("normalized", [False, True], ids=["raw", "spectral_norm"])
@pytest.mark.parametrize("name", EQUATIONS)
def test_unit_follows_its_equations(name, normalized, cases):
    cell = cases.cell(name, spectral_norm=normalized)
    if normalized:
        power_iterate(cell, steps=300)
    weights = cases.numpy_weights(cell, normalized=normalized)
    expected, frames = cases.frames(0, cases.channels), cases.frames(1, cases.inputs, time=2)
    for output, frame in zip(run(cell, expected, frames), frames, strict=True):
        expected = EQUATIONS[name](expected, frame, weights)
        np.testing.assert_allclose(output, expected, atol=1e-6 if normalized else 1e-9)


@pytest.mark.parametrize("normalized", [False, True], ids=["raw", "spectral_norm"])
def test_dynamic_conv_lstm_follows_its_equations(normalized, cases):
    cell = cases.cell("dynamic_conv_lstm", spectral_norm=normalized)
    if normalized:
        power_iterate(cell, steps=300)
    weights = cases.numpy_weights(cell, normalized=normalized)
    bias = cell.gate_bias.numpy()
    expected, frames = cases.frames(0, cases.channels), cases.frames(1, cases.inputs, time=2)
    previous = expected
    for output, frame in zip(run(cell, expected, frames), frames, strict=True):
        expected = reference.dynamic_conv_lstm(expected, previous, frame, weights, bias)
        np.testing.assert_allclose(output, expected, atol=1e-6 if normalized else 1e-9)
        previous = frame


def test_every_unit_has_a_reference():
    assert set(EQUATIONS) | {"dynamic_conv_lstm"} == set(CELLS)


@pytest.mark.parametrize("num_warps", [1, 2])
@pytest.mark.parametrize("read_gate", [False, True])
@pytest.mark.parametrize("variant", "cps")
def test_several_warped_states_and_read_gate(variant, read_gate, num_warps, cases):
    cell = cases.cell(
        f"tsru_{variant}", read_gate=read_gate, num_warps=num_warps, spectral_norm=False
    )
    h, x = cases.frames(0, cases.channels), cases.frames(1, cases.inputs)
    weights = cases.numpy_weights(cell)
    warps = warps_of(np.concatenate([h, x], -1), weights, num_warps)
    expected = reference.tsru_beyond_the_paper(h, x, weights, variant, warps, read_gate)
    np.testing.assert_allclose(run(cell, h, [x])[0], expected, atol=1e-9)
    returned = unroll(cell, tf.constant(x[None]), tf.constant(h), return_warp=True)[2]
    np.testing.assert_allclose(returned[0], np.mean(warps, 0), atol=1e-9)


def warps_of(hx, weights, num_warps):
    """One factorised warp for each share of the selection's and the kernels' outputs."""
    warps = []
    selection, kernels = weights["transform/selection"], weights["transform/kernels"]
    for share in range(num_warps):
        own = slice(9 * share, 9 * share + 9)
        of_kernels = [
            part.reshape(-1, 9, 9 * num_warps)[..., own].reshape(-1, 81) for part in kernels
        ]
        one = {
            **weights,
            "transform/selection": (selection[0][..., own], selection[1][own]),
            "transform/kernels": (of_kernels[0], of_kernels[1][0]),
        }
        warps.append(reference.factorized(hx, one))
    return warps


@pytest.mark.parametrize(("num_warps", "name"), [(2, "traj_gru"), (2, "ptsru_c")])
def test_several_flow_fields_and_pixelwise_warps(name, num_warps, cases):
    cell = cases.cell(name, num_warps=num_warps, spectral_norm=False)
    h, x = cases.frames(0, cases.channels), cases.frames(1, cases.inputs)
    weights = cases.numpy_weights(cell)
    if name == "traj_gru":
        expected = reference.traj_gru(h, x, weights)
    else:
        kernel, bias = weights["transform/third"]
        warps = [
            reference.pixelwise(
                np.concatenate([h, x], -1),
                {**weights, "transform/third": (kernel[..., own], bias[own])},
            )
            for own in (slice(0, 9), slice(9, 18))
        ]
        expected = reference.tsru_beyond_the_paper(h, x, weights, "c", warps, False)
    np.testing.assert_allclose(run(cell, h, [x])[0], expected, atol=1e-9)


@pytest.mark.parametrize("name", ["tsru_c", "tsru_p", "tsru_s", "ptsru_p"])
def test_tsru_without_weights_halves_the_local_mean(name, cases):
    cell = cases.cell(name)
    for variable in cell.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    h = cases.frames(0, cases.channels)
    padded = np.pad(h, [(0, 0), (1, 1), (1, 1), (0, 0)])
    mean = sum(
        padded[:, m : m + h.shape[1], n : n + h.shape[2]] for m in range(3) for n in range(3)
    )
    np.testing.assert_allclose(run(cell, h, [h[..., :3]])[0], mean / 18, atol=1e-12)


@pytest.mark.parametrize("name", ["conv_gru", "k_traj_gru", "traj_gru"])
def test_gru_without_weights_halves_the_state(name, cases):
    cell = cases.cell(name)
    for variable in cell.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    h = cases.frames(0, cases.channels)
    np.testing.assert_allclose(run(cell, h, [h[..., :3]])[0], h / 2, atol=1e-12)


def test_conv_lstm_without_weights_halves_the_memory(cases):
    cell = cases.cell("conv_lstm")
    for variable in cell.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    encoding = cases.frames(0, cases.channels)
    memory = encoding[..., 3:] / 2
    expected = np.concatenate([np.maximum(memory, 0) / 2, memory], -1)
    np.testing.assert_allclose(run(cell, encoding, [encoding[..., :3]])[0], expected, atol=1e-12)
