"""What every recurrent unit owes its users: unrolling, gradients, configuration, compilation."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.layers.recurrent import CELLS, make_cell, unroll
from trivd_tf.layers.spectral_norm import SpectralLayer, power_iterate

# One of each way to work, for what costs time. (Compilation and bfloat16: tests/conformance.)
KINDS = ("conv_gru", "conv_lstm", "traj_gru", "k_traj_gru", "tsru_s", "ptsru_p")
STEPS = 3


def step_by_step(cell, inputs, encoding):
    state, outputs = cell.initial_state(encoding), []
    for frame in inputs:
        output, state = cell(frame, state)
        outputs.append(output)
    return tf.stack(outputs)


# Eagerly the function mode is the python mode: fewer units for that.
MODES = [
    (name, mode)
    for name in CELLS
    for mode in ("function", "python", "while")
    if mode != "python" or name in KINDS
]


@pytest.mark.parametrize(("name", "mode"), MODES)
def test_unroll_equals_calls_step_by_step(name, mode, cases):
    cell = cases.cell(name)
    inputs = tf.constant(cases.frames(1, cases.inputs, time=STEPS))
    encoding = tf.constant(cases.frames(0, cases.channels))
    expected = step_by_step(cell, inputs, encoding)

    def run(inputs, encoding):
        return unroll(
            cell, inputs, cell.initial_state(encoding), return_warp=cell.has_motion, mode=mode
        )

    if mode == "function":
        run = tf.function(run)
    outputs, state, *warps = run(inputs, encoding)
    np.testing.assert_allclose(outputs, expected, atol=1e-12)
    assert outputs.shape == (STEPS, *encoding.shape)
    if name.endswith("lstm"):
        np.testing.assert_allclose(tf.concat(state[:2], -1), expected[-1], atol=1e-12)
    else:
        np.testing.assert_allclose(state, expected[-1], atol=1e-12)
    if cell.has_motion:
        flow = cell.flow(warps[0][-1])
        assert flow.shape == (*encoding.shape[:-1], 2)
        assert flow.dtype == tf.float32


def test_repeated_input_equals_the_same_frame_at_every_step(cases):
    cell = cases.cell("tsru_p")
    frame = tf.constant(cases.frames(1, cases.inputs, time=1))
    state = cell.initial_state(tf.constant(cases.frames(0, cases.channels)))
    repeated = unroll(cell, frame, state, num_steps=STEPS)[0]
    np.testing.assert_allclose(
        repeated, unroll(cell, tf.repeat(frame, STEPS, 0), state)[0], atol=1e-12
    )
    in_a_loop = unroll(cell, frame, state, num_steps=STEPS, mode="while")[0]
    np.testing.assert_allclose(repeated, in_a_loop, atol=1e-12)


def test_while_mode_takes_an_unknown_number_of_steps(cases):
    cell = cases.cell("conv_gru")
    inputs = tf.constant(cases.frames(1, cases.inputs, time=STEPS))
    encoding = tf.constant(cases.frames(0, cases.channels))
    spec = tf.TensorSpec([None, *inputs.shape[1:]], tf.float64)
    run = tf.function(lambda x: unroll(cell, x, encoding, mode="while")[0], [spec])
    np.testing.assert_allclose(run(inputs), step_by_step(cell, inputs, encoding), atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_gradients_reach_every_weight_the_inputs_and_the_encoding(name, cases):
    cell = cases.cell(name)
    inputs = tf.constant(cases.frames(1, cases.inputs, time=2))
    encoding = tf.constant(cases.frames(0, cases.channels))
    with tf.GradientTape() as tape:
        tape.watch([inputs, encoding])
        outputs = unroll(cell, inputs, cell.initial_state(encoding))[0]
        loss = tf.reduce_sum(outputs * cases.frames(2, cases.channels, time=2))
    variables = [variable.value for variable in cell.trainable_variables]
    gradients = tape.gradient(loss, [*variables, inputs, encoding])
    names = [variable.path for variable in cell.trainable_variables] + ["inputs", "encoding"]
    without = [n for n, g in zip(names, gradients, strict=True) if g is None or not np.any(g)]
    assert not without


@pytest.mark.parametrize("name", CELLS)
def test_gradients_in_a_function_equal_eager_ones_and_slopes(name, cases):
    cell = cases.cell(name, spectral_norm=False)
    inputs = tf.constant(cases.frames(1, cases.inputs, time=2))
    encoding = tf.constant(cases.frames(0, cases.channels))
    weights = [variable.value for variable in cell.trainable_variables]

    def loss_and_gradients():
        with tf.GradientTape() as tape:
            outputs = unroll(cell, inputs, cell.initial_state(encoding))[0]
            loss = tf.reduce_sum(outputs * cases.frames(2, cases.channels, time=2))
        return loss, tape.gradient(loss, weights)

    _, eager = loss_and_gradients()
    _, compiled = tf.function(loss_and_gradients)()
    for one, other in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)
    rng = np.random.default_rng(7)
    directions = [rng.normal(size=weight.shape) for weight in weights]
    slope = sum(np.sum(g * d) for g, d in zip(eager, directions, strict=True))
    losses = []
    for step in (1e-6, -2e-6):
        for weight, direction in zip(weights, directions, strict=True):
            weight.assign_add(step * direction)
        losses.append(loss_and_gradients()[0])
    np.testing.assert_allclose(slope, (losses[0] - losses[1]) / 2e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, {}) for name in CELLS]
    + [
        ("conv_lstm", {"activation": "tanh", "kernel_size": 5, "epsilon": 1e-3}),
        ("tsru_s", {"num_warps": 2, "read_gate": True, "num_kernels": 4, "warp_size": 5}),
        ("tsru_c", {"dense_width": "half_flattened", "spectral_norm": False}),
        ("ptsru_p", {"second_width": "same"}),
        ("traj_gru", {"num_warps": 3, "flow_channels": 8}),
        ("dynamic_conv_lstm", {"kernel_channels": 4}),
    ],
)
def test_config_round_trip_keeps_options_shapes_and_outputs(name, options, cases):
    cell = cases.cell(name, **options)
    twin = type(cell).from_config(cell.get_config())
    assert twin.get_config() == cell.get_config()
    for option, value in options.items():
        assert cell.get_config()[option] == value
    twin.build((None, *cases.frames(1, cases.inputs).shape[1:]))
    twin.set_weights(cell.get_weights())
    inputs = tf.constant(cases.frames(1, cases.inputs, time=1))
    encoding = tf.constant(cases.frames(0, cases.channels))
    np.testing.assert_array_equal(
        step_by_step(cell, inputs, encoding), step_by_step(twin, inputs, encoding)
    )


@pytest.mark.parametrize("name", ["conv_gru", "tsru_s", "dynamic_conv_lstm"])
def test_unroll_normalizes_each_kernel_once(name, cases, monkeypatch):
    cell = cases.cell(name)
    calls = []
    original = SpectralLayer.normalized_kernel

    def counted(layer):
        calls.append(layer.path)
        return original(layer)

    monkeypatch.setattr(SpectralLayer, "normalized_kernel", counted)
    inputs = tf.constant(cases.frames(1, cases.inputs, time=STEPS))
    unroll(cell, inputs, cell.initial_state(tf.constant(cases.frames(0, cases.channels))))
    kernels = [v.path for v in cell.trainable_variables if v.path.endswith("kernel")]
    assert len(calls) == len(set(calls)) == len(kernels)


def test_a_call_uses_the_current_weights(cases):
    cell = cases.cell("tsru_p")
    x, h = tf.constant(cases.frames(1, cases.inputs)), tf.constant(cases.frames(0, cases.channels))
    before, _ = cell(x, h)
    cell.candidate.kernel.assign(-cell.candidate.kernel)
    assert np.abs(cell(x, h)[0] - before).max() > 1e-3


def test_a_forward_leaves_the_spectral_vectors_alone(cases):
    cell = cases.cell("tsru_p")
    before = [variable.numpy() for variable in cell.non_trainable_variables]
    unroll(
        cell,
        tf.constant(cases.frames(1, cases.inputs, time=2)),
        tf.constant(cases.frames(0, cases.channels)),
    )
    for old, variable in zip(before, cell.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(variable, old)
    power_iterate(cell)
    assert any(np.any(o != v) for o, v in zip(before, cell.non_trainable_variables, strict=True))


@pytest.mark.parametrize("name", CELLS)
def test_initial_state_needs_no_build_and_checks_the_width(name):
    cell = make_cell(name, 4)
    encoding = tf.reshape(tf.range(16.0), [1, 2, 2, 4])
    state = cell.initial_state(encoding)
    if name.endswith("lstm"):
        np.testing.assert_array_equal(state[0], encoding[..., :2])
        np.testing.assert_array_equal(state[1], encoding[..., 2:])
    else:
        np.testing.assert_array_equal(state, encoding)
    with pytest.raises(ValueError, match=r"encoding \[B, H, W, 4\].*\(1, 2, 2, 3\)"):
        cell.initial_state(encoding[..., :3])


# Differences to ConvGRU of the generators' sizes at ch 48, in millions (docs/architecture.md,
# section 8).
DIFFERENCES = {
    "tsru_c": 44.52 - 39.68,
    "tsru_p": 44.52 - 39.68,
    "tsru_s": 44.10 - 39.68,
    "k_traj_gru": 48.42 - 39.68,
    "ptsru_s": 41.05 - 39.68,
    "ptsru_c": 41.46 - 39.68,
    "ptsru_p": 41.46 - 39.68,
    "conv_lstm": 34.04 - 39.68,
}


@pytest.fixture(autouse=True, scope="module")
def quick_start_of_wide_kernels():
    """Orthogonal matrices at ch 48 take seconds to draw; no test here is about values of theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            keras.initializers.Orthogonal,
            "__call__",
            lambda self, shape, dtype=None: keras.random.normal(shape, stddev=0.1),
        )
        yield


def trainable_parameters(name, **options):
    """Of the three stages of a generator at ch 48."""
    total = 0
    for size, inputs, hidden in ((8, 8, 8), (16, 8, 4), (32, 4, 2)):
        cell = make_cell(name, 48 * hidden, **options)
        cell.build((None, size, size, 48 * inputs))
        total += sum(math.prod(variable.shape) for variable in cell.trainable_variables)
    return total / 1e6


@pytest.fixture(scope="module")
def conv_gru_parameters():
    return trainable_parameters("conv_gru", spectral_norm=False)


@pytest.mark.parametrize("name", DIFFERENCES)
def test_number_of_parameters(name, conv_gru_parameters):
    more = trainable_parameters(name, spectral_norm=False) - conv_gru_parameters
    assert more == pytest.approx(DIFFERENCES[name], abs=0.011)


@pytest.mark.parametrize(
    ("name", "options", "millions"),
    [
        ("tsru_p", {"dense_width": "half_flattened"}, 28.6),
        ("ptsru_p", {"second_width": "same"}, 1.2),
    ],
)
def test_number_of_parameters_of_the_open_choices(name, options, millions):
    more = trainable_parameters(name, spectral_norm=False, **options)
    more -= trainable_parameters(name, spectral_norm=False)
    assert more == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_cell("gru", 4), "name must be one of conv_gru"),
        (lambda: make_cell("conv_gru", 0), "channels must be at least 1"),
        (lambda: make_cell("conv_lstm", 5), "channels must be even"),
        (lambda: make_cell("tsru_p", 4, num_warps=0), "num_warps=0"),
        (lambda: make_cell("tsru_p", 4, dense_width="all"), "dense_width='all'"),
        (lambda: make_cell("ptsru_p", 4, second_width=0), "second_width=0"),
        (lambda: make_cell("tsru_p", 4, variant="x"), "variant"),
        (lambda: make_cell("traj_gru", 4, num_warps=0), "num_warps=0"),
        (lambda: make_cell("conv_gru", 4).flow(tf.zeros([1, 2, 2, 9])), "no motion"),
        (
            lambda: make_cell("dynamic_conv_lstm", 4).build((None, 2, 2, 3)),
            "multiple of channels / 2",
        ),
    ],
)
def test_wrong_options_are_told(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"return_warp": True}, "ConvGRU does not warp"),
        ({"mode": "scan"}, "mode='scan'"),
        ({"num_steps": 5}, "num_steps=5"),
    ],
)
def test_unroll_tells_wrong_arguments(options, message):
    cell = make_cell("conv_gru", 4)
    with pytest.raises(ValueError, match=message):
        unroll(cell, tf.zeros([2, 1, 3, 3, 2]), tf.zeros([1, 3, 3, 4]), **options)
