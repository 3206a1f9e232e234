"""Warm-up requests that TensorFlow Serving replays before it serves a model.

A request is a `tensorflow.serving.PredictionLog` in a TFRecord file. This module encodes the few
required fields itself, so that exporting does not need the serving packages; tests read the file
with the official classes.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

FILE = Path("assets.extra") / "tf_serving_warmup_requests"

# Field numbers of tensorflow_serving/apis: prediction_log.proto, predict.proto, model.proto.
_LOG_PREDICT = 6
_PREDICT_LOG_REQUEST = 1
_REQUEST_MODEL_SPEC, _REQUEST_INPUTS = 1, 2
_SPEC_NAME, _SPEC_SIGNATURE = 1, 3
_MAP_KEY, _MAP_VALUE = 1, 2


def write(
    directory: str | os.PathLike[str], requests: Sequence[tuple[str, Mapping[str, np.ndarray]]]
) -> Path:
    """Writes `requests`, pairs of signature and inputs by name, into an export's `assets.extra`.

    With batching enabled, TensorFlow Serving refuses inputs without a batch axis, also in warm-up
    requests, and would not load the model. Pass only signatures whose inputs all have a batch axis.
    """
    path = Path(directory) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(os.fspath(path)) as writer:
        for signature, inputs in requests:
            writer.write(_prediction_log(signature, inputs))
    return path


def _prediction_log(signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    # The server fills in the model's name; this one is only informative.
    spec = _field(_SPEC_NAME, b"trivd") + _field(_SPEC_SIGNATURE, signature.encode())
    request = _field(_REQUEST_MODEL_SPEC, spec)
    for name, value in inputs.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        entry = _field(_MAP_KEY, name.encode()) + _field(_MAP_VALUE, tensor)
        request += _field(_REQUEST_INPUTS, entry)
    return _field(_LOG_PREDICT, _field(_PREDICT_LOG_REQUEST, request))


def _field(number: int, payload: bytes) -> bytes:
    """Encodes a length-delimited field of the protocol buffer wire format."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
