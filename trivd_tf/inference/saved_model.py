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
    name, `stride` and `num_classes`.
    """
    functions = _functions(graph)
    root = tf.train.Checkpoint()
    root.variables = graph.weights
    root.trainable_variables = [weight for weight in graph.weights if weight.trainable]
    root.regularization_losses = []
    root.stride = tf.Variable(graph.stride, trainable=False, dtype=tf.int32, name="stride")
    root.num_classes = tf.Variable(
        graph.num_classes, trainable=False, dtype=tf.int32, name="num_classes"
    )
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
    functions = _labelled(graph) if graph.has_classes else _plain(graph)
    if not graph.has_motion:
        functions = {name: body for name, body in functions.items() if "motion" not in name}
    return functions


class _Inputs:
    """What the signatures take, and what stands for an input that is left out."""

    def __init__(self, graph: ExportedGraph) -> None:
        self.frames = tf.TensorSpec([None, *graph.clip_shape], tf.uint8, "conditioning_frames")
        self.z = tf.TensorSpec([None, graph.latent_size], tf.float32, "z")
        self.labels = tf.TensorSpec([None], tf.int32, "labels")
        self.num_frames = tf.TensorSpec([], tf.int32, "num_frames")
        self.sampling = [
            self.frames,
            tf.TensorSpec([], tf.int64, "seed"),
            tf.TensorSpec([], tf.float32, "truncation"),
            tf.TensorSpec([], tf.int32, "num_samples"),
        ]
        self.seed_0, self.no_limit = tf.constant(0, tf.int64), tf.constant(math.inf)
        self.one, self.horizon = tf.constant(1), tf.constant(graph.num_predicted_frames)
        self.no_labels = tf.zeros([0], tf.int32)


def _plain(graph: ExportedGraph) -> dict[str, Any]:
    """Of a model without classes."""
    to = _Inputs(graph)

    @_takes(*to.sampling)
    def sample(conditioning_frames, seed=to.seed_0, truncation=to.no_limit, num_samples=to.one):
        return graph.sample(conditioning_frames, seed, truncation, num_samples)

    @_takes(*to.sampling, to.num_frames)
    def predict_long(
        conditioning_frames,
        seed=to.seed_0,
        truncation=to.no_limit,
        num_samples=to.one,
        num_frames=to.horizon,
    ):
        return graph.predict_long(conditioning_frames, seed, truncation, num_samples, num_frames)

    @_takes(to.frames)
    def serving_default(conditioning_frames):
        return graph.serving_default(conditioning_frames)

    @_takes(to.frames, to.z)
    def sample_from_z(conditioning_frames, z):
        return graph.sample_from_z(conditioning_frames, z)

    @_takes(to.frames)
    def predict_with_motion(conditioning_frames):
        return graph.predict_with_motion(conditioning_frames)

    @_takes(to.frames, to.z)
    def predict_with_motion_from_z(conditioning_frames, z):
        return graph.predict_with_motion_from_z(conditioning_frames, z)

    return _by_name(
        serving_default,
        sample,
        sample_from_z,
        predict_long,
        predict_with_motion,
        predict_with_motion_from_z,
    )


def _labelled(graph: ExportedGraph) -> dict[str, Any]:
    """Of a model with classes: each also takes `labels`, by default none, which is class 0."""
    to = _Inputs(graph)

    @_takes(*to.sampling, to.labels)
    def sample(
        conditioning_frames,
        seed=to.seed_0,
        truncation=to.no_limit,
        num_samples=to.one,
        labels=to.no_labels,
    ):
        return graph.sample(conditioning_frames, seed, truncation, num_samples, labels)

    @_takes(*to.sampling, to.num_frames, to.labels)
    def predict_long(
        conditioning_frames,
        seed=to.seed_0,
        truncation=to.no_limit,
        num_samples=to.one,
        num_frames=to.horizon,
        labels=to.no_labels,
    ):
        return graph.predict_long(
            conditioning_frames, seed, truncation, num_samples, num_frames, labels
        )

    @_takes(to.frames, to.labels)
    def serving_default(conditioning_frames, labels=to.no_labels):
        return graph.serving_default(conditioning_frames, labels)

    @_takes(to.frames, to.z, to.labels)
    def sample_from_z(conditioning_frames, z, labels=to.no_labels):
        return graph.sample_from_z(conditioning_frames, z, labels)

    @_takes(to.frames, to.labels)
    def predict_with_motion(conditioning_frames, labels=to.no_labels):
        return graph.predict_with_motion(conditioning_frames, labels)

    @_takes(to.frames, to.z, to.labels)
    def predict_with_motion_from_z(conditioning_frames, z, labels=to.no_labels):
        return graph.predict_with_motion_from_z(conditioning_frames, z, labels)

    return _by_name(
        serving_default,
        sample,
        sample_from_z,
        predict_long,
        predict_with_motion,
        predict_with_motion_from_z,
    )


def _takes(*signature: tf.TensorSpec) -> Callable[[Callable[..., Any]], Any]:
    return tf.function(input_signature=list(signature), autograph=False)


def _by_name(*functions: Any) -> dict[str, Any]:
    return {function.__name__: function for function in functions}
