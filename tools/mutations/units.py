"""Recurrent units, their transform network and the warp (docs/architecture.md, section 4)."""

from tools.mutations.mutation import Mutation

_CELLS = "layers/recurrent/"
_GRU, _LSTM = f"{_CELLS}conv_gru.py", f"{_CELLS}conv_lstm.py"
_TRAJ, _TSRU = f"{_CELLS}traj_gru.py", f"{_CELLS}tsru.py"
_TRANSFORM, _DYNAMIC = f"{_CELLS}transform.py", f"{_CELLS}dynamic_conv_lstm.py"
_WARP = "ops/warp.py"


def _unit(name: str, rule: str, file: str, old: str, new: str, unit: str) -> Mutation:
    test = f"layers/recurrent/test_equations.py::test_unit_follows_its_equations[{unit}-raw]"
    return Mutation(name, rule, file, ((old, new),), (test,))


def _dynamic(name: str, rule: str, old: str, new: str) -> Mutation:
    test = "test_equations.py::test_dynamic_conv_lstm_follows_its_equations[raw]"
    return Mutation(name, rule, _DYNAMIC, ((old, new),), (f"layers/recurrent/{test}",))


def _warp(name: str, rule: str, old: str, new: str, *tests: str) -> Mutation:
    return Mutation(
        name, rule, _WARP, ((old, new),), tuple(f"ops/test_warp.py::{t}" for t in tests)
    )


_LOOPS = "test_pixelwise_warp_equals_loops"
_FLOW = "test_expected_flow_of_a_certain_displacement"

UNITS = [
    _unit(
        "gru_read_gate",
        "ConvGRU: the candidate reads r * h",
        _GRU,
        '"rh", r * h,',
        '"rh", h,',
        "conv_gru",
    ),
    _unit(
        "gru_blend",
        "ConvGRU: h' = u h + (1 - u) c, not the gates exchanged",
        _GRU,
        "h = c + u * (h - c)",
        "h = h + u * (c - h)",
        "conv_gru",
    ),
    _unit(
        "lstm_gates",
        "ConvLSTM: the forget gate multiplies the memory",
        _LSTM,
        "m = f * memory + i * self",
        "m = i * memory + f * self",
        "conv_lstm",
    ),
    _unit(
        "lstm_output",
        "ConvLSTM: h' = o * rho(m')",
        _LSTM,
        "return o * self.activation(m), m",
        "return o * m, m",
        "conv_lstm",
    ),
    _unit(
        "lstm_halves",
        "ConvLSTM: h starts from the encoding's first half",
        _LSTM,
        "return tuple(tf.split(super().initial_state(encoding), 2, axis=-1))",
        "return tuple(tf.split(super().initial_state(encoding), 2, axis=-1))[::-1]",
        "conv_lstm",
    ),
    _unit(
        "k_traj_blend",
        "K-TrajGRU: the unwarped h is blended",
        _TRAJ,
        "h = c + u * (h - c)",
        "h = c + u * (hw - c)",
        "k_traj_gru",
    ),
    _unit(
        "k_traj_tanh",
        "K-TrajGRU: tanh",
        _TRAJ,
        'activation: str = "tanh"',
        'activation: str = "relu"',
        "k_traj_gru",
    ),
    _unit(
        "k_traj_read_gate",
        "K-TrajGRU: the candidate reads r * hw",
        _TRAJ,
        '"rhw", r * hw,',
        '"rhw", hw,',
        "k_traj_gru",
    ),
    _unit(
        "k_traj_gates",
        "K-TrajGRU: the gates read the warped state",
        _TRAJ,
        'self.convs.read("hw", hw,',
        'self.convs.read("hw", h,',
        "k_traj_gru",
    ),
    _unit(
        "traj_candidate",
        "TrajGRU: r multiplies the warped states' part alone",
        _TRAJ,
        "of_c + r * warped_c",
        "r * (of_c + warped_c)",
        "traj_gru",
    ),
    _unit(
        "tsru_c_candidate",
        "TSRU_c: the candidate reads hw",
        _TSRU,
        'hw, warp_weights = warp(of_f)\n            (of_c,) = convs_of("hw", hw)',
        'hw, warp_weights = warp(of_f)\n            (of_c,) = convs_of("hw", h)',
        "tsru_c",
    ),
    _unit(
        "tsru_p_blend",
        "TSRU: the warped state is blended",
        _TSRU,
        "h = c + u * (hw - c)",
        "h = c + u * (h - c)",
        "tsru_p",
    ),
    _unit(
        "tsru_p_gates",
        "TSRU: u keeps the state, 1 - u takes the candidate",
        _TSRU,
        "h = c + u * (hw - c)",
        "h = hw + u * (c - hw)",
        "tsru_p",
    ),
    _unit(
        "tsru_s_update",
        "TSRU_s: the update reads hw",
        _TSRU,
        "convolve(concat([hw, c])",
        "convolve(concat([h, c])",
        "tsru_s",
    ),
    _unit(
        "tsru_s_candidate",
        "TSRU_s: the update reads the candidate after rho",
        _TSRU,
        "convolve(concat([hw, c])",
        "convolve(concat([hw, of_c])",
        "tsru_s",
    ),
    _unit(
        "relu_candidates",
        "rho = ReLU",
        f"{_CELLS}base.py",
        'activation: str = "relu"',
        'activation: str = "tanh"',
        "tsru_p",
    ),
    _unit(
        "ptsru_pixelwise",
        "PTSRU predicts the warp at each pixel",
        _TRANSFORM,
        "tf.split(hidden, self.num_warps, axis=-1)",
        "tf.split(0 * hidden + tf.reduce_mean(hidden, [1, 2], True), self.num_warps, axis=-1)",
        "ptsru_p",
    ),
    _unit(
        "kernels_softmax_axis",
        "the kernels' softmax is over their taps",
        _TRANSFORM,
        "softmax(kernels, axis=_KERNEL_AXES[self.kernel_softmax])",
        "softmax(kernels, axis=2)",
        "tsru_p",
    ),
    _unit(
        "selection_softmax_axis",
        "the selection's softmax is over the kernels",
        _TRANSFORM,
        "return softmax(selection, axis=-1)",
        "return softmax(selection, axis=1)",
        "tsru_p",
    ),
    _unit(
        "pixelwise_softmax_axis",
        "the pixelwise weights' softmax is over the taps",
        _TRANSFORM,
        "softmax(one, axis=-1)",
        "softmax(one, axis=2)",
        "ptsru_p",
    ),
    _unit(
        "pixelwise_relu",
        "ReLU between the pixelwise network's convolutions",
        _TRANSFORM,
        "convolve(tf.nn.relu(hidden), kernel)",
        "convolve(hidden, kernel)",
        "ptsru_p",
    ),
    _unit(
        "transform_relu",
        "ReLU before the transform network's dense layers",
        _TRANSFORM,
        "tf.nn.relu(adaptive_max_pool(pooled, _POOLED))",
        "adaptive_max_pool(pooled, _POOLED)",
        "tsru_p",
    ),
    _unit(
        "transform_dense_relu",
        "ReLU between the transform network's dense layers",
        _TRANSFORM,
        '_dense(tf.nn.relu(_dense(flat, weights["hidden"]))',
        '_dense((_dense(flat, weights["hidden"]))',
        "tsru_p",
    ),
    _unit(
        "transform_max_pool",
        "the transform network pools by the maximum",
        _TRANSFORM,
        "tf.reduce_max(piece, axis)",
        "tf.reduce_mean(piece, axis)",
        "tsru_p",
    ),
    _unit(
        "transform_cells",
        "a pooling cell ends at the ceiling",
        _TRANSFORM,
        "-(-(i + 1) * length // size)",
        "max((i + 1) * length // size, i * length // size + 1)",
        "tsru_p",
    ),
    Mutation(
        "transform_width",
        "the dense layer is C/2 wide",
        _TRANSFORM,
        (('"half_channels": half,', '"half_channels": channels,'),),
        ("layers/recurrent/test_protocol.py::test_number_of_parameters[tsru_p]",),
    ),
    _dynamic(
        "dynamic_difference",
        "Dynamic ConvLSTM: kernels come from differences",
        "tf.nn.relu(inputs - outputs)",
        "tf.nn.relu(inputs + outputs)",
    ),
    _dynamic(
        "dynamic_softmax_axis",
        "Dynamic ConvLSTM: softmax over input channels",
        "softmax(of_hidden, 2)",
        "softmax(of_hidden, 1)",
    ),
    _warp(
        "warp_columns",
        "tap n looks at column j + n - (k-1)//2",
        "source = column + n - (size - 1) // 2",
        "source = column - n + (size - 1) // 2",
        _LOOPS,
    ),
    _warp(
        "warp_rows",
        "tap m looks at row i + m - (k-1)//2",
        "padded[:, m : m + height] for m in range(size)], axis=2",
        "padded[:, m : m + height] for m in reversed(range(size))], axis=2",
        _LOOPS,
    ),
    _warp(
        "warp_padding",
        "the warp pads with zeros",
        "padded = tf.pad(hidden, [[0, 0], [above, below], [0, 0], [0, 0]])",
        'padded = tf.pad(hidden, [[0, 0], [above, below], [0, 0], [0, 0]], "SYMMETRIC")',
        _LOOPS,
    ),
    _warp(
        "warp_gradient",
        "the warp's own gradient sends back what was taken",
        "tf.add_n(to_padded)[:, above : above + height]",
        "tf.add_n(to_padded)[:, :height]",
        "test_gradient_of_pixelwise_warp_equals_that_of_loops",
    ),
    _warp(
        "factorized_transposed",
        "W[q] = sum over l of S[l] w[q, l]",
        "tf.linalg.matmul(flat, kernels, transpose_b=True)",
        "tf.linalg.matmul(flat, kernels[..., ::-1, :], transpose_b=True)",
        "test_factorized_weights_are_the_kernels_mixed_by_the_selection",
    ),
    _warp(
        "flow_sign",
        "a motion field points to the source",
        "[m - offset, n - offset]",
        "[offset - m, offset - n]",
        _FLOW,
    ),
    _warp(
        "flow_order",
        "a motion field holds (dy, dx)",
        "[m - offset, n - offset]",
        "[n - offset, m - offset]",
        _FLOW,
    ),
    _warp(
        "flow_scale",
        "a coarse field is scaled by the upsampling factor",
        '"bilinear") * factors + flow',
        '"bilinear") + flow',
        "test_compose_flows_scales_the_coarse_field_to_the_finer_grid",
    ),
    _warp(
        "flow_upsampling",
        "a coarse field is upsampled bilinearly",
        '[height, width], "bilinear")',
        '[height, width], "nearest")',
        "test_compose_flows_upsamples_bilinearly",
    ),
    _warp(
        "bilinear_outside",
        "TrajGRU reads zeros outside of the frame",
        "weight = tf.where(inside, weight, tf.zeros_like(weight))",
        "weight = tf.identity(weight)",
        "test_bilinear_sample_is_the_sum_of_tents",
        "test_bilinear_sample_far_outside_is_zero_and_finite",
    ),
    Mutation(
        "unroll_steps",
        "each step reads its own frame",
        f"{_CELLS}unroll.py",
        (("part[t % len(part)]", "part[0]"),),
        ("layers/recurrent/test_protocol.py::test_unroll_equals_calls_step_by_step",),
    ),
]
