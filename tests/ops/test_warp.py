"""The warp and its motion fields against loops in NumPy and cases to check by hand."""

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.ops import warp


def loops(hidden, weights):
    batch, height, width, taps = weights.shape
    k = round(taps**0.5)
    out = np.zeros(hidden.shape)
    for b, i, j, m, n in np.ndindex(batch, height, width, k, k):
        row, column = i + m - (k - 1) // 2, j + n - (k - 1) // 2
        if 0 <= row < height and 0 <= column < width:
            out[b, i, j] += weights[b, i, j, m * k + n] * hidden[b, row, column]
    return out


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def one_hot_weights(k, tap, *, height=4, width=5):
    weights = np.zeros((1, height, width, k * k))
    weights[..., tap] = 1
    return weights


SIZES = [
    (3, 5, 7),
    (3, 1, 1),
    (3, 1, 6),
    (3, 8, 8),
    (1, 3, 4),
    (2, 4, 3),
    (5, 4, 6),
    (5, 1, 2),
    (3, 2, 50),
]


@pytest.mark.parametrize(("k", "height", "width"), SIZES)
def test_pixelwise_warp_equals_loops(k, height, width):
    hidden, weights = random(2, height, width, 3), random(2, height, width, k * k, seed=1)
    warped = warp.pixelwise_warp(tf.constant(hidden), tf.constant(weights))
    np.testing.assert_allclose(warped, loops(hidden, weights), atol=1e-12)


@pytest.mark.parametrize(("k", "height", "width"), SIZES)
def test_gradient_of_pixelwise_warp_equals_that_of_loops(k, height, width):
    """The warp is linear in each argument, so differences of loops are its exact derivatives."""
    hidden, weights = random(2, height, width, 3), random(2, height, width, k * k, seed=1)
    upstream = random(2, height, width, 3, seed=2)
    arguments = [tf.constant(hidden), tf.constant(weights)]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        loss = tf.reduce_sum(warp.pixelwise_warp(*arguments) * upstream)
    to_hidden, to_weights = tape.gradient(loss, arguments)
    for gradient, argument, loss_of in (
        (to_hidden, hidden, lambda one: np.sum(loops(one, weights) * upstream)),
        (to_weights, weights, lambda one: np.sum(loops(hidden, one) * upstream)),
    ):
        rng = np.random.default_rng(4)
        for index in {tuple(rng.integers(argument.shape)) for _ in range(20)}:
            only = np.zeros(argument.shape)
            only[index] = 1
            np.testing.assert_allclose(gradient[index], loss_of(only), atol=1e-12)


def test_second_derivative_of_pixelwise_warp():
    """d/dW of d/dh of sum((hw)^2) exists and is what finite differences give."""
    hidden, weights = tf.constant(random(1, 3, 4, 2)), tf.constant(random(1, 3, 4, 9, seed=1))

    def gradient_norm(weights):
        with tf.GradientTape() as tape:
            tape.watch(hidden)
            loss = tf.reduce_sum(warp.pixelwise_warp(hidden, weights) ** 2)
        return tf.reduce_sum(tape.gradient(loss, hidden) ** 2)

    with tf.GradientTape() as tape:
        tape.watch(weights)
        norm = gradient_norm(weights)
    direction = tf.constant(random(1, 3, 4, 9, seed=2))
    slope = tf.reduce_sum(tape.gradient(norm, weights) * direction)
    step = 1e-5
    difference = gradient_norm(weights + step * direction) - gradient_norm(
        weights - step * direction
    )
    np.testing.assert_allclose(slope, difference / (2 * step), rtol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_pixelwise_warp_in_a_function_with_unknown_sizes(jit_compile):
    hidden, weights = random(2, 5, 4, 3), random(2, 5, 4, 9, seed=1)
    spec = [tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([None, None, None, 9])]
    compiled = tf.function(warp.pixelwise_warp, spec, jit_compile=jit_compile)
    warped = compiled(tf.constant(hidden, tf.float32), tf.constant(weights, tf.float32))
    np.testing.assert_allclose(warped, loops(hidden, weights), atol=1e-5)


def test_pixelwise_warp_keeps_bfloat16():
    hidden, weights = random(2, 5, 4, 3), np.abs(random(2, 5, 4, 9, seed=1)) / 9
    warped = warp.pixelwise_warp(tf.cast(hidden, tf.bfloat16), tf.constant(weights))
    assert warped.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(warped, tf.float64), loops(hidden, weights), atol=0.03)


def test_pixelwise_warp_refuses_other_numbers_of_taps():
    with pytest.raises(ValueError, match=r"square number of taps.*\(1, 2, 2, 8\)"):
        warp.pixelwise_warp(tf.zeros([1, 2, 2, 4]), tf.zeros([1, 2, 2, 8]))


def test_tap_five_looks_one_column_to_the_right():
    hidden = random(1, 4, 5, 2)
    warped = warp.pixelwise_warp(tf.constant(hidden), tf.constant(one_hot_weights(3, 5)))
    np.testing.assert_array_equal(warped[:, :, :-1], hidden[:, :, 1:])
    np.testing.assert_array_equal(warped[:, :, -1], 0)


def test_factorized_weights_are_the_kernels_mixed_by_the_selection():
    kernels, selection = random(2, 9, 4), random(2, 3, 5, 4, seed=1)
    mixed = np.zeros((2, 3, 5, 9))
    for b, i, j, q, number in np.ndindex(2, 3, 5, 9, 4):
        mixed[b, i, j, q] += selection[b, i, j, number] * kernels[b, q, number]
    result = warp.factorized_weights(tf.constant(kernels), tf.constant(selection))
    np.testing.assert_allclose(result, mixed, atol=1e-12)


@pytest.mark.parametrize(
    ("k", "tap", "flow"),
    [
        (3, 4, (0, 0)),
        (3, 5, (0, 1)),
        (3, 0, (-1, -1)),
        (3, 7, (1, 0)),
        (2, 2, (1, 0)),
        (5, 1, (-2, -1)),
    ],
)
def test_expected_flow_of_a_certain_displacement(k, tap, flow):
    result = warp.expected_flow(tf.constant(one_hot_weights(k, tap)))
    np.testing.assert_array_equal(result, np.broadcast_to(flow, (1, 4, 5, 2)))


def test_expected_flow_is_the_mean_displacement():
    weights = 0.25 * one_hot_weights(3, 5) + 0.75 * one_hot_weights(3, 8)
    np.testing.assert_allclose(warp.expected_flow(tf.constant(weights))[0, 2, 2], (0.75, 1))


def test_compose_flows_scales_the_coarse_field_to_the_finer_grid():
    coarse, fine = tf.fill([1, 2, 2, 2], 0.5), tf.fill([1, 4, 4, 2], 0.25)
    np.testing.assert_allclose(warp.compose_flows([coarse, fine]), np.full((1, 4, 4, 2), 1.25))
    finest = tf.zeros([1, 8, 8, 2])
    np.testing.assert_allclose(warp.compose_flows([coarse, fine, finest])[0, 3, 3], (2.5, 2.5))


def test_compose_flows_upsamples_bilinearly():
    coarse = tf.reshape(tf.constant([0.0, 1.0]), [1, 1, 2, 1]) * tf.constant([1.0, 0.0])
    total = warp.compose_flows([coarse, tf.zeros([1, 2, 4, 2])])
    # Pixel centres of the fine row lie at -1/4, 1/4, 3/4 and 5/4 of the coarse one; times two.
    np.testing.assert_allclose(total[0, 0, :, 0], [0, 0.5, 1.5, 2], atol=1e-6)
    np.testing.assert_array_equal(total[..., 1], 0)


def test_compose_flows_needs_a_field():
    with pytest.raises(ValueError, match="empty list"):
        warp.compose_flows([])


def test_bilinear_sample_is_the_sum_of_tents():
    frame, flow = random(2, 4, 5, 3), 2 * random(2, 4, 5, 2, seed=1)
    expected = np.zeros(frame.shape)
    for b, i, j, row, column in np.ndindex(2, 4, 5, 4, 5):
        y, x = i + flow[b, i, j, 0], j + flow[b, i, j, 1]
        tent = max(0, 1 - abs(y - row)) * max(0, 1 - abs(x - column))
        expected[b, i, j] += tent * frame[b, row, column]
    result = warp.bilinear_sample(tf.constant(frame), tf.constant(flow))
    np.testing.assert_allclose(result, expected, atol=1e-12)


def test_bilinear_sample_has_gradients_for_frame_and_flow():
    frame, flow = tf.constant(random(1, 4, 5, 2)), tf.constant(random(1, 4, 5, 2, seed=1))

    def loss_of(frame, flow):
        return tf.reduce_sum(warp.bilinear_sample(frame, flow) ** 2)

    with tf.GradientTape() as tape:
        tape.watch([frame, flow])
        loss = loss_of(frame, flow)
    to_frame, to_flow = tape.gradient(loss, [frame, flow])
    step = 1e-6
    along = tf.constant(random(1, 4, 5, 2, seed=2))
    for gradient, ahead, behind in (
        (to_frame, loss_of(frame + step * along, flow), loss_of(frame - step * along, flow)),
        (to_flow, loss_of(frame, flow + step * along), loss_of(frame, flow - step * along)),
    ):
        slope = tf.reduce_sum(gradient * along)
        np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=1e-5)


def test_bilinear_sample_far_outside_is_zero_and_finite():
    flow = tf.fill([1, 3, 3, 2], 1e12)
    np.testing.assert_array_equal(warp.bilinear_sample(tf.ones([1, 3, 3, 1]), flow), 0)
