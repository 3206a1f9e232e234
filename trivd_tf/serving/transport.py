"""Interface of transports to a server: address, signatures of the model, and errors."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

import numpy as np

from trivd_tf.base.errors import InputError

DEFAULT_MODEL_NAME = "trivd"


class NotReady(Exception):
    """The server is unavailable or overloaded; a retry of the request may succeed."""


@dataclasses.dataclass(frozen=True)
class Address:
    """Address of a served model: `grpc://HOST:PORT[/MODEL]` or `http://HOST:PORT[/MODEL]`."""

    scheme: str
    host: str
    port: int
    model: str

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Parses an address; raises `InputError` with an example if `text` is not an address."""
        try:
            parts = urlsplit(text)
            port, model = parts.port, parts.path.strip("/") or DEFAULT_MODEL_NAME
        except ValueError:
            port = None
        if port is None or parts.scheme not in ("grpc", "http") or not parts.hostname:
            raise InputError(
                f"{text}: no address of a server; give grpc://HOST:PORT or http://HOST:PORT, such "
                f"as grpc://localhost:8500 or http://localhost:8501/{DEFAULT_MODEL_NAME}"
            )
        if "/" in model or parts.query or parts.fragment or parts.username:
            raise InputError(f"{text}: after the port only /MODEL may follow")
        return cls(parts.scheme, parts.hostname, port, model)

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}/{self.model}"


@dataclasses.dataclass(frozen=True)
class SignatureShapes:
    """Shapes (None for any) of one signature's inputs and outputs, by name."""

    inputs: dict[str, list[int | None]]
    outputs: dict[str, list[int | None]]


def one_line(details: str) -> str:
    """Returns a server's message without line breaks and names of graph functions."""
    return " ".join(re.sub(r"\{\{function_node [^}]*\}\}", " ", details).split())[:300]


class Transport(Protocol):
    """Protocol of a transport. Its errors are `NotReady`, `InputError` and `RunError`."""

    def signatures(self, timeout: float) -> dict[str, SignatureShapes]:
        """Returns the signatures of the served model, by name."""

    def predict(
        self, signature: str, inputs: Mapping[str, np.ndarray], outputs: list[str], timeout: float
    ) -> dict[str, np.ndarray]:
        """Runs one signature; the response must contain at least `outputs`."""

    def close(self) -> None:
        """Closes the connection."""
