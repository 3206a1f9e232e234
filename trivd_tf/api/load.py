"""Implements `trivd_tf.load`."""

from __future__ import annotations

import os
from typing import Any

from trivd_tf.base.errors import InputError
from trivd_tf.inference import Predictor, load_predictor
from trivd_tf.serving.client import ServerPredictor

_SERVER = "grpc://"


def load(
    path: str | os.PathLike[str], *, step: int | str | None = None, **server_options: Any
) -> Predictor:
    """Opens a trained model for prediction.

    Args:
        path: one of
            a model directory written by `trivd train` or `trivd_tf.train`;
            a SavedModel written by `trivd export`;
            the name of a model included in the package (`small`);
            an address that TensorFlow Hub can fetch: `https://...`, `gs://...`;
            a running TensorFlow Serving: `grpc://HOST:PORT` or `grpc://HOST:PORT/MODEL` (for
            REST, use `trivd_tf.serving.client.ServerPredictor("http://...")`).
        step: checkpoint step of a model directory, or "best"; defaults to the newest.
        server_options: `timeout`, `retries`, `max_message_bytes` and `stride` of a server, as in
            `ServerPredictor`.

    Returns:
        A predictor with the same interface for every kind of `path`:

        `predict(clips, seed=0)`: one future per clip,
            `[B, Tc, H, W, 3]` -> `[B, T, H, W, 3]`;
        `predict_samples(clips, num_samples=N, seed=0)`: several futures per clip,
            `[B, Tc, H, W, 3]` -> `[B, N, T, H, W, 3]`;
        `predict_with_motion(clips, seed=0)`: also the motion field,
            float32 `[B, T, H, W, 2]`, (dy, dx) in pixels from each pixel to its source.

        Clips are uint8 in [0, 255] or floats in [-1, 1]; predicted frames have the same type. The
        predictor's attributes `num_conditioning_frames` (Tc), `num_predicted_frames` (T) and
        `frame_size` (the side of a square, or (H, W)) describe the model's input and output.

    Raises:
        InputError: there is no model at `path`, or `step` was passed for an export or a server.
        RunError: the server does not answer.

    Example:
        >>> model = trivd_tf.load("runs/mine")
        >>> clips = np.zeros([2, model.num_conditioning_frames, 64, 64, 3], np.uint8)
        >>> model.predict_samples(clips, num_samples=3).shape
        (2, 3, 11, 64, 64, 3)
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(
            "trivd_tf.load takes a path, the name of a model that comes with the package, or an "
            f"address; received {type(path).__name__}"
        )
    if os.fspath(path).startswith(_SERVER):
        if step is not None:
            raise InputError(f"step={step!r}: {path} is a server, which has one step only")
        return ServerPredictor(os.fspath(path), **server_options)
    if server_options:
        raise InputError(
            f"{', '.join(server_options)}: options of a server ({_SERVER}HOST:PORT); received "
            f"{path}"
        )
    return load_predictor(path, step)
