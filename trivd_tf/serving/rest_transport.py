"""Transport to TensorFlow Serving over REST: no extra packages, but several times the traffic."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import numpy as np

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.serving.transport import Address, NotReady, SignatureShapes, one_line


class RestTransport:
    """REST transport; see `serving.transport.Transport`."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._url = f"http://{address.authority}/v1/models/{address.model}"
        # Ignore proxies of the environment: the server is addressed directly.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def signatures(self, timeout: float) -> dict[str, SignatureShapes]:
        answer = self._ask(f"{self._url}/metadata", None, timeout)
        try:
            signatures = answer["metadata"]["signature_def"]["signature_def"]
            return {
                name: SignatureShapes(
                    inputs=_shapes(signature.get("inputs", {})),
                    outputs=_shapes(signature.get("outputs", {})),
                )
                for name, signature in signatures.items()
            }
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(f"{self._address}: is not TensorFlow Serving") from error

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], outputs: list[str], timeout: float
    ) -> dict[str, np.ndarray]:
        body = {
            "signature_name": signature,
            "inputs": {name: value.tolist() for name, value in inputs.items()},
        }
        answer = self._ask(f"{self._url}:predict", json.dumps(body).encode(), timeout)
        types = {"frames": np.uint8}
        try:
            return {
                name: np.asarray(answer["outputs"][name], types.get(name, np.float32))
                for name in outputs
            }
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise RunError(f"{self._address}: the response holds no frames") from error

    def close(self) -> None:
        self._opener.close()

    def _ask(self, url: str, body: bytes | None, timeout: float) -> Any:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        try:
            with self._opener.open(request, timeout=timeout) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise self._explain(error.code, error.read(2000)) from error
        except TimeoutError as error:
            raise self._slow(timeout) from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise self._slow(timeout) from error
            raise NotReady(str(error.reason)) from error
        except (OSError, http.client.HTTPException) as error:
            # A connection closed before any response is of this type too, but a retry may succeed.
            if isinstance(error, http.client.BadStatusLine) and not isinstance(error, OSError):
                raise InputError(
                    f"{self._address}: the response is not HTTP; is it the gRPC port?"
                ) from error
            raise NotReady(str(error) or type(error).__name__) from error
        except ValueError as error:
            raise InputError(f"{self._address}: is not TensorFlow Serving") from error

    def _slow(self, timeout: float) -> RunError:
        return RunError(
            f"{self._address}: no answer within {timeout:.3g} s; ask for fewer samples, or allow "
            "more time"
        )

    def _explain(self, status: int, body: bytes) -> Exception:
        """Returns an exception that explains a status to the user in one line."""
        try:
            details = str(json.loads(body)["error"])
        except (ValueError, KeyError, TypeError):
            details = body.decode(errors="replace")
        details = one_line(details)
        if status in (429, 502, 503):
            return NotReady(f"status {status}: {details}")
        if status == 404:
            return InputError(
                f"{self._address}: serves no model named {self._address.model!r} ({details})"
            )
        if 400 <= status < 500:
            return InputError(f"{self._address}: refused the request ({details})")
        return RunError(f"{self._address}: failed with status {status} ({details})")


def _shapes(tensors: dict[str, Any]) -> dict[str, list[int | None]]:
    """Reads tensor shapes; JSON omits empty fields, so that a scalar has no "dim"."""
    return {
        name: [
            None if int(dim["size"]) < 0 else int(dim["size"])
            for dim in info["tensor_shape"].get("dim", [])
        ]
        for name, info in tensors.items()
    }
