"""`trivd_tf.load`."""

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
    """Opens a trained model to predict with, wherever it is.

    Args:
        path: one of
            a model directory, which `trivd train` or `trivd_tf.train` wrote;
            an exported SavedModel, which `trivd export` wrote;
            the name of a model that comes with the package (`small`);
            the address of one that TensorFlow Hub can fetch: `https://...`, `gs://...`;
            a running TensorFlow Serving: `grpc://HOST:PORT` or `grpc://HOST:PORT/MODEL` (through
            REST: `trivd_tf.serving.client.ServerPredictor("http://...")`).
        step: of a model directory's checkpoint, or "best"; the newest when left out.
        server_options: `timeout`, `retries`, `max_message_bytes` and `stride` of a server, as in
            `ServerPredictor`.

    Returns:
        A predictor, the same for all of them:

        `predict(clips, seed=0)`: one future a clip,
            `[B, Tc, H, W, 3]` -> `[B, T, H, W, 3]`;
        `predict_samples(clips, num_samples=N, seed=0)`: several,
            `[B, Tc, H, W, 3]` -> `[B, N, T, H, W, 3]`;
        `predict_with_motion(clips, seed=0)`: also where each pixel comes from,
            float32 `[B, T, H, W, 2]`, (dy, dx) in pixels.

        Clips are uint8 in [0, 255] or floats in [-1, 1]; frames are of the same kind. Its
        `num_conditioning_frames` (Tc), `num_predicted_frames` (T) and `frame_size` (one
        number of a square, or (H, W)) say what the model takes and gives.

    Raises:
        InputError: there is no model at `path`, or a step of an export or a server was asked for.
        RunError: no server answers.

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
