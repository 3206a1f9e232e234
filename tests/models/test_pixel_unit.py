"""A TSRU on the pixels: its equations, what it starts from, and that it is off by default."""

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.models import Generator
from trivd_tf.models.pixel_unit import PixelUnit
from trivd_tf.ops import block_matching, warp

TC, T, SIZE = 2, 3, 16
OPTIONS = {"num_conditioning_frames": TC, "frame_size": SIZE}


def replicated(frame, weights, size):
    """The warp, written out in NumPy, with the frame's edge pixels repeated outside."""
    height, width = frame.shape[1:3]
    border = size // 2
    padded = np.pad(frame, ((0, 0), (border, border), (border, border), (0, 0)), mode="edge")
    return sum(
        padded[:, m : m + height, n : n + width] * weights[..., m * size + n, None]
        for m in range(size)
        for n in range(size)
    )


@pytest.mark.parametrize(("height", "width", "size"), [(5, 6, 5), (1, 3, 3), (4, 64, 3)])
def test_edges_are_replicated(height, width, size):
    rng = np.random.default_rng(0)
    frame = rng.normal(size=(2, height, width, 3))
    weights = rng.normal(size=(2, height, width, size * size))
    warped = warp.pixelwise_warp(tf.constant(frame), tf.constant(weights), edges="replicate")
    np.testing.assert_allclose(warped, replicated(frame, weights, size), atol=1e-12)


def test_the_unit_follows_its_equations():
    rng = np.random.default_rng(1)
    unit = PixelUnit(3, dtype="float64")
    features = rng.normal(size=(T, 2, 6, 5, 4))
    drawn = rng.uniform(-1, 1, (T, 2, 6, 5, 3))
    last = rng.uniform(-1, 1, (2, 6, 5, 3))
    frames, weights = unit(*map(tf.constant, (features, drawn, last[:, None])))
    kernel, bias = (np.asarray(v.value) for v in unit.transform.trainable_variables)
    previous = last
    for t in range(T):
        padded = np.pad(features[t], ((0, 0), (1, 1), (1, 1), (0, 0)))
        logits = bias + sum(
            padded[:, m : m + 6, n : n + 5] @ kernel[m, n] for m in range(3) for n in range(3)
        )
        logits[..., 4] += np.log(9 * 8)
        shares = np.exp(logits[..., :9])
        shares /= shares.sum(-1, keepdims=True)
        gate = 1 / (1 + np.exp(-logits[..., 9:] - 3))
        previous = gate * replicated(previous, shares, 3) + (1 - gate) * drawn[t]
        np.testing.assert_allclose(frames[t], previous, atol=1e-10)
        np.testing.assert_allclose(weights[t], shares, atol=1e-10)


@pytest.fixture(scope="module")
def generator():
    return Generator(1, "conv_gru", T, pixel_warp_size=5, **OPTIONS)


@pytest.fixture
def inputs():
    rng = np.random.default_rng(2)
    frames = rng.uniform(-1, 1, (2, TC, SIZE, SIZE, 3)).astype(np.float32)
    return frames, rng.normal(size=(2, 128)).astype(np.float32)


def test_the_motion_field_is_the_pixels_own(generator, inputs):
    frames, stages = generator.predict_with_stage_motion(*inputs)
    assert generator.has_motion
    assert len(stages) == 1  # a ConvGRU does not warp
    again, flow = generator.predict_with_motion(*inputs)
    np.testing.assert_allclose(again, frames, atol=1e-6)
    np.testing.assert_array_equal(flow, stages[0])
    assert flow.shape == (2, T, SIZE, SIZE, 2)
    assert float(tf.reduce_max(tf.abs(flow))) <= 2.0


def test_fields_of_stages_may_be_combined_beside_the_pixels_own(generator):
    fields = [tf.ones([2, T, SIZE // n, SIZE // n, 2]) for n in (8, 4, 2, 1)]
    assert generator.combine_motion(fields) is fields[-1]
    combined = generator.combine_motion(fields, ("stage_2", "stage_3"))  # 4 d2 + 2 d3
    np.testing.assert_allclose(combined, np.full([2, T, SIZE, SIZE, 2], 6.0), atol=1e-5)
    with pytest.raises(ValueError, match="needs the fields of 3 stages"):
        generator.combine_motion(fields[-1:], ("stage_2",))


def test_an_untrained_generator_nearly_copies_the_last_frame(generator, inputs):
    conditioning, z = inputs
    smooth = tf.image.resize(conditioning[:, :, ::8, ::8].reshape(-1, 2, 2, 3), [SIZE, SIZE])
    smooth = tf.reshape(smooth, conditioning.shape)
    frames = generator(smooth, z)
    assert float(tf.reduce_mean(tf.abs(frames[:, 0] - smooth[:, -1]))) < 0.1


def test_off_is_the_paper_s_generator(generator, inputs):
    plain = Generator(1, "conv_gru", T, **OPTIONS)
    plain.build_variables()
    generator.build_variables()
    assert plain.pixels is None
    own = {id(variable) for variable in generator.pixels.variables}
    others = [variable for variable in generator.variables if id(variable) not in own]
    assert len(own) == 2
    assert [(v.name, v.shape) for v in others] == [(v.name, v.shape) for v in plain.variables]


def test_pixels_stay_in_float32_in_mixed_precision(inputs):
    generator = Generator(1, "tsru_p", T, pixel_warp_size=3, dtype="mixed_bfloat16", **OPTIONS)
    conditioning, z = inputs
    frames, stages = generator.predict_with_stage_motion(conditioning, z)
    assert (frames.dtype, len(stages)) == (tf.float32, 4)
    # With the gate wide open and no motion the last frame goes through to the last bit.
    bias = np.zeros(10, np.float32)
    bias[4] = bias[9] = 1e4
    generator.pixels.transform.bias.assign(bias)
    copied = generator(conditioning, z)
    np.testing.assert_array_equal(copied, np.repeat(conditioning[:, -1:], T, axis=1))


def moving_clip(velocity, count):
    """A smooth random picture of 40 x 40 that moves by `velocity` per frame; views of 16 x 16."""
    coarse = np.random.default_rng(5).uniform(-1, 1, (1, 10, 10, 3))
    picture = tf.image.resize(coarse, [40, 40], "bicubic").numpy()[0]
    starts = [12 - np.multiply(velocity, t) for t in range(count)]
    views = [picture[y : y + SIZE, x : x + SIZE] for y, x in starts]
    return np.stack(views)[None].astype(np.float32)


@pytest.mark.parametrize("velocity", [(0, 0), (1, -2), (-2, 1)])
def test_matching_continues_the_motion_of_the_conditioning_frames_untrained(velocity):
    clip = moving_clip(velocity, TC + T)
    unit = PixelUnit(5, matching=True)
    features = tf.zeros([T, 1, SIZE, SIZE, 4])
    drawn = tf.zeros([T, 1, SIZE, SIZE, 3])
    # Only the last two conditioning frames count.
    conditioning = np.concatenate([clip[:, :1, ::-1], clip[:, :TC]], axis=1)
    unit(features, drawn, conditioning)
    bias = np.zeros(26, np.float32)
    bias[-1] = 1e4  # the gate wide open: no drawn content
    unit.transform.bias.assign(bias)
    frames, weights = unit(features, drawn, conditioning)
    inner = slice(6, -6)  # what comes into view within T steps is not known
    ahead = np.asarray(frames)[:, 0, inner, inner]
    np.testing.assert_allclose(ahead, clip[0, TC:, inner, inner], atol=0.02)
    flow = np.asarray(unit.flow(weights[0]))[0, inner, inner]
    np.testing.assert_allclose(flow, np.broadcast_to(-np.array(velocity), flow.shape), atol=0.1)


def test_matching_cost_is_the_mean_difference_around_each_pixel():
    rng = np.random.default_rng(6)
    frame, previous = rng.normal(size=(2, 1, 7, 8, 3))
    cost = block_matching.matching_cost(*map(tf.constant, (frame, previous)), 3, 5)
    padded = np.pad(previous, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    for m, n, i, j in np.ndindex(3, 3, 7, 8):
        rows, columns = slice(max(i - 2, 0), i + 3), slice(max(j - 2, 0), j + 3)
        moved = padded[:, m : m + 7, n : n + 8]
        expected = np.abs(frame - moved)[0, rows, columns].mean()
        np.testing.assert_allclose(cost[0, i, j, 3 * m + n], expected, rtol=1e-12)


def test_matching_in_mixed_precision_and_its_configuration(inputs):
    options = {"pixel_warp_size": 5, "pixel_matching": True, **OPTIONS}
    generator = Generator(1, "conv_gru", T, dtype="mixed_bfloat16", **options)
    frames = generator(*inputs)
    assert frames.dtype == tf.float32
    again = Generator.from_config(generator.get_config())
    again.build_variables()
    again.set_weights(generator.get_weights())
    np.testing.assert_array_equal(again(*inputs), frames)
    assert sorted(v.name for v in again.pixels.variables) == ["bias", "kernel", "match_scale"]


def test_matching_needs_two_conditioning_frames_and_a_warp():
    for wrong in ({"pixel_warp_size": None}, {"num_conditioning_frames": 1}):
        options = {"pixel_warp_size": 5, "num_conditioning_frames": 2, **wrong}
        with pytest.raises(ValueError, match="pixel_matching needs"):
            Generator(1, pixel_matching=True, frame_size=SIZE, **options)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_even_warps_are_refused(size):
    with pytest.raises(ValueError, match="odd warp size of at least 3"):
        Generator(1, pixel_warp_size=size)
