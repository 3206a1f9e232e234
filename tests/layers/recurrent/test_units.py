"""Every recurrent unit against its equations in plain NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tests.layers.recurrent import numpy_units as reference
from trivd_tf.layers.recurrent import make_cell
from trivd_tf.layers.spectral_norm import power_iterate

BATCH, HEIGHT, WIDTH, INPUTS, CHANNELS = 2, 5, 7, 3, 6


def tsru(variant, transform):
    return lambda h, x, w: reference.tsru(h, x, w, variant, transform)


EQUATIONS = {
    "conv_gru": reference.conv_gru,
    **{f"tsru_{v}": tsru(v, reference.factorized) for v in "cps"},
    **{f"ptsru_{v}": tsru(v, reference.pixelwise) for v in "cps"},
}


def random_cell(name, **options):
    """A cell in float64 whose every weight, bias included, is random."""
    cell = make_cell(name, CHANNELS, dtype="float64", **options)
    cell.build((None, HEIGHT, WIDTH, INPUTS))
    rng = np.random.default_rng(3)
    for variable in cell.trainable_variables:
        variable.assign(rng.normal(0, 0.4, variable.shape))
    return cell


def frames(seed, channels, *, time=None):
    shape = (BATCH, HEIGHT, WIDTH, channels)
    return np.random.default_rng(seed).normal(size=shape if time is None else (time, *shape))


def numpy_weights(cell, *, normalized=False):
    weights = {}
    for variable in cell.trainable_variables:
        name, kind = variable.path.split("/", 1)[1].rsplit("/", 1)
        value = variable.numpy()
        if kind == "kernel" and normalized:
            value = value / np.linalg.svd(value.reshape(-1, value.shape[-1]))[1][0]
        weights.setdefault(name, {})[kind] = value
    return {name: (both["kernel"], both["bias"]) for name, both in weights.items()}


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("name", EQUATIONS)
def test_step_follows_the_equations(name, normalized):
    cell = random_cell(name, spectral_norm=normalized)
    if normalized:
        power_iterate(cell, steps=300)
    weights = numpy_weights(cell, normalized=normalized)
    state, expected = cell.initial_state(tf.constant(frames(0, CHANNELS))), frames(0, CHANNELS)
    for t in (1, 2):
        x = frames(t, INPUTS)
        output, state = cell(x, state)
        expected = EQUATIONS[name](expected, x, weights)
        np.testing.assert_allclose(output, expected, atol=1e-6 if normalized else 1e-9)
