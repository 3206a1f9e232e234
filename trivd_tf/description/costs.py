"""Parameters, output shapes, FLOPs and bytes of an experiment's networks, without running them.

The networks are built symbolically in a plain graph, so a model of 250 million parameters is
described without allocating any of them.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from trivd_tf.description import graph_costs
from trivd_tf.experiment import Experiment
from trivd_tf.layers.spectral_norm import spectral_layers
from trivd_tf.models import Discriminator, Generator
from trivd_tf.ops import losses
from trivd_tf.training.step import penalized_kernels


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """One row of a network's table.

    Attributes:
        name: name of the layer, for example `stage_1/unit`.
        shape: output shape for one sample, without the batch axis.
        parameters: trainable parameters.
        flops: FLOPs of one sample's forward pass, two per multiply-add.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    flops: int


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost of one part of a training step.

    Attributes:
        parameters: trainable parameters.
        forward_flops: FLOPs of one sample's forward pass.
        step_flops: the part's share of a whole step of the global batch.
        step_bytes: bytes that its operations read and write in a step, counted per operation,
            including optimizer and weight average.
    """

    parameters: int
    forward_flops: int
    step_flops: int
    step_bytes: int

    def __add__(self, other: "Cost") -> "Cost":
        mine, others = dataclasses.astuple(self), dataclasses.astuple(other)
        return Cost(*(a + b for a, b in zip(mine, others, strict=True)))


@dataclasses.dataclass(frozen=True)
class Description:
    """Static description of an experiment's networks.

    Attributes:
        title: title of the experiment.
        batch_size: global batch size of the step.
        layers: rows of each network, in forward order: `encoder`, `generator`, and each
            discriminator by its name.
        parts: cost of `generator` (without encoder), `encoder` and each discriminator.
    """

    title: str
    batch_size: int
    layers: dict[str, list[LayerCost]]
    parts: dict[str, Cost]

    @property
    def total(self) -> Cost:
        """Sum the costs of the parts."""
        return sum(self.parts.values(), Cost(0, 0, 0, 0))


def describe(experiment: Experiment) -> Description:
    """Build an experiment's networks symbolically and count.

    Args:
        experiment: any experiment; its data is not read.

    Raises:
        InputError: the model cannot be built.
    """
    with tf.Graph().as_default():
        generator = experiment.build_generator()
        discriminators = experiment.build_discriminators()
        layers = _layers(experiment, generator, discriminators)
        forward = {name: sum(row.flops for row in rows) for name, rows in layers.items()}
        parts = _generator_parts(experiment, generator, forward)
        for model in discriminators:
            parts[model.name] = _discriminator_part(experiment, model, forward[model.name])
    return Description(experiment.title, experiment.training.batch_size, layers, parts)


def describe_layers(experiment: Experiment) -> dict[str, list[LayerCost]]:
    """Compute `Description.layers` alone, which needs only a few traces of the forward pass."""
    with tf.Graph().as_default():
        generator, models = experiment.build_generator(), experiment.build_discriminators()
        return _layers(experiment, generator, models)


def _layers(
    experiment: Experiment, generator: Generator, discriminators: list[Discriminator]
) -> dict[str, list[LayerCost]]:
    layers = {"encoder": _encoder_rows(generator), "generator": _generator_rows(generator)}
    for model in discriminators:
        layers[model.name] = discriminator_rows(experiment, model)
    return layers


def parameters(layer: keras.layers.Layer) -> int:
    """Count the trainable parameters of a built layer."""
    return sum(math.prod(weight.shape) for weight in layer.trainable_weights)


def view_shape(experiment: Experiment, model: Discriminator) -> tuple[int, ...]:
    """Return the `(frames, height, width, 3)` of a discriminator's view of one video."""
    clip = experiment.clip
    height, width = (
        side // model.downsample_factor for side in model.window(clip.height, clip.width)
    )
    return (model.num_sampled_frames or clip.num_frames, height, width, 3)


class _Recorder:
    """Records output shapes and operations of layers while a forward pass is traced."""

    def __init__(self, parts: dict[str, keras.layers.Layer]) -> None:
        self.rows: dict[str, LayerCost] = {}
        for name, layer in parts.items():
            layer.call = self._recorded(name, layer, layer.call)

    def _recorded(
        self, name: str, layer: keras.layers.Layer, call: Callable[..., Any]
    ) -> Callable[..., Any]:
        def recorded(*args: Any, **kwargs: Any) -> Any:
            graph = tf.compat.v1.get_default_graph()
            before = len(graph.get_operations())
            outputs = call(*args, **kwargs)
            added = graph.get_operations()[before:]
            first = tf.nest.flatten(outputs)[0]
            flops = graph_costs.flops_of(added) - _normalization_flops(layer)
            self.rows[name] = LayerCost(name, _shape_of_sample(first), parameters(layer), flops)
            return outputs

        return recorded


def _normalization_flops(layer: keras.layers.Layer) -> int:
    """Count one matrix-vector product per kernel: once per forward pass, for any batch size."""
    return sum(2 * math.prod(one.kernel.shape) for one in spectral_layers(layer))


def _shape_of_sample(tensor: tf.Tensor) -> tuple[int, ...]:
    # Traced with one sample: the batch axis is a 1, either first or after the time axis.
    shape = tensor.shape.as_list()
    leading = [size for size in shape[:2] if size != 1]
    return tuple(leading + shape[2:])


def _encoder_rows(generator: Generator) -> list[LayerCost]:
    encoder = generator.encoder
    parts: list[keras.layers.Layer] = [*encoder.blocks, *encoder.to_states]
    named = {layer.name: layer for layer in parts}
    recorder = _Recorder(named)
    graph_costs.traced(encoder, _frames_of(generator, 1))
    return list(recorder.rows.values())


def _generator_rows(generator: Generator) -> list[LayerCost]:
    named: dict[str, keras.layers.Layer] = {
        "embedding": generator.embedding,
        "affine": generator.affine,
    }
    for stage in generator.stages:
        named[f"{stage.name}/conv"] = stage.conv
        named[f"{stage.name}/block"] = stage.block
        named[f"{stage.name}/up"] = stage.up_block
        named[stage.name] = stage
    tail: dict[str, keras.layers.Layer] = {"head_norm": generator.head_norm, "head": generator.head}
    tail |= {"pixels": generator.pixels} if generator.pixels is not None else {}
    named |= tail
    recorder = _Recorder(named)
    graph_costs.traced(
        lambda frames, z: generator(frames, z, training=True),
        _frames_of(generator, 1),
        _latents_of(generator, 1),
    )
    rows = recorder.rows
    for stage in generator.stages:
        # The unit is unrolled, not called: its cost is that of the stage minus its other layers.
        whole = rows[stage.name]
        inner = [rows[f"{stage.name}/{name}"] for name in ("conv", "block", "up")]
        rows[f"{stage.name}/unit"] = LayerCost(
            f"{stage.name}/unit",
            (*inner[0].shape[:-1], stage.cell.channels),
            parameters(stage.cell),
            whole.flops - sum(row.flops for row in inner),
        )
    order = ["embedding", "affine"]
    for stage in generator.stages:
        order += [f"{stage.name}/{name}" for name in ("unit", "conv", "block", "up")]
    return [rows[name] for name in [*order, *tail]]


def discriminator_rows(experiment: Experiment, model: Discriminator) -> list[LayerCost]:
    """Return the cost of each part of a discriminator for one sample of its view."""
    parts: list[keras.layers.Layer] = [*model.blocks, model.score, model.embedding]
    named = {layer.name: layer for layer in parts}
    recorder = _Recorder(named)
    view = tf.TensorSpec((1, *view_shape(experiment, model)), model.compute_dtype)
    graph_costs.traced(lambda videos: model.scores(videos), view)
    return list(recorder.rows.values())


def _frames_of(generator: Generator, batch: int) -> tf.TensorSpec:
    shape = [batch, generator.num_conditioning_frames, *generator.frame_shape, 3]
    return tf.TensorSpec(shape, generator.compute_dtype)


def _latents_of(generator: Generator, batch: int) -> tf.TensorSpec:
    return tf.TensorSpec([batch, generator.latent_size], generator.compute_dtype)


def _with_gradients(
    forward: Callable[..., Any], sources: list[Any], *, by_inputs: bool = False
) -> Callable[..., Any]:
    """Return `forward` with the gradients of its outputs by `sources`, optionally by its inputs."""

    def run(*inputs: tf.Tensor) -> Any:
        targets = [*sources, *(inputs if by_inputs else ())]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(targets)
            outputs = tf.nest.flatten(forward(*inputs))
        upstream = [tf.ones_like(output) for output in outputs]
        return tape.gradient(outputs, targets, output_gradients=upstream)

    return run


def _values(weights: list[keras.Variable]) -> list[tf.Variable]:
    return [weight.value for weight in weights]


def _costs(parts: Iterator[tuple[int, tf.Graph]]) -> tuple[int, int]:
    """Sum the FLOPs and bytes of graphs, each times its number of runs."""
    flops = moved = 0
    for times, graph in parts:
        flops += times * graph_costs.flops(graph)
        moved += times * graph_costs.moved_bytes(graph)
    return flops, moved


def _generator_parts(
    experiment: Experiment, generator: Generator, forward: dict[str, int]
) -> dict[str, Cost]:
    """Cost of generator and encoder: a forward pass per discriminator update, and one update."""
    options = experiment.training
    encoder = generator.encoder
    of_encoder = encoder.trainable_weights
    ids = {id(weight) for weight in of_encoder}
    others = [weight for weight in generator.trainable_weights if id(weight) not in ids]

    def both(frames: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        return generator(frames, z, training=True)

    def graphs(forward: Callable[..., Any], weights: list[keras.Variable], *inputs: Any) -> Any:
        yield options.discriminator_steps, graph_costs.traced(forward, *inputs)
        yield 1, graph_costs.traced(_with_gradients(forward, _values(weights)), *inputs)

    batch = options.batch_size
    frames, z = _frames_of(generator, batch), _latents_of(generator, batch)
    whole = _costs(graphs(both, generator.trainable_weights, frames, z))
    alone = _costs(graphs(encoder, of_encoder, frames))
    penalized = penalized_kernels(generator)
    encoder_penalty = [kernel for kernel in penalized if id(kernel) in ids]
    generator_penalty = [kernel for kernel in penalized if id(kernel) not in ids]
    penalties = [_penalty(kernels) for kernels in (generator_penalty, encoder_penalty)]
    updates = [_update_bytes(weights, with_average=True) for weights in (others, of_encoder)]
    return {
        "generator": Cost(
            sum(math.prod(weight.shape) for weight in others),
            forward["generator"],
            whole[0] - alone[0] + penalties[0][0],
            whole[1] - alone[1] + penalties[0][1] + updates[0],
        ),
        "encoder": Cost(
            parameters(encoder),
            forward["encoder"],
            alone[0] + penalties[1][0],
            alone[1] + penalties[1][1] + updates[1],
        ),
    }


def _penalty(kernels: list[keras.Variable]) -> tuple[int, int]:
    """Return FLOPs and bytes of the orthogonality penalty and its gradients."""

    def penalty() -> tf.Tensor:
        return tf.add_n([losses.orthogonal_penalty(tf.convert_to_tensor(k)) for k in kernels])

    graph = graph_costs.traced(_with_gradients(penalty, _values(kernels)))
    return graph_costs.flops(graph), graph_costs.moved_bytes(graph)


def _update_bytes(weights: list[keras.Variable], *, with_average: bool) -> int:
    """Return bytes of an update: Adam reads four values and writes three; the average adds two.

    Counted by hand: the optimizer's graph has fifty operations per weight, which run as one pass.
    """
    passes = 7 + (3 if with_average else 0)
    return passes * sum(math.prod(weight.shape) * weight.value.dtype.size for weight in weights)


def _discriminator_part(experiment: Experiment, model: Discriminator, forward: int) -> Cost:
    """Cost of updates on real and predicted views, and of the generator's gradient through it."""
    options = experiment.training
    shape = view_shape(experiment, model)

    def view(batch: int) -> tf.TensorSpec:
        return tf.TensorSpec((batch, *shape), model.compute_dtype)

    def scores(videos: tf.Tensor) -> Any:
        return model.scores(videos)

    weights = _values(model.trainable_weights)
    batch = options.batch_size
    update = graph_costs.traced(_with_gradients(scores, weights), view(2 * batch))
    back = graph_costs.traced(_with_gradients(scores, [], by_inputs=True), view(batch))
    flops, moved = _costs(iter([(options.discriminator_steps, update), (1, back)]))
    applied = options.discriminator_steps * _update_bytes(
        model.trainable_weights, with_average=False
    )
    return Cost(parameters(model), forward, flops, moved + applied)
