"""Recomputed layers: the same values and gradients, computed again in the backward pass."""

import re

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.layers.batch_norm import collecting_standing_statistics
from trivd_tf.layers.recompute import recomputable_layers
from trivd_tf.layers.residual import DiscriminatorBlock, GeneratorBlock
from trivd_tf.layers.spectral_norm import set_power_iteration

# Layer, shapes of its inputs, options of the call, and how many convolutions a forward has.
GENERATOR = (GeneratorBlock, {"num_steps": 2, "upsample": True}, {"training": True})
BLOCKS = {
    "generator": (*GENERATOR, [(2, 3, 4, 5, 4), (3, 6)], 3),
    "frames": (DiscriminatorBlock, {}, {}, [(3, 4, 6, 4)], 3),
    "video": (DiscriminatorBlock, {"is_3d": True}, {}, [(2, 4, 4, 4, 4)], 3),
}


def make(name: str, dtype: str):
    kind, arguments, call, shapes, _ = BLOCKS[name]
    layer = kind(3, dtype=dtype, **arguments)
    rng = np.random.default_rng(0)
    inputs = [tf.constant(rng.normal(size=shape), layer.compute_dtype) for shape in shapes]
    layer(*inputs, **call)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    set_power_iteration(layer, False)  # as in the train step, which recomputes
    return layer, inputs, call


def run(layer, inputs, call, weights):
    """Output, and gradients of a loss that is not linear in it, by inputs and weights."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([*inputs, *weights])
        output = layer(*inputs, **call)
        loss = tf.reduce_sum(tf.cast(output, tf.float32) ** 2)
    return output, tape.gradient(loss, [*inputs, *weights])


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("compiled", [False, True])
def test_values_and_gradients_are_the_same(name, compiled):
    layer, inputs, call = make(name, "float64")
    weights = [variable.value for variable in layer.trainable_variables]

    def both():
        return run(layer, inputs, call, weights)

    found = []
    for recompute in (False, True):
        layer.recompute = recompute
        found.append((tf.function(both, autograph=False) if compiled else both)())
    (output, gradients), (again, recomputed) = found
    np.testing.assert_allclose(again, output, rtol=1e-12)
    assert all(np.abs(gradient).max() > 0 for gradient in recomputed)
    for one, other in zip(gradients, recomputed, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", BLOCKS)
def test_the_forward_is_done_twice(name):
    layer, inputs, call = make(name, "mixed_bfloat16")
    weights = [variable.value for variable in layer.trainable_variables]
    counts = []
    for recompute in (False, True):
        layer.recompute = recompute
        function = tf.function(lambda: run(layer, inputs, call, weights), autograph=False)
        kinds = [op.type for op in function.get_concrete_function().graph.get_operations()]
        counts.append(sum(kind in ("Conv2D", "Conv3D") for kind in kinds))
    assert counts == [BLOCKS[name][-1], 2 * BLOCKS[name][-1]]


@pytest.mark.parametrize("name", BLOCKS)
def test_xla_does_not_undo_it(name):
    """XLA drops what it finds computed twice, and what no gradient needs: all but one convolution.

    That of the second and of the skip connection go into a sum alone.
    """
    layer, inputs, call = make(name, "float32")
    weights = [variable.value for variable in layer.trainable_variables]
    counts = []
    for recompute in (False, True):
        layer.recompute = recompute
        function = tf.function(
            lambda *given: run(layer, given, call, weights), autograph=False, jit_compile=True
        )
        text = function.experimental_get_compiler_ir(*inputs)(stage="optimized_hlo")
        counts.append(len(re.findall(r"= \S+ convolution\(", text)))
    assert counts[0] > BLOCKS[name][-1]  # forward and backward
    assert counts[1] == counts[0] + 1


def test_standing_statistics_are_collected_all_the_same():
    layer, inputs, call = make("generator", "float32")
    means = []
    for recompute in (False, True):
        layer.norm_2.reset_standing_statistics()
        layer.recompute = recompute
        with collecting_standing_statistics(layer):
            layer(*inputs, **call)
        means.append(layer.norm_2.standing_mean.numpy())
    assert np.abs(means[0]).max() > 0
    np.testing.assert_array_equal(*means)


def test_blocks_are_found():
    layer, *_ = make("generator", "float32")
    assert list(recomputable_layers(layer)) == [layer]
