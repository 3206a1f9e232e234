"""Discriminators: views, head, widths, and the nine decompositions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.layers.spectral_norm import SpectralLayer
from trivd_tf.layers.walk import sublayers
from trivd_tf.models import DECOMPOSITIONS, Discriminator, make_discriminators
from trivd_tf.models.discriminators import as_seed

B, T, SIZE, TC = 2, 8, 16, 3


@pytest.fixture
def videos():
    return keras.random.uniform((B, T, SIZE, SIZE, 3), -1.0, 1.0)


def _view(model, videos, seed):
    choices = model.draw(len(videos), videos.shape[1], videos.shape[2], as_seed(seed))
    return model.view(videos, choices)


# What each row of Table 1 sees of a clip of 16 frames of 64 x 64: (frames, size) a network.
VIEWS = {
    "clip": [(16, 64)],
    "downsampled": [(16, 32)],
    "cropped": [(16, 32)],
    "cropped_downsampled": [(16, 32), (16, 32)],
    "mocogan_k1": [(1, 64), (16, 64)],
    "mocogan_k8": [(8, 64), (16, 64)],
    "dvd_gan_fp": [(8, 64), (16, 32)],
    "dvd_gan_fp_faster": [(8, 32), (16, 32)],
    "dvd_gan_fp_stronger": [(8, 32), (16, 32), (16, 32)],
}


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_views_of_table_1(name):
    videos = keras.random.uniform((1, 16, 64, 64, 3))
    views = [_view(model, videos, 0) for model in make_discriminators(name, channel_multiplier=1)]
    assert [(view.shape[1], view.shape[2]) for view in views] == VIEWS[name]
    assert set(VIEWS) == set(DECOMPOSITIONS)


def test_frame_views_are_whole_frames_that_were_not_given(videos):
    model = Discriminator(1, num_sampled_frames=3, num_conditioning_frames=TC)
    view = _view(model, videos, 5).numpy()
    for sample in range(B):
        matches = [
            [np.array_equal(frame, videos[sample, t]) for t in range(T)].index(True)
            for frame in view[sample]
        ]
        assert matches == sorted(set(matches))
        assert min(matches) >= TC


def test_every_kernel_has_spectral_norm(videos):
    model = Discriminator(1, num_sampled_frames=3, num_conditioning_frames=TC)
    model(videos)
    kernels = [v.path.rpartition("/")[0] for v in model.weights if v.name == "kernel"]
    normalized = [one.kernel for one in sublayers(model, SpectralLayer) if one.spectral_norm]
    assert sorted(kernels) == sorted(v.path.rpartition("/")[0] for v in normalized)


def test_the_seed_decides_the_view(videos):
    model = Discriminator(1, crop_factor=2)
    same = [_view(model, videos, seed).numpy() for seed in (1, 1)]
    np.testing.assert_array_equal(*same)
    others = [_view(model, videos, seed).numpy() for seed in range(8)]
    assert len({view.tobytes() for view in others}) > 4


@pytest.mark.parametrize(
    ("options", "steps"),
    [({}, 2), ({"pool_time": False}, T), ({"num_sampled_frames": 4}, 4)],
)
def test_mixed_projection_of_the_models_scores(videos, options, steps):
    model = Discriminator(1, num_conditioning_frames=TC, **options)
    outputs = model(videos, seed=3)
    assert outputs.shape == (B, B, steps)
    r_x, r_xy = model.scores(_view(model, videos, 3))
    expected = r_x.numpy()[:, None] + r_xy.numpy().sum(1)[None, :, None]
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)


def test_scores_equal_numpy_on_the_features(videos):
    model = Discriminator(1, num_classes=3)
    labels = tf.constant([2, 0])
    view = _view(model, videos, 0)
    r_x, r_xy = model.scores(view, labels)
    features = model.features(view).numpy()
    kernel, table = model.score.normalized_kernel(), model.embedding.normalized_kernel()
    expected = features @ kernel.numpy()[:, 0] + model.score.bias.numpy()
    np.testing.assert_allclose(r_x, expected, rtol=1e-4, atol=1e-4)
    expected = np.einsum("btc,bc->bt", features, table.numpy()[[2, 0]])
    np.testing.assert_allclose(r_xy, expected, rtol=1e-4, atol=1e-4)


def test_plain_projection_gives_a_score_a_sample(videos):
    model = Discriminator(1, head="projection")
    assert model(videos).shape == (B,)


def test_a_frame_discriminator_judges_each_frame_alone(videos):
    model = Discriminator(1, num_sampled_frames=3, num_conditioning_frames=TC)
    view = _view(model, videos, 0)
    changed = tf.concat([view[:, :2], view[:, 2:] * 0.5], axis=1)
    before, after = model.features(view).numpy(), model.features(changed).numpy()
    np.testing.assert_allclose(before[:, :2], after[:, :2], atol=1e-5)
    assert np.abs(before[:, 2] - after[:, 2]).max() > 1e-4


def test_a_video_discriminator_sees_motion(videos):
    model = Discriminator(1, pool_time=False)
    shuffled = tf.gather(videos, [0, 5, 2, 7, 4, 1, 6, 3], axis=1)
    total = [float(tf.reduce_sum(model(v)[0, 0])) for v in (videos, shuffled)]
    assert abs(total[0] - total[1]) > 1e-4


def test_every_weight_gets_a_gradient(videos):
    for model in make_discriminators(channel_multiplier=1, num_conditioning_frames=TC, factor=2):
        model.num_sampled_frames = model.num_sampled_frames and 3
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(videos, seed=1) ** 2)
        weights = model.trainable_variables
        for weight, gradient in zip(
            weights, tape.gradient(loss, [w.value for w in weights]), strict=True
        ):
            assert gradient is not None, weight.path
            assert np.abs(gradient).max() > 0, weight.path


# Millions of parameters, from docs/architecture.md, section 8.
@pytest.mark.parametrize(
    ("channels", "frame", "video"),
    [(48, 21.55, 22.71), (92, 79.14, 83.42), (120, 134.6, 141.9)],
)
def test_parameters_are_those_of_the_table(channels, frame, video):
    with tf.Graph().as_default():  # weights are symbols there: nothing is drawn or kept
        models = [Discriminator(channels, num_sampled_frames=8), Discriminator(channels)]
        for expected, model in zip((frame, video), models, strict=True):
            model.build_variables(16, 32)
            count = sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)
            assert count / 1e6 == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize("decomposition", ["dvd_gan_fp", "clip", "mocogan_k1"])
def test_building_makes_the_variables_that_a_call_uses(decomposition):
    options = {"num_conditioning_frames": 1, "num_sampled_frames": 2}
    for model in make_discriminators(decomposition, channel_multiplier=1, **options):
        model.build_variables(4, (16, 24))
        built = [(weight.path, weight.shape) for weight in model.weights]
        assert built
        model(tf.zeros([1, 4, 16, 24, 3]))
        assert [(weight.path, weight.shape) for weight in model.weights] == built


def test_more_frames_than_there_are_cannot_be_drawn():
    with pytest.raises(ValueError, match=r"^3 different frames cannot be drawn from the 2"):
        Discriminator(1, num_sampled_frames=3, num_conditioning_frames=2).build_variables(4, 16)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="dvd_gan_fp_stronger"):
        make_discriminators("dvdgan")
    with pytest.raises(ValueError, match="mixed_projection or projection"):
        Discriminator(1, head="mixed")
