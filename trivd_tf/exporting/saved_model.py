"""Writes the graph as a reusable SavedModel (TF2 SavedModel and TF-Hub conventions)."""

import inspect
import math
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from trivd_tf.exporting.exported_graph import ExportedGraph


def save(graph: ExportedGraph, directory: str | os.PathLike[str]) -> None:
    """Saves the graph into `directory`, which is created.

    The object that `tf.saved_model.load` and `hub.load` return is callable as `serving_default`. It
    has `variables`, `trainable_variables` and `regularization_losses`, a method for each signature,
    `stride`, `fps` (0 if every coded frame of a video is used) and `num_classes`.
    """
    functions = _functions(graph)
    root = tf.train.Checkpoint()
    root.variables = graph.weights
    root.trainable_variables = [weight for weight in graph.weights if weight.trainable]
    root.regularization_losses = []
    root.stride = tf.Variable(graph.stride, trainable=False, dtype=tf.int32, name="stride")
    root.fps = tf.Variable(graph.fps or 0.0, trainable=False, dtype=tf.float32, name="fps")
    root.num_classes = tf.Variable(
        graph.num_classes, trainable=False, dtype=tf.int32, name="num_classes"
    )
    root.__call__ = functions["serving_default"]
    for name, function in functions.items():
        setattr(root, name, function)
    tf.saved_model.save(root, os.fspath(directory), signatures=functions)


def signature_names(graph: ExportedGraph) -> list[str]:
    """Returns the names of the signatures that `save` writes."""
    names = ["serving_default", "sample", "sample_from_z", "predict_long"]
    if graph.has_motion:
        names += ["predict_with_motion", "predict_with_motion_from_z"]
    return names


def _functions(graph: ExportedGraph) -> dict[str, Any]:
    """Returns the signatures as `tf.function`s.

    Their inputs are the arguments of the graph's method of the same name; only models with classes
    have `labels`. Defaults are stored in the SignatureDef: a TF1 session and TensorFlow Serving may
    omit these inputs (`hub.load(...).signatures` requires all inputs, the methods do not).
    """
    known = _inputs(graph)
    functions = {}
    for name in signature_names(graph):
        body = getattr(graph, name)
        arguments = [key for key in inspect.signature(body).parameters if key in known]
        functions[name] = _function(body, {key: known[key] for key in arguments})
    return functions


def _inputs(graph: ExportedGraph) -> dict[str, tuple[tf.TensorSpec, Any]]:
    """Returns the spec of each signature input, and its default if it is optional."""
    needed = inspect.Parameter.empty
    specs = {
        "conditioning_frames": ([None, *graph.clip_shape], tf.uint8, needed),
        "z": ([None, graph.latent_size], tf.float32, needed),
        "seed": ([], tf.int64, 0),
        "truncation": ([], tf.float32, math.inf),
        "num_samples": ([], tf.int32, 1),
        "num_frames": ([], tf.int32, graph.num_predicted_frames),
    }
    if graph.has_classes:
        specs["labels"] = ([None], tf.int32, [])  # empty: class 0
    return {
        name: (
            tf.TensorSpec(shape, dtype, name),
            default if default is needed else tf.constant(default, dtype),
        )
        for name, (shape, dtype, default) in specs.items()
    }


def _function(body: Callable[..., Any], inputs: dict[str, tuple[tf.TensorSpec, Any]]) -> Any:
    """Wraps `body` in a function with exactly these inputs and defaults."""

    def run(*values: tf.Tensor) -> Any:
        return body(**dict(zip(inputs, values, strict=True)))

    run.__name__ = body.__name__
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
            for name, (_, default) in inputs.items()
        ]
    )
    signature = [spec for spec, _ in inputs.values()]
    return tf.function(run, input_signature=signature, autograph=False)
