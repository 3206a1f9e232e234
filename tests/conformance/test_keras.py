"""As parts of anybody's Keras model: saved whole, configured again, trained by `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.layers.batch_norm import PerStepBatchNorm
from trivd_tf.layers.recurrent import CELLS, Unroll, make_cell
from trivd_tf.layers.residual import DiscriminatorBlock, GeneratorBlock
from trivd_tf.layers.spectral_norm import (
    SpectralConv2D,
    SpectralConv3D,
    SpectralDense,
    SpectralEmbedding,
    SpectralLayer,
    power_iterate,
    set_power_iteration,
    spectral_layers,
)
from trivd_tf.layers.walk import sublayers
from trivd_tf.models import Generator, make_discriminators
from trivd_tf.models.encoder import Encoder

FRAMES = (2, 8, 8, 4)  # T, H, W, C


def _video_model(layer: keras.layers.Layer) -> keras.Model:
    inputs = keras.Input(FRAMES)
    return keras.Model(inputs, layer(inputs))


def _frame_model(layer: keras.layers.Layer) -> keras.Model:
    inputs = keras.Input(FRAMES[1:])
    return keras.Model(inputs, layer(inputs))


def _time_major_model(layer: keras.layers.Layer, *, conditional: bool) -> keras.Model:
    frames = keras.Input(batch_shape=(FRAMES[0], 3, *FRAMES[1:]))
    if not conditional:
        return keras.Model(frames, layer(frames))
    inputs = [frames, keras.Input(batch_shape=(3, 5))]
    return keras.Model(inputs, layer(*inputs))


MODELS = {
    **{name: lambda name=name: _video_model(Unroll(make_cell(name, 4))) for name in CELLS},
    "extended_tsru": lambda: _video_model(
        Unroll(make_cell("tsru_c", 4, num_warps=2, read_gate=True))
    ),
    "conv_2d": lambda: _frame_model(SpectralConv2D(3)),
    "conv_3d": lambda: _video_model(SpectralConv3D(3)),
    "dense": lambda: _frame_model(SpectralDense(3)),
    "discriminator_block": lambda: _frame_model(DiscriminatorBlock(4)),
    "batch_norm": lambda: _time_major_model(
        PerStepBatchNorm(2, conditional=False), conditional=False
    ),
    "generator_block": lambda: _time_major_model(
        GeneratorBlock(3, 2, upsample=True), conditional=True
    ),
    "generator": lambda: Generator(1, "tsru_p", 2, num_conditioning_frames=2, frame_size=16),
    "discriminator": lambda: make_discriminators(
        "cropped_downsampled", channel_multiplier=1, num_conditioning_frames=2
    )[0],
    "encoder": lambda: _video_model_of_encoder(),
    "embedding": lambda: keras.Sequential(
        [keras.Input([], dtype="int32"), SpectralEmbedding(3, 4)]
    ),
}


def _video_model_of_encoder() -> keras.Model:
    inputs = keras.Input((2, 16, 16, 3))
    return keras.Model(inputs, Encoder((2, 4, 8), (8, 4, 2))(inputs))


def _inputs(name: str, model: keras.Model) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {"generator": [(3, 2, 16, 16, 3), (3, 128)], "discriminator": [(3, 4, 16, 16, 3)]}
    if name == "embedding":
        return [np.array([2, 0, 1], np.int32)]
    found = shapes.get(name) or [(3, *one.shape[1:]) for one in model.inputs]
    if name in ("batch_norm", "generator_block"):
        found = [tuple(one.shape) for one in model.inputs]
    return [rng.normal(size=shape).astype(np.float32) for shape in found]


def _run(name: str, model: keras.Model, inputs: list[np.ndarray]) -> list[np.ndarray]:
    given = inputs if name in ("generator", "discriminator") or len(inputs) == 1 else [inputs]
    return [one.numpy() for one in tf.nest.flatten(model(*given))]


@pytest.mark.parametrize("name", MODELS)
def test_a_keras_file_holds_everything(name, tmp_path):
    model = MODELS[name]()
    inputs = _inputs(name, model)
    _run(name, model, inputs)
    _randomize(model)
    power_iterate(model, 2)
    expected = _run(name, model, inputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for found, one in zip(_run(name, loaded, inputs), expected, strict=True):
        np.testing.assert_array_equal(found, one)
    assert len(loaded.variables) == len(model.variables)


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_is_configured_again_alike(name):
    model = MODELS[name]()
    own = [
        layer
        for layer in sublayers(model, keras.layers.Layer)
        if type(layer).__module__.startswith("trivd_tf")
    ]
    assert own
    for layer in own:
        stored = keras.saving.serialize_keras_object(layer)
        assert stored["registered_name"].startswith("trivd_tf>"), layer
        again = keras.saving.deserialize_keras_object(stored)
        assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("name", ["tsru_p", "conv_2d", "discriminator_block", "embedding"])
def test_under_fit_every_spectral_norm_finds_its_singular_value(name):
    model = MODELS[name]()
    (inputs,) = _inputs(name, model)
    _randomize(model)
    target = np.zeros([len(inputs), *model.output_shape[1:]], np.float32)
    model.compile(keras.optimizers.SGD(0.0), "mse")
    assert any(_error_of_sigma(layer) > 0.02 for layer in spectral_layers(model))
    model.fit(inputs, target, epochs=60, batch_size=len(inputs), verbose=0)
    for layer in spectral_layers(model):
        assert _error_of_sigma(layer) < 0.01, layer.path


def _randomize(model: keras.Model) -> None:
    rng = np.random.default_rng(1)
    for variable in model.variables:
        if variable.name not in ("spectral_u", "standing_variance", "standing_batches"):
            variable.assign(rng.normal(size=variable.shape))


def _error_of_sigma(layer: SpectralLayer) -> float:
    matrix = layer.kernel.numpy().reshape(-1, layer.kernel.shape[-1])
    sigma = np.linalg.svd(matrix, compute_uv=False)[0]
    return abs(float(layer.singular_value()) / sigma - 1.0)


def test_a_network_of_the_train_step_moves_none():
    model = MODELS["generator"]()
    model.build_variables()
    set_power_iteration(model, False)
    before = [layer.u.numpy() for layer in spectral_layers(model)]
    model(*_inputs("generator", model), training=True)
    for layer, u in zip(spectral_layers(model), before, strict=True):
        np.testing.assert_array_equal(layer.u, u)
