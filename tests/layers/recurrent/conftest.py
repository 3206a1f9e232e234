"""Random cells and frames for the tests of the recurrent units."""

import numpy as np
import pytest

from trivd_tf.layers.recurrent import make_cell

BATCH, HEIGHT, WIDTH, INPUTS, CHANNELS = 2, 5, 7, 3, 6


class Cases:
    """What the tests of units share; every value is random and the same in every run."""

    inputs, channels = INPUTS, CHANNELS

    @staticmethod
    def frames(seed, channels, *, time=None, dtype=np.float64):
        """`[B, H, W, C]`, or `[T, B, H, W, C]`."""
        shape = (BATCH, HEIGHT, WIDTH, channels)
        shape = shape if time is None else (time, *shape)
        return np.random.default_rng(seed).normal(size=shape).astype(dtype)

    @staticmethod
    def cell(name, *, dtype="float64", scale=0.4, **options):
        """A cell whose every weight, bias included, is random."""
        cell = make_cell(name, CHANNELS, dtype=dtype, **options)
        cell.build((None, HEIGHT, WIDTH, INPUTS))
        rng = np.random.default_rng(3)
        for variable in cell.trainable_variables:
            variable.assign(rng.normal(0, scale, variable.shape))
        return cell

    @staticmethod
    def numpy_weights(cell, *, normalized=False):
        """`{layer: (kernel, bias)}`, with kernels over their largest singular value."""
        weights = {}
        for variable in cell.trainable_variables:
            name, kind = variable.path.split("/", 1)[1].rpartition("/")[::2]
            value = variable.numpy()
            if kind == "kernel" and normalized and name != "flow_fields":
                value = value / np.linalg.svd(value.reshape(-1, value.shape[-1]))[1][0]
            weights.setdefault(name, {"bias": 0})[kind] = value
        return {name: (both.get("kernel"), both["bias"]) for name, both in weights.items()}


@pytest.fixture(scope="session")
def cases():
    return Cases
