"""Malformed requests to an exported model: each a refusal that names what is wrong, none fatal.

They are sent as TensorFlow Serving's clients send them, to the stand-in, which like the server
holds tensors to a signature's names and types only: shapes and values are the graph's to refuse.
"""

import itertools

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("tensorflow_serving")

import grpc
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

FRAMES = np.full((2, 2, 16, 16, 3), 99, np.uint8)
Z = np.zeros((2, 128), np.float32)
GOOD = {
    "serving_default": {"conditioning_frames": FRAMES},
    "sample": {"conditioning_frames": FRAMES},
    "sample_from_z": {"conditioning_frames": FRAMES, "z": Z},
    "predict_long": {"conditioning_frames": FRAMES},
    "predict_with_motion": {"conditioning_frames": FRAMES},
    "predict_with_motion_from_z": {"conditioning_frames": FRAMES, "z": Z},
}

# What is wrong with the frames, whatever the signature.
BAD_FRAMES = {
    "rank 0": np.zeros((), np.uint8),
    "rank 1": np.zeros(7, np.uint8),
    "rank 4": FRAMES[0],
    "rank 6": FRAMES[None],
    "no clip": FRAMES[:0],
    "one frame": FRAMES[:, :1],
    "three frames": np.repeat(FRAMES[:, :1], 3, axis=1),
    "small": FRAMES[:, :, :8, :8],
    "not square": FRAMES[:, :, :, :8],
    "large": np.zeros((1, 2, 256, 256, 3), np.uint8),
    "alpha": np.zeros((2, 2, 16, 16, 4), np.uint8),
    "grey": FRAMES[..., :1],
    "channels first": FRAMES.transpose(0, 1, 4, 2, 3),
    "empty sides": FRAMES[:, :, :0],
    "float32": FRAMES.astype(np.float32),
    "int32": FRAMES.astype(np.int32),
    "int8": FRAMES.astype(np.int8),
    "float16": FRAMES.astype(np.float16),
    "bool": FRAMES > 0,
    "text": np.asarray([b"frames"]),
}
BAD_OTHERS = [
    ("sample_from_z", "z", Z[:1]),
    ("sample_from_z", "z", Z[:, :127]),
    ("sample_from_z", "z", Z[0]),
    ("sample_from_z", "z", Z[None]),
    ("sample_from_z", "z", np.full_like(Z, np.nan)),
    ("sample_from_z", "z", np.full_like(Z, -np.inf)),
    ("sample_from_z", "z", Z.astype(np.float64)),
    ("sample_from_z", "z", np.zeros((0, 128), np.float32)),
    ("predict_with_motion_from_z", "z", Z[:, :0]),
    ("predict_with_motion_from_z", "z", np.full_like(Z, np.inf)),
    ("sample", "truncation", np.float32(-1e-3)),
    ("sample", "truncation", np.float32(-np.inf)),
    ("sample", "truncation", np.float32(np.nan)),
    ("sample", "truncation", np.zeros((2,), np.float32)),
    ("sample", "truncation", np.float64(1.0)),
    ("sample", "num_samples", np.int32(0)),
    ("sample", "num_samples", np.int32(-(2**31))),
    ("sample", "num_samples", np.int32(2**31 - 1)),
    ("sample", "num_samples", np.ones((1,), np.int32)),
    ("sample", "num_samples", np.float32(1.5)),
    ("sample", "seed", np.zeros((2,), np.int64)),
    ("sample", "seed", np.int32(1)),
    ("predict_long", "num_frames", np.int32(0)),
    ("predict_long", "num_frames", np.int32(-5)),
    ("predict_long", "num_frames", np.int32(2**31 - 1)),
    ("predict_long", "num_frames", np.ones((1, 1), np.int32)),
    ("predict_long", "num_samples", np.int32(10**9)),
    ("predict_long", "truncation", np.float32(-2)),
]


@pytest.fixture(scope="module")
def server(served_model):
    from tests.serving.serving_stand_in import StandInServer

    stand_in = StandInServer(served_model)
    yield stand_in
    stand_in.close()


@pytest.fixture(scope="module")
def ask(server):
    """Sends a request; returns the answer, or the status' name and its message."""
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

        def send(request) -> tuple[str, str] | dict[str, np.ndarray]:
            try:
                answer = stub.Predict(request, timeout=60)
            except grpc.RpcError as error:
                return error.code().name, error.details()
            return {name: tf.make_ndarray(value) for name, value in answer.outputs.items()}

        yield send


def request(signature: str, inputs: dict[str, np.ndarray], model: str = "trivd"):
    made = predict_pb2.PredictRequest()
    made.model_spec.name = model
    made.model_spec.signature_name = signature
    for name, value in inputs.items():
        made.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return made


def refused(answer, named: str, why: object) -> None:
    assert isinstance(answer, tuple), why
    status, message = answer
    assert status in ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND"), (why, answer)
    assert named in message, (why, message)


def test_a_hundred_wrong_tensors(ask) -> None:
    count = 0
    for signature, kind in itertools.product(GOOD, BAD_FRAMES):
        inputs = {**GOOD[signature], "conditioning_frames": BAD_FRAMES[kind]}
        refused(ask(request(signature, inputs)), "conditioning_frames", (signature, kind))
        count += 1
    for signature, name, value in BAD_OTHERS:
        inputs = {**GOOD[signature], name: value}
        answer = ask(request(signature, inputs))
        # Too large an answer names all that makes it large.
        refused(answer, name, (signature, name, value))
        count += 1
    assert count >= 140
    answers_rightly(ask)


def answers_rightly(ask) -> None:
    for signature, inputs in GOOD.items():
        answer = ask(request(signature, inputs))
        assert isinstance(answer, dict), (signature, answer)
        assert answer["frames"].shape == (2, 2, 16, 16, 3)


def test_wrong_names(ask) -> None:
    refused(ask(request("no_such", GOOD["sample"])), "no_such", "signature")
    refused(ask(request("sample", GOOD["sample"], "other")), "other", "model")
    refused(ask(request("sample_from_z", GOOD["sample"])), "z", "missing z")
    refused(ask(request("sample", {})), "conditioning_frames", "nothing")
    refused(ask(request("sample", {**GOOD["sample"], "x": Z})), "x", "extra")
    answers_rightly(ask)


def test_broken_tensor_protos(ask) -> None:
    """Shapes, types and contents that do not fit each other."""
    for change in (
        lambda proto: proto.ClearField("tensor_content"),
        lambda proto: setattr(proto, "tensor_content", proto.tensor_content[:-1]),
        lambda proto: setattr(proto, "tensor_content", proto.tensor_content * 2),
        lambda proto: setattr(proto, "dtype", 0),
        lambda proto: setattr(proto, "dtype", 999),
        lambda proto: setattr(proto, "dtype", tf.string.as_datatype_enum),
        lambda proto: setattr(proto.tensor_shape.dim[0], "size", -3),
        lambda proto: setattr(proto.tensor_shape.dim[0], "size", 2**40),
        lambda proto: setattr(proto.tensor_shape, "unknown_rank", True),
        lambda proto: proto.tensor_shape.ClearField("dim"),
    ):
        made = request("serving_default", GOOD["serving_default"])
        change(made.inputs["conditioning_frames"])
        answer = ask(made)
        if isinstance(answer, dict):  # the stand-in may take a shape of unknown rank as stated
            assert answer["frames"].shape == (2, 2, 16, 16, 3)
        else:
            assert answer[0] in ("INVALID_ARGUMENT", "UNKNOWN", "INTERNAL"), answer
    answers_rightly(ask)


def test_extreme_but_right_values(ask) -> None:
    for name, value in [
        ("seed", np.int64(-(2**63))),
        ("seed", np.int64(2**63 - 1)),
        ("truncation", np.float32(np.inf)),
        ("truncation", np.float32(0)),
        ("truncation", np.float32(1e-38)),
        ("num_samples", np.int32(3)),
    ]:
        answer = ask(request("sample", {**GOOD["sample"], name: value}))
        assert isinstance(answer, dict), (name, value, answer)
        assert np.isfinite(answer["frames_float"]).all()
        assert len(answer["frames"]) == 2 * (3 if name == "num_samples" else 1)
