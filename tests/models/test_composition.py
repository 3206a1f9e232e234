"""How the networks are put together, against their own parts and NumPy between them."""

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.layers.spectral_norm import set_power_iteration
from trivd_tf.models import DECOMPOSITIONS, Discriminator, Generator, make_discriminators
from trivd_tf.ops import video

TC, T, SIZE, CH = 2, 2, 16, 1


def relu(x):
    return np.maximum(x, 0)


@pytest.fixture(scope="module")
def generator():
    """Two classes; every bias counts."""
    made = Generator(
        CH,
        "conv_gru",
        T,
        num_conditioning_frames=TC,
        frame_size=SIZE,
        num_classes=2,
        dtype="float64",
    )
    made(tf.zeros([1, TC, SIZE, SIZE, 3], tf.float64), tf.zeros([1, 128], tf.float64))
    rng = np.random.default_rng(0)
    for weight in made.trainable_variables:
        weight.assign(weight.numpy() + rng.normal(0, 0.1, weight.shape))
    set_power_iteration(made, False)  # as in the train step
    return made


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(1)
    return rng.uniform(-1, 1, [2, TC, SIZE, SIZE, 3]), rng.normal(size=[2, 128]), np.array([1, 0])


def test_encoder(generator, inputs):
    """Raw outputs of three blocks, frames folded into channels, one convolution and ReLU each."""
    frames = inputs[0]
    hidden, expected = frames.reshape(-1, SIZE, SIZE, 3), []
    for block in generator.encoder.blocks:
        hidden = block(tf.constant(hidden)).numpy()
        expected.append(hidden)
    assert [block.leading_relu for block in generator.encoder.blocks] == [False, True, True]
    assert [one.shape[1:] for one in expected] == [(8, 8, 2), (4, 4, 4), (2, 2, 8)]
    found = generator.encoder(tf.constant(frames))
    layers = generator.encoder.to_states
    for encoding, layer, one in zip(found, layers, reversed(expected), strict=True):
        by_frame = one.reshape(2, TC, *one.shape[1:])
        folded = np.concatenate([by_frame[:, t] for t in range(TC)], axis=-1)
        np.testing.assert_allclose(encoding, relu(layer(tf.constant(folded)).numpy()), atol=1e-12)
        assert (encoding.numpy() == 0).any()


def test_generator(generator, inputs):
    frames, z, labels = inputs
    table = generator.embedding.kernel.numpy()
    condition = np.concatenate([z, table[labels]], axis=-1)
    affine = generator.affine
    hidden = condition @ affine.kernel.numpy() + affine.bias.numpy()
    hidden = hidden.reshape(1, 2, 2, 2, 8 * CH)
    encodings = generator.encoder(tf.constant(frames))
    hidden = tf.constant(hidden)
    for stage, encoding in zip(generator.stages, encodings, strict=True):
        hidden, _ = stage(hidden, encoding, tf.constant(condition), training=True)
    normed = relu(generator.head_norm(hidden, training=True).numpy())
    drawn = [np.tanh(generator.head(tf.constant(frame)).numpy()) for frame in normed]
    found = generator(
        tf.constant(frames), tf.constant(z), labels=tf.constant(labels), training=True
    )
    np.testing.assert_allclose(found, np.stack(drawn, axis=1), atol=1e-12)


def test_generator_stage(generator):
    """Recurrent unit over time, convolution without activation, block, block with upsampling."""
    rng = np.random.default_rng(2)
    stage = generator.stages[1]
    frames, encoding = rng.normal(size=[T, 2, 4, 4, 8]), relu(rng.normal(size=[2, 4, 4, 4]))
    condition = tf.constant(rng.normal(size=[2, 256]))
    state, outputs = stage.cell.initial_state(tf.constant(encoding)), []
    for frame in frames:
        output, state = stage.cell(tf.constant(frame), state)
        outputs.append(stage.conv(output))
    hidden = stage.block(tf.stack(outputs), condition, training=True)
    expected = stage.up_block(hidden, condition, training=True)
    found, _ = stage(tf.constant(frames), tf.constant(encoding), condition, training=True)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("kind", ["frame", "video"])
def test_discriminator_features_are_the_sum_over_space_after_a_last_relu(kind):
    frames = 2 if kind == "frame" else None
    model = Discriminator(CH, num_sampled_frames=frames, num_conditioning_frames=1, dtype="float64")
    # 2 x 2 pixels are left, so that a sum is no mean.
    view = np.random.default_rng(3).uniform(-1, 1, [2, 4, 32, 32, 3])
    found = model.features(tf.constant(view)).numpy()
    assert [block.leading_relu for block in model.blocks] == [False, True, True, True, True]
    assert [block.pool for block in model.blocks] == [True, True, True, True, False]
    assert [block.is_3d for block in model.blocks] == [kind == "video"] * 2 + [False] * 3
    hidden = tf.constant(view)
    if kind == "frame":
        hidden = video.fold_time(hidden)
    for index, block in enumerate(model.blocks):
        if kind == "video" and index == 2:
            assert hidden.shape[1] == 1  # 4 frames, pooled twice
            hidden = video.fold_time(hidden)
        hidden = block(hidden)
    assert hidden.shape[1:3] == (2, 2)
    expected = relu(hidden.numpy()).sum((1, 2)).reshape(found.shape)
    np.testing.assert_allclose(found, expected, atol=1e-12)


# Table 1: (kind, crop factor, downsampling factor, K) of each network.
_ROWS = {
    "clip": [("video", 1, 1, None)],
    "downsampled": [("video", 1, 2, None)],
    "cropped": [("video", 2, 1, None)],
    "cropped_downsampled": [("video", 2, 1, None), ("video", 1, 2, None)],
    "mocogan_k1": [("frame", 1, 1, 1), ("video", 1, 1, None)],
    "mocogan_k8": [("frame", 1, 1, 8), ("video", 1, 1, None)],
    "dvd_gan_fp": [("frame", 1, 1, 8), ("video", 1, 2, None)],
    "dvd_gan_fp_faster": [("frame", 1, 2, 8), ("video", 2, 1, None)],
    "dvd_gan_fp_stronger": [("frame", 1, 2, 8), ("video", 2, 1, None), ("video", 1, 2, None)],
}


@pytest.mark.parametrize("name", _ROWS)
def test_decompositions_of_table_1(name):
    found = [
        (
            "video" if model.num_sampled_frames is None else "frame",
            model.crop_factor,
            model.downsample_factor,
            model.num_sampled_frames,
        )
        for model in make_discriminators(name, channel_multiplier=1)
    ]
    assert found == _ROWS[name]
    assert set(_ROWS) == set(DECOMPOSITIONS)
