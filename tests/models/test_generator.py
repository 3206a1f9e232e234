"""The generator: shapes, ranges, sizes and what depends on what."""

import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.layers import spectral_norm
from trivd_tf.layers.recurrent import make_cell
from trivd_tf.layers.walk import sublayers
from trivd_tf.models import Generator

TC, T, SIZE = 2, 3, 16


@pytest.fixture(scope="module")
def generator():
    return Generator(1, "tsru_p", T, num_conditioning_frames=TC, frame_size=SIZE)


@pytest.fixture
def inputs():
    frames = keras.random.uniform((2, TC, SIZE, SIZE, 3), -1.0, 1.0)
    return frames, keras.random.normal((2, 128))


def test_frames_are_in_range_and_depend_on_what_is_given(generator, inputs):
    frames, z = inputs
    predicted = generator(frames, z, training=True)
    assert predicted.shape == (2, T, SIZE, SIZE, 3)
    assert float(tf.reduce_max(tf.abs(predicted))) <= 1.0
    other_z = generator(frames, -z, training=True)
    other_frames = generator(-frames, z, training=True)
    assert float(tf.reduce_max(tf.abs(predicted - other_z))) > 1e-3
    assert float(tf.reduce_max(tf.abs(predicted - other_frames))) > 1e-3


def test_a_clip_does_not_depend_on_the_others_in_its_batch_at_prediction(generator, inputs):
    frames, z = inputs
    together = generator(frames, z, training=False)
    alone = generator(frames[:1], z[:1], training=False)
    np.testing.assert_allclose(together[:1], alone, atol=1e-5)


def test_motion_has_the_frames_size_and_the_stages_add_up(generator, inputs):
    frames, flow = generator.predict_with_motion(*inputs)
    assert frames.shape == (2, T, SIZE, SIZE, 3)
    assert flow.shape == (2, T, SIZE, SIZE, 2)
    np.testing.assert_allclose(frames, generator(*inputs), atol=1e-6)
    _, stages = generator.predict_with_stage_motion(*inputs)
    assert [stage.shape[2] for stage in stages] == [2, 4, 8]
    # Fields of one displacement everywhere: 4 d2 + 2 d3 in pixels of the frames.
    constant = [tf.ones_like(stage) * tf.constant([1.0, -0.5]) for stage in stages]
    combined = generator.combine_motion(constant)
    np.testing.assert_allclose(combined, np.broadcast_to([6.0, -3.0], flow.shape), atol=1e-5)
    coarsest = generator.combine_motion(constant, ("stage_1", "stage_2"))
    np.testing.assert_allclose(coarsest, np.broadcast_to([12.0, -6.0], flow.shape), atol=1e-5)
    assert Generator(1, motion_levels=2).motion_stages == ("stage_1", "stage_2")


def test_vector_based_units_have_a_motion_field_too(inputs):
    generator = Generator(1, "traj_gru", T, num_conditioning_frames=TC, frame_size=SIZE)
    _, flow = generator.predict_with_motion(*inputs)
    assert flow.shape == (2, T, SIZE, SIZE, 2)


def test_a_unit_without_warp_says_that_there_is_no_motion(inputs):
    generator = Generator(1, "conv_gru", T, num_conditioning_frames=TC, frame_size=SIZE)
    assert not generator.has_motion
    with pytest.raises(ValueError, match="'conv_gru' does not warp"):
        generator.predict_with_motion(*inputs)


def test_every_weight_gets_a_gradient(generator, inputs):
    # Not the mean: batch norm would make it constant.
    target = keras.random.normal((2, T, SIZE, SIZE, 3))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(generator(*inputs, training=True) * target)
    weights = generator.trainable_variables
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    for weight, gradient in zip(weights, gradients, strict=True):
        assert gradient is not None, weight.path
        assert np.isfinite(gradient).all(), weight.path
        assert np.abs(gradient).max() > 0, weight.path


@pytest.mark.parametrize(
    "options",
    [
        {"frame_size": 16},
        {"frame_size": (8, 24), "recurrent_unit": "conv_lstm", "pixel_warp_size": 3},
        {"frame_size": 8, "recurrent_unit": "k_traj_gru", "wide_encoder_blocks": False},
    ],
)
def test_building_makes_the_variables_that_a_call_uses(options):
    """Their shapes are computed, layer by layer: a wrong one would not fit the frames."""
    generator = Generator(1, num_predicted_frames=2, num_conditioning_frames=1, **options)
    generator.build_variables()
    built = [(weight.path, weight.shape) for weight in generator.weights]
    height, width = generator.frame_shape
    frames = generator(tf.zeros([1, 1, height, width, 3]), tf.zeros([1, generator.latent_size]))
    assert frames.shape == (1, 2, height, width, 3)
    assert [(weight.path, weight.shape) for weight in generator.weights] == built
    assert all(layer.built for layer in sublayers(generator, spectral_norm.SpectralLayer))


def test_standing_statistics_have_a_row_for_each_step(generator):
    generator.build_variables()
    means = [v for v in generator.variables if v.name == "standing_mean"]
    variances = [v for v in generator.variables if v.name == "standing_variance"]
    assert len(means) == len(variances) == 13
    assert {v.shape[0] for v in means + variances} == {T}


def test_first_affine_and_class_embedding_are_not_spectrally_normalised(generator):
    generator.build_variables()
    plain = [
        layer.name for layer in sublayers(generator, spectral_norm.SpectralLayer) if layer.u is None
    ]
    assert sorted(plain) == ["affine", "embedding"]
    normalised = Generator(1, embedding_spectral_norm=True, num_classes=3).embedding
    assert normalised.u is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame_size": 20}, "multiple of 8"),
        ({"hidden_widths": "both"}, "'out' or 'in'"),
        ({"motion_levels": 4}, "motion_levels"),
        ({"motion_stages": ("stage_4",)}, "motion_stages must be some of stage_1"),
        ({"motion_stages": "stage_2"}, "motion_stages must be some of stage_1"),
        ({"recurrent_unit": "gru"}, "one of"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Generator(1, **options)


# Millions of parameters of generator and encoder, from docs/architecture.md, section 8.
SIZES = {
    "conv_gru": {48: 39.68, 92: 132.2, 120: 219.1},
    "tsru_c": {48: 44.52, 92: 149.6, 120: 248.6},
    "tsru_p": {48: 44.52, 92: 149.6, 120: 248.6},
    "tsru_s": {48: 44.10, 92: 148.1, 120: 246.0},
    "k_traj_gru": {48: 48.42, 92: 164.0, 120: 273.0},
    "ptsru_s": {48: 41.05, 92: 137.2, 120: 227.5},
    "ptsru_c": {48: 41.46},
    "ptsru_p": {48: 41.46},
    "conv_lstm": {48: 34.04, 92: 111.5, 120: 183.8},
}
STAGES = ((8, 8, 8), (16, 8, 4), (32, 4, 2))  # side, width of the input and of the unit over ch


def count(weights):
    return sum(math.prod(weight.shape) for weight in weights) / 1e6


@functools.cache
def in_the_cells(unit, channels):
    """Millions of parameters of a generator's three units."""
    total = 0.0
    with tf.Graph().as_default():  # weights are symbols there: nothing is drawn or kept
        for side, inputs, hidden in STAGES:
            cell = make_cell(unit, hidden * channels, spectral_norm=False)
            cell.build((None, side, side, inputs * channels))
            total += count(cell.trainable_variables)
    return total


@functools.cache
def in_a_generator(unit, channels):
    with tf.Graph().as_default():
        generator = Generator(channels, unit, 1)
        generator.build_variables()
        return count(generator.trainable_variables)


_CASES = [(unit, ch, size) for unit, sizes in SIZES.items() for ch, size in sizes.items()]


@pytest.mark.parametrize(("unit", "channels", "millions"), _CASES)
def test_parameters_are_those_of_the_table(unit, channels, millions):
    # Units differ in their cells alone: one whole generator a width, and the units' cells.
    around = in_a_generator("conv_gru", channels) - in_the_cells("conv_gru", channels)
    assert around + in_the_cells(unit, channels) == pytest.approx(millions, rel=0.005)


@pytest.mark.parametrize(
    "unit", [pytest.param(u, marks=() if u == "tsru_p" else pytest.mark.long) for u in SIZES]
)
def test_parameters_of_whole_generators(unit):
    assert in_a_generator(unit, 120 if 120 in SIZES[unit] else 48) == pytest.approx(
        SIZES[unit].get(120, SIZES[unit][48]), rel=0.005
    )
