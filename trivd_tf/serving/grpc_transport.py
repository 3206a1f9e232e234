"""Transport to TensorFlow Serving over gRPC, with the official stubs."""

from collections.abc import Mapping

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.serving.transport import Address, NotReady, SignatureShapes, one_line


class GrpcTransport:
    """gRPC transport; see `serving.transport.Transport`.

    Args:
        address: address of the server and model.
        max_message_bytes: largest message to send or receive.
    """

    def __init__(self, address: Address, max_message_bytes: int) -> None:
        self._address = address
        self._channel = grpc.insecure_channel(
            address.authority,
            options=[
                ("grpc.max_send_message_length", max_message_bytes),
                ("grpc.max_receive_message_length", max_message_bytes),
                # The client does its own retries, which are counted and end with the deadline.
                ("grpc.enable_retries", 0),
            ],
        )
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def signatures(self, timeout: float) -> dict[str, SignatureShapes]:
        request = get_model_metadata_pb2.GetModelMetadataRequest()
        request.model_spec.name = self._address.model
        request.metadata_field.append("signature_def")
        try:
            response = self._stub.GetModelMetadata(request, timeout=timeout)
        except grpc.RpcError as error:
            raise self._explain(error, timeout) from error
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return {
            name: SignatureShapes(
                inputs={key: _shape(info) for key, info in signature.inputs.items()},
                outputs={key: _shape(info) for key, info in signature.outputs.items()},
            )
            for name, signature in signatures.signature_def.items()
        }

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], outputs: list[str], timeout: float
    ) -> dict[str, np.ndarray]:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._address.model
        request.model_spec.signature_name = signature
        request.output_filter.extend(outputs)
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        try:
            response = self._stub.Predict(request, timeout=timeout)
        except grpc.RpcError as error:
            raise self._explain(error, timeout) from error
        return {name: tf.make_ndarray(response.outputs[name]) for name in outputs}

    def close(self) -> None:
        self._channel.close()

    def _explain(self, error: grpc.RpcError, timeout: float) -> Exception:
        """Returns an exception that explains a status to the user in one line."""
        code, details = error.code(), one_line(error.details() or "")
        where, model = self._address, self._address.model
        if code == grpc.StatusCode.UNAVAILABLE:
            return NotReady(details)
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return RunError(
                f"{where}: no answer within {timeout:.3g} s; ask for fewer samples, or allow more "
                "time"
            )
        if code == grpc.StatusCode.NOT_FOUND:
            return InputError(f"{where}: serves no model named {model!r} ({details})")
        if code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION):
            return InputError(f"{where}: refused the request ({details})")
        if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
            return RunError(
                f"{where}: overloaded, or the message is too large ({details}); ask for fewer "
                "samples"
            )
        if code == grpc.StatusCode.UNIMPLEMENTED:
            return InputError(f"{where}: is not TensorFlow Serving ({details})")
        return RunError(f"{where}: failed with {code.name} ({details})")


def _shape(info) -> list[int | None]:
    return [None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim]
