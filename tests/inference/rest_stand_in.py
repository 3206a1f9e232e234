"""The REST side of the stand-in: what TensorFlow Serving answers on its HTTP port."""

import http.server
import json
import threading
import time

import numpy as np
import tensorflow as tf
from google.protobuf import json_format

from tests.inference.serving_stand_in import ServedModel


class RestStandIn:
    """`POST /v1/models/NAME:predict` and `GET /v1/models/NAME/metadata` over a served model."""

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
        signature = self.model.signatures[request["signature_name"]]
        inputs = {
            key: np.asarray(value, tf.dtypes.as_dtype(signature.inputs[key].dtype).as_numpy_dtype)
            for key, value in request["inputs"].items()
        }
        try:
            outputs = self.model.run(request["signature_name"], inputs)
        except tf.errors.OpError as error:
            return 400, {"error": error.message}
        return 200, {"outputs": {key: value.tolist() for key, value in outputs.items()}}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
