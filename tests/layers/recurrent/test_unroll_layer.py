"""`Unroll` in other people's Keras models."""

import doctest

import keras
import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.layers.recurrent import Unroll, make_cell, unroll
from trivd_tf.layers.spectral_norm import power_iterate


def clips(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_batch_major_output_equals_unroll_from_the_encoding():
    layer, inputs, encoding = (
        Unroll(make_cell("tsru_p", 4)),
        clips(2, 3, 5, 6, 3),
        clips(2, 5, 6, 4),
    )
    outputs = layer(inputs, encoding)
    cell = layer.cell
    expected = unroll(cell, tf.transpose(inputs, [1, 0, 2, 3, 4]), cell.initial_state(encoding))[0]
    np.testing.assert_allclose(outputs, tf.transpose(expected, [1, 0, 2, 3, 4]), atol=1e-6)


def test_state_starts_at_zero_without_an_encoding():
    layer, inputs = Unroll(make_cell("conv_lstm", 4), return_sequences=False), clips(2, 3, 5, 6, 3)
    expected = layer(inputs, np.zeros((2, 5, 6, 4), np.float32))
    assert expected.shape == (2, 5, 6, 4)
    np.testing.assert_array_equal(layer(inputs), expected)


def test_training_call_makes_one_power_iteration():
    layer, twin = Unroll(make_cell("tsru_p", 4)), make_cell("tsru_p", 4)
    inputs = clips(2, 2, 5, 6, 3)
    layer(inputs, training=False)
    twin.build((None, 5, 6, 3))
    before = layer.cell.get_weights()
    twin.set_weights(before)
    layer(inputs, training=False)
    for old, new in zip(before, layer.cell.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    layer(inputs, training=True)
    power_iterate(twin)
    for expected, new in zip(twin.get_weights(), layer.cell.get_weights(), strict=True):
        np.testing.assert_allclose(new, expected, atol=1e-6)
    assert any(np.any(a != b) for a, b in zip(before, layer.cell.get_weights(), strict=True))


@pytest.mark.parametrize("name", ["tsru_s", "conv_lstm"])
def test_keras_model_learns_and_survives_saving(name, tmp_path):
    model = keras.Sequential(
        [
            keras.Input([3, 8, 8, 2]),
            Unroll(make_cell(name, 4), return_sequences=False),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    )
    assert model.output_shape == (None, 2)
    model.compile("adam", "mse")
    inputs, targets = clips(4, 3, 8, 8, 2), clips(4, 2, seed=1)
    before = model.layers[0].cell.get_weights()
    model.fit(inputs, targets, epochs=2, batch_size=4, verbose=0)
    after = model.layers[0].cell.get_weights()
    assert all(np.any(a != b) for a, b in zip(before, after, strict=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(inputs), model(inputs), atol=1e-6)


def test_saved_model_gives_the_same_outputs(tmp_path):
    layer, inputs = Unroll(make_cell("tsru_p", 4)), clips(2, 2, 5, 6, 3)
    expected = layer(inputs)
    module = tf.Module()
    module.variables_of_layer = [variable.value for variable in layer.variables]
    module.run = tf.function(layer, [tf.TensorSpec([None, 2, 5, 6, 3])])
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    np.testing.assert_allclose(loaded.run(inputs), expected, atol=1e-6)


def test_the_documented_example_runs():
    examples = doctest.DocTestFinder().find(Unroll, "Unroll", globs={})
    runner = doctest.DocTestRunner()
    results = [runner.run(example) for example in examples if example.examples]
    assert sum(result.attempted for result in results) >= 4
    assert not any(result.failed for result in results)


def test_inputs_without_a_time_axis_are_refused():
    with pytest.raises(ValueError, match=r"\[B, T, H, W, C\].*\(2, 5, 6, 3\)"):
        Unroll(make_cell("conv_gru", 4))(clips(2, 5, 6, 3))
