"""The REST side of the stand-in: what TensorFlow Serving answers on its HTTP port."""

import http.server
import json
import threading
import time

import numpy as np
import tensorflow as tf
from google.protobuf import json_format

from tests.serving.serving_stand_in import ServedModel


class RestStandIn:
    """The REST addresses of one served model: its state, its metadata, and `:predict`.

    Requests are in columns (`inputs`), as the client sends them, or in rows (`instances`), of
    signatures with one input.
    """

    def __init__(self, model: ServedModel, name: str = "trivd") -> None:
        self.model, self.name = model, name
        self.delay = 0.0  # seconds that each answer takes longer
        self.unavailable = 0  # this many requests are turned away first
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(*stand_in.metadata(self.path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(*stand_in.predict(self.path, body))

            def answer(self, status: int, content: dict) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def metadata(self, path: str) -> tuple[int, dict]:
        if path == f"/v1/models/{self.name}":
            status = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK"}}
            return 200, {"model_version_status": [status]}
        if path != f"/v1/models/{self.name}/metadata":
            return 404, {"error": f"Servable not found for request: {path}"}
        signatures = {
            name: json_format.MessageToDict(signature, preserving_proto_field_name=True)
            for name, signature in self.model.signatures.items()
        }
        return 200, {"metadata": {"signature_def": {"signature_def": signatures}}}

    def predict(self, path: str, body: bytes) -> tuple[int, dict]:
        if self.unavailable > 0:
            self.unavailable -= 1
            return 503, {"error": "try again"}
        time.sleep(self.delay)
        if path != f"/v1/models/{self.name}:predict":
            return 404, {"error": f"Servable not found for request: {path}"}
        request = json.loads(body)
        name = request.get("signature_name", "serving_default")
        signature = self.model.signatures[name]
        given = request.get("inputs")
        if given is None:
            (only,) = signature.inputs
            given = {only: request["instances"]}
        inputs = {
            key: np.asarray(value, tf.dtypes.as_dtype(signature.inputs[key].dtype).as_numpy_dtype)
            for key, value in given.items()
        }
        try:
            outputs = self.model.run(name, inputs)
        except tf.errors.OpError as error:
            return 400, {"error": error.message}
        columns = {key: value.tolist() for key, value in outputs.items()}
        if "inputs" in request:
            return 200, {"outputs": columns}
        rows = zip(*columns.values(), strict=True)
        return 200, {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
