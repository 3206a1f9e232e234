"""Writing the graph as a reusable SavedModel (TF2 SavedModel and TF-Hub conventions)."""

import math
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from trivd_tf.inference.exported_graph import ExportedGraph


def save(graph: ExportedGraph, directory: str | os.PathLike[str]) -> None:
    """Saves the graph into `directory`, which is made.

    What `tf.saved_model.load` and `hub.load` give back is callable as `serving_default`, has
    `variables`, `trainable_variables` and `regularization_losses`, a method of each signature's
    name, and `stride`.
    """
    functions = _functions(graph)
    root = tf.train.Checkpoint()
    root.variables = graph.weights
    root.trainable_variables = [weight for weight in graph.weights if weight.trainable]
    root.regularization_losses = []
    root.stride = tf.Variable(graph.stride, trainable=False, dtype=tf.int32, name="stride")
    root.__call__ = functions["serving_default"]
    for name, function in functions.items():
        setattr(root, name, function)
    tf.saved_model.save(root, os.fspath(directory), signatures=functions)


def signature_names(graph: ExportedGraph) -> list[str]:
    """The signatures that `save` writes."""
    names = ["serving_default", "sample", "sample_from_z", "predict_long"]
    if graph.has_motion:
        names += ["predict_with_motion", "predict_with_motion_from_z"]
    return names


def _functions(graph: ExportedGraph) -> dict[str, Any]:
    """The signatures as `tf.function`s.

    Defaults end up in the SignatureDef: a TF1 session and TensorFlow Serving may leave those
    inputs out (`hub.load(...).signatures` needs them all, its methods do not).
    """
    frames = tf.TensorSpec([None, *graph.clip_shape], tf.uint8, "conditioning_frames")
    z = tf.TensorSpec([None, graph.latent_size], tf.float32, "z")
    sampling = [
        frames,
        tf.TensorSpec([], tf.int64, "seed"),
        tf.TensorSpec([], tf.float32, "truncation"),
        tf.TensorSpec([], tf.int32, "num_samples"),
    ]
    no_seed, no_limit = tf.constant(0, tf.int64), tf.constant(math.inf)
    one, horizon = tf.constant(1), tf.constant(graph.num_predicted_frames)

    @tf.function(input_signature=sampling, autograph=False)
    def sample(conditioning_frames, seed=no_seed, truncation=no_limit, num_samples=one):
        return graph.sample(conditioning_frames, seed, truncation, num_samples)

    @tf.function(
        input_signature=[*sampling, tf.TensorSpec([], tf.int32, "num_frames")], autograph=False
    )
    def predict_long(
        conditioning_frames, seed=no_seed, truncation=no_limit, num_samples=one, num_frames=horizon
    ):
        return graph.predict_long(conditioning_frames, seed, truncation, num_samples, num_frames)

    functions = {
        "serving_default": _function(graph.serving_default, [frames]),
        "sample": sample,
        "sample_from_z": _function(graph.sample_from_z, [frames, z]),
        "predict_long": predict_long,
    }
    if graph.has_motion:
        functions["predict_with_motion"] = _function(graph.predict_with_motion, [frames])
        functions["predict_with_motion_from_z"] = _function(
            graph.predict_with_motion_from_z, [frames, z]
        )
    return functions


def _function(body: Callable[..., Any], signature: list[tf.TensorSpec]) -> Any:
    return tf.function(body, input_signature=signature, autograph=False)
