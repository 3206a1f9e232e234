"""Everything that must conform: each layer, unit, model and decomposition, at a tiny size.

A subject knows how to make its layer (or models), what to feed it, and along which axis of inputs
and outputs the batch lies. Layers of the generator are time-major, `[T, B, H, W, C]`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tests.seeds import set_seeds
from trivd_tf.layers.batch_norm import PerStepBatchNorm
from trivd_tf.layers.recurrent import CELLS, Unroll, make_cell
from trivd_tf.layers.residual import DiscriminatorBlock, GeneratorBlock
from trivd_tf.layers.spectral_norm import (
    SpectralConv2D,
    SpectralConv3D,
    SpectralDense,
    SpectralEmbedding,
    power_iteration_in_training,
)
from trivd_tf.models import DECOMPOSITIONS, Encoder, Generator, make_discriminators
from trivd_tf.models.discriminators import as_seed
from trivd_tf.models.generator_stage import GeneratorStage

BATCH, TIME, HEIGHT, WIDTH, CHANNELS = 4, 2, 4, 6, 4
FRAMES, SIZE, GIVEN = 4, 16, 1
NORMS = {"spectral_norm": True, "spectral_epsilon": 1e-4, "batch_norm_epsilon": 1e-4}


@dataclasses.dataclass(frozen=True)
class Subject:
    """One thing to check.

    Attributes:
        name: for the test's id.
        make: of a dtype policy, the layer or the list of models.
        inputs: of a random generator, arrays for the whole batch.
        axes: the batch axis of each input.
        shapes: of each output for the whole batch.
        out_axis: the batch axis of the outputs.
        run: how the made thing is called; of a layer, by itself.
        is_model: whole models take long to compile.
        tolerance: relative error that bfloat16 may have.
    """

    name: str
    make: Callable[[str], Any]
    inputs: Callable[[np.random.Generator], list[np.ndarray]]
    axes: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    out_axis: int = 0
    run: Callable[..., Any] = lambda layer, *inputs: layer(*inputs)
    is_model: bool = False
    tolerance: float = 0.03

    def layers(self, made: Any) -> list[keras.layers.Layer]:
        """The Keras layers of what `make` made."""
        return made if isinstance(made, list) else [made]

    def outputs(self, made: Any, inputs: list[Any]) -> list[tf.Tensor]:
        """What it gives, flat, in at least float32."""
        flat = tf.nest.flatten(self.run(made, *inputs))
        return [tf.cast(one, tf.float32) if one.dtype.size < 4 else one for one in flat]

    def variables(self, made: Any) -> list[keras.Variable]:
        """Trainable ones."""
        return [v for layer in self.layers(made) for v in layer.trainable_variables]

    def loss_and_gradients(self, made: Any, inputs: list[Any], axis_share: slice | None = None):
        """Outputs, a loss with a fixed random target, and its gradients by every variable.

        With `axis_share` the inputs are that part of the batch, and so is the target.
        """
        with tf.GradientTape() as tape:
            outputs = self.outputs(made, inputs)
            loss = tf.zeros([], tf.float32)
            for number, (output, shape) in enumerate(zip(outputs, self.shapes, strict=True)):
                target = np.random.default_rng(number).normal(size=shape).astype(np.float32)
                index = [slice(None)] * self.out_axis + [axis_share or slice(None)]
                loss += tf.reduce_sum(output * target[tuple(index)]) / shape[self.out_axis]
        values = [variable.value for variable in self.variables(made)]
        return outputs, loss, tape.gradient(loss, values)

    def share(self, inputs: list[np.ndarray], part: slice) -> list[np.ndarray]:
        """A part of the batch."""
        return [
            one[(slice(None),) * axis + (part,)]
            for one, axis in zip(inputs, self.axes, strict=True)
        ]


def _normal(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], list[np.ndarray]]:
    return lambda rng: [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def _layer(name, make, shapes, outputs, axes=None, **options) -> Subject:
    axes = axes or (0,) * len(shapes)
    return Subject(
        name, lambda dtype: make(dtype=dtype), _normal(*shapes), axes, outputs, **options
    )


def _training(layer: Any, *inputs: Any) -> Any:
    """In training, as this package's train step calls it: spectral norms stay as they are."""
    with power_iteration_in_training(layer, False):
        return layer(*inputs, training=True)


_FRAMES = (TIME, BATCH, HEIGHT, WIDTH, CHANNELS)
_IMAGES = (BATCH, HEIGHT, WIDTH, CHANNELS)
_VIDEOS = (BATCH, TIME, HEIGHT, WIDTH, CHANNELS)
_CONDITION = (BATCH, 5)
_GENERATOR_PARTS = {"run": _training, "out_axis": 1}

LAYERS = [
    _layer("dense", lambda **o: SpectralDense(5, **o), [(BATCH, 6)], ((BATCH, 5),)),
    _layer("conv_2d", lambda **o: SpectralConv2D(6, **o), [_IMAGES], ((BATCH, HEIGHT, WIDTH, 6),)),
    _layer(
        "conv_3d",
        lambda **o: SpectralConv3D(6, **o),
        [_VIDEOS],
        ((BATCH, TIME, HEIGHT, WIDTH, 6),),
    ),
    Subject(
        "embedding",
        lambda dtype: SpectralEmbedding(3, 5, dtype=dtype),
        lambda rng: [np.array([2, 0, 1, 2], np.int32)],
        (0,),
        ((BATCH, 5),),
    ),
    _layer(
        "batch_norm",
        lambda **o: PerStepBatchNorm(TIME, conditional=False, **o),
        [_FRAMES],
        (_FRAMES,),
        (1,),
        **_GENERATOR_PARTS,
    ),
    _layer(
        "conditional_batch_norm",
        lambda **o: PerStepBatchNorm(TIME, **o),
        [_FRAMES, _CONDITION],
        (_FRAMES,),
        (1, 0),
        **_GENERATOR_PARTS,
    ),
    _layer(
        "generator_block",
        lambda **o: GeneratorBlock(CHANNELS, TIME, **o),
        [_FRAMES, _CONDITION],
        (_FRAMES,),
        (1, 0),
        **_GENERATOR_PARTS,
    ),
    _layer(
        "generator_block_up",
        lambda **o: GeneratorBlock(3, TIME, upsample=True, **o),
        [_FRAMES, _CONDITION],
        ((TIME, BATCH, 2 * HEIGHT, 2 * WIDTH, 3),),
        (1, 0),
        **_GENERATOR_PARTS,
    ),
    Subject(
        "generator_stage",
        lambda dtype: GeneratorStage(
            "conv_gru",
            CHANNELS,
            3,
            TIME,
            unit_options={},
            post_kernel_size=3,
            dtype=dtype,
            **NORMS,
        ),
        _normal(_FRAMES, _IMAGES, _CONDITION),
        (1, 0, 0),
        ((TIME, BATCH, 2 * HEIGHT, 2 * WIDTH, 3),),
        out_axis=1,
        run=lambda stage, *inputs: _training(stage, *inputs)[0],
        tolerance=0.05,
    ),
    _layer(
        "discriminator_block_2d",
        lambda **o: DiscriminatorBlock(6, **o),
        [_IMAGES],
        ((BATCH, HEIGHT // 2, WIDTH // 2, 6),),
    ),
    _layer(
        "discriminator_block_3d",
        lambda **o: DiscriminatorBlock(6, is_3d=True, leading_relu=False, **o),
        [_VIDEOS],
        ((BATCH, TIME // 2, HEIGHT // 2, WIDTH // 2, 6),),
    ),
    _layer(
        "discriminator_block_last",
        lambda **o: DiscriminatorBlock(CHANNELS, pool=False, **o),
        [_IMAGES],
        (_IMAGES,),
    ),
    _layer(
        "encoder",
        lambda **o: Encoder((4, 6, 8), (8, 6, 4), **o),
        [(BATCH, GIVEN, SIZE, SIZE, 3)],
        ((BATCH, 2, 2, 8), (BATCH, 4, 4, 6), (BATCH, 8, 8, 4)),
    ),
]

UNITS = [
    _layer(
        name,
        lambda name=name, **o: Unroll(make_cell(name, CHANNELS, **o), **o),
        [_VIDEOS, _IMAGES],
        (_VIDEOS,),
    )
    for name in CELLS
]


def _generator(unit: str) -> Subject:
    return Subject(
        f"generator_{unit}",
        lambda dtype: Generator(
            1, unit, TIME, num_conditioning_frames=GIVEN, frame_size=SIZE, dtype=dtype
        ),
        _normal((BATCH, GIVEN, SIZE, SIZE, 3), (BATCH, 128)),
        (0, 0),
        ((BATCH, TIME, SIZE, SIZE, 3),),
        run=_training,
        is_model=True,
        tolerance=0.2,
    )


def _decomposition(name: str) -> Subject:
    def make(dtype: str) -> Any:
        return make_discriminators(
            name,
            channel_multiplier=1,
            num_conditioning_frames=GIVEN,
            num_sampled_frames=1 if name == "mocogan_k1" else 2,
            dtype=dtype,
        )

    models = make("float32")

    def inputs(rng: np.random.Generator) -> list[np.ndarray]:
        # Crops and frames are drawn for the global batch, as the train step does.
        arrays = [rng.uniform(-1, 1, (BATCH, FRAMES, SIZE, SIZE, 3)).astype(np.float32)]
        for number, model in enumerate(models):
            choices = model.draw(BATCH, FRAMES, SIZE, as_seed([7, number]))
            arrays += [choices[key].numpy() for key in sorted(choices)]
        return arrays

    def run(made: Any, videos: Any, *choices: Any) -> Any:
        left, scores = list(choices), []
        for model in made:
            keys = ["corners"] * (model.crop_factor > 1)
            keys += ["frames"] * (model.num_sampled_frames is not None)
            own = {key: left.pop(0) for key in keys}
            view = model.view(tf.cast(videos, model.compute_dtype), own)
            scores.append(model.scores(view))
        return scores

    steps = [model.num_sampled_frames or FRAMES // 4 for model in models]
    drawn = sum((m.crop_factor > 1) + (m.num_sampled_frames is not None) for m in models)
    return Subject(
        name,
        make,
        inputs,
        (0,) * (1 + drawn),
        tuple((BATCH, count) for count in steps for _ in range(2)),
        run=run,
        is_model=True,
        tolerance=0.1,
    )


MODELS = [_generator(unit) for unit in ("tsru_p", "conv_lstm")]
DECOMPOSED = [_decomposition(name) for name in DECOMPOSITIONS]
SUBJECTS = {subject.name: subject for subject in [*LAYERS, *UNITS, *MODELS, *DECOMPOSED]}


def make_seeded(subject: Subject, dtype: str = "float32", seed: int = 1) -> tuple[Any, list[Any]]:
    """A made subject with all its variables, and its inputs; the same for the same seed."""
    set_seeds(seed)
    made = subject.make(dtype)
    inputs = subject.inputs(np.random.default_rng(0))
    subject.outputs(made, inputs)
    # Zero biases and flow fields would hide mistakes.
    rng = np.random.default_rng(2)
    for variable in subject.variables(made):
        if not np.any(variable.numpy()):
            variable.assign(0.1 * rng.normal(size=variable.shape))
    return made, inputs
