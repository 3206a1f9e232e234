"""What the paper leaves open is an argument: each does what it says."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.layers.recurrent import numpy_units as reference
from trivd_tf.layers.batch_norm import PerStepBatchNorm
from trivd_tf.layers.recurrent import make_cell
from trivd_tf.layers.recurrent.transform import FactorizedTransform


def transform(**options):
    layer = FactorizedTransform(dtype="float64", **options)
    layer.build((None, None, None, 4))
    return layer


@pytest.mark.parametrize("kernel_softmax", ["taps", "kernels"])
@pytest.mark.parametrize("selection_softmax", ["kernels", "space"])
def test_softmax_axes(kernel_softmax, selection_softmax):
    layer = transform(kernel_softmax=kernel_softmax, selection_softmax=selection_softmax)
    rng = np.random.default_rng(0)
    selection, features = rng.normal(size=[2, 4, 4, 9]), rng.normal(size=[2, 4, 4, 2])
    (found,) = layer.warp_weights(
        [tf.constant(selection), tf.constant(features)], layer.normalized_weights()
    )
    hidden = reference.relu(features).reshape(2, -1) @ layer.hidden.normalized_kernel().numpy()
    kernels = reference.relu(hidden) @ layer.kernels.normalized_kernel().numpy()
    axis = {"taps": 1, "kernels": 2}[kernel_softmax]
    kernels = reference.softmax(kernels.reshape(2, 9, 9), axis)
    if selection_softmax == "kernels":
        shares = reference.softmax(selection, -1)
    else:
        shares = reference.softmax(selection.reshape(2, 16, 9), 1).reshape(selection.shape)
    np.testing.assert_allclose(found, np.einsum("bijl,bql->bijq", shares, kernels), atol=1e-12)


def test_warp_edges_reach_the_warp(cases):
    state, frame = (tf.constant(cases.frames(seed, 6)) for seed in (0, 1))
    frame = frame[..., : cases.inputs]
    outputs = {}
    for edges in ("zeros", "replicate"):
        cell = cases.cell("tsru_p", spectral_norm=False, warp_edges=edges)
        outputs[edges] = cell(frame, cell.initial_state(state))[0].numpy()
    difference = np.abs(outputs["zeros"] - outputs["replicate"])
    assert difference[:, 1:-1, 1:-1].max() < 1e-12
    assert difference[:, 0].max() > 1e-3


@pytest.mark.parametrize("name", ["conv_gru", "conv_lstm", "traj_gru", "k_traj_gru", "tsru_s"])
def test_gate_biases_start_where_they_are_told(name):
    cell = make_cell(name, 4, initial_gate_bias=1.5)
    tf.function(lambda: cell(tf.zeros([1, 4, 4, 2]), cell.initial_state(tf.zeros([1, 4, 4, 4]))))()
    biases = {v.path.split("/")[-2]: v.numpy() for v in cell.variables if v.name == "bias"}
    for layer, bias in biases.items():
        is_gate = layer.removesuffix("_of_inputs") in (
            "read", "update", "input_gate", "forget_gate", "output_gate"
        )  # fmt: skip
        np.testing.assert_array_equal(bias, 1.5 if is_gate else 0.0)
    assert any((bias == 1.5).all() for bias in biases.values())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tsru_p", {"warp_edges": "wrap"}, "warp_edges must be"),
        ("tsru_p", {"kernel_softmax": "space"}, "kernel_softmax must be"),
        ("dynamic_conv_lstm", {"initial_gate_bias": 1.0}, "starts all its biases at 0"),
    ],
)
def test_wrong_choices_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        make_cell(name, 4, **options)


def test_the_heads_gain_and_offset_keep_float32_under_bfloat16():
    norm = PerStepBatchNorm(1, conditional=False, dtype="mixed_bfloat16")
    frames = keras.random.normal([1, 4, 8, 8, 2])
    norm(frames, training=True)
    norm.gain.assign([1.003, 1.0])  # 1.0 in bfloat16
    seen, original = [], norm._gain_and_offset
    norm._gain_and_offset = lambda *a: seen.append(original(*a)) or seen[-1]
    norm(frames, training=True)
    assert seen[0][0].dtype == tf.float32
    assert float(seen[0][0][0, 0, 0]) == np.float32(1.003)
