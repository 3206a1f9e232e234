"""A stand-in for TensorFlow Serving: its Predict API over a SavedModel in a TF1 session.

TensorFlow Serving's binary is in no package registry, so tests speak to this. It does what the
server does as far as a client can tell: loads the model through a TF1 session, replays the
warm-up requests, holds requests to the signature's names and types but not to its shapes, fills in
defaults, answers with the server's status codes, and serves Predict, GetModelMetadata and
GetModelStatus. It does not batch, and measures nothing of the real server's speed.
"""

import concurrent.futures
import time
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import any_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

WARM_UP = "assets.extra/tf_serving_warmup_requests"


class ServedModel:
    """One version of a model in a TF1 session."""

    def __init__(self, directory: Path) -> None:
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            meta_graph = tf.compat.v1.saved_model.load(self.session, ["serve"], str(directory))
        self.signatures = dict(meta_graph.signature_def)
        self._callables: dict = {}
        self.warmed_up = self._warm_up(directory / WARM_UP)

    def _warm_up(self, path: Path) -> int:
        if not path.exists():
            return 0
        # Read without tf.data: this must not need a running eager context in its own threads.
        records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
        for record in records:
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
            self.run(request.model_spec.signature_name, inputs)
        return len(records)

    def run(self, name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Feeds as the C++ server does: types are checked, shapes are not."""
        signature = self.signatures[name]
        outputs = sorted(signature.outputs)
        key = (name, *sorted(inputs))
        if key not in self._callables:
            from tensorflow.core.protobuf import config_pb2

            options = config_pb2.CallableOptions()
            options.feed.extend(signature.inputs[input_name].name for input_name in sorted(inputs))
            options.fetch.extend(signature.outputs[output].name for output in outputs)
            # Session.run compares shapes in Python first; the callable does not.
            self._callables[key] = self.session._make_callable_from_options(options)
        feeds = [np.asarray(inputs[input_name]) for input_name in sorted(inputs)]
        for input_name, value in zip(sorted(inputs), feeds, strict=True):
            wanted = tf.dtypes.as_dtype(signature.inputs[input_name].dtype)
            if value.dtype != wanted.as_numpy_dtype:
                raise tf.errors.InvalidArgumentError(
                    None, None, f"{input_name}: expects {wanted.name}, received {value.dtype}"
                )
        return dict(zip(outputs, self._callables[key](*feeds), strict=True))

    def __enter__(self) -> "ServedModel":
        return self

    def __exit__(self, *_) -> None:
        self.session.close()


class _Services(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    def __init__(self, name: str, version: int, model: ServedModel) -> None:
        self.name, self.version, self.model = name, version, model
        self.delay = 0.0  # seconds that each answer takes longer
        self.unavailable = 0  # this many requests are turned away first
        self.requests = 0

    def _check_model(self, spec, context) -> None:
        if spec.name != self.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {spec.name}")

    def Predict(self, request, context):
        self.requests += 1
        if self.unavailable > 0:
            self.unavailable -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "try again")
        self._check_model(request.model_spec, context)
        time.sleep(self.delay)
        name = request.model_spec.signature_name or "serving_default"
        signature = self.model.signatures.get(name)
        if signature is None:
            context.abort(
                grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
            )
        missing = set(signature.inputs) - set(request.inputs) - set(signature.defaults)
        extra = set(request.inputs) - set(signature.inputs)
        if missing or extra:
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"input size does not match signature. Sent extra: {extra}. Missing: {missing}.",
            )
        try:
            inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
            outputs = self.model.run(name, inputs)
        except tf.errors.OpError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        except (ValueError, TypeError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        response = predict_pb2.PredictResponse()
        response.model_spec.name = self.name
        response.model_spec.version.value = self.version
        for key, value in outputs.items():
            if not request.output_filter or key in request.output_filter:
                response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return response

    def GetModelMetadata(self, request, context):
        self._check_model(request.model_spec, context)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for key, value in self.model.signatures.items():
            signatures.signature_def[key].CopyFrom(value)
        packed = any_pb2.Any()
        packed.Pack(signatures)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = self.name
        response.metadata["signature_def"].CopyFrom(packed)
        return response

    def GetModelStatus(self, request, context):
        self._check_model(request.model_spec, context)
        response = get_model_status_pb2.GetModelStatusResponse()
        status = response.model_version_status.add()
        status.version, status.state = self.version, 30  # AVAILABLE
        return response


class StandInServer:
    """Serves a model over gRPC under a name; who loaded it closes it."""

    def __init__(
        self, model: ServedModel, name: str = "trivd", max_message_bytes: int = -1
    ) -> None:
        self.model = model
        self.services = _Services(name, 1, model)
        options = [
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", -1),
        ]
        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(max_workers=16), options=options
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            self.services, self._server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(self.services, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def close(self) -> None:
        self._server.stop(grace=None).wait()
