"""Predicts with a model on TensorFlow Serving, for `trivd predict --server`."""

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.base.frame_size import from_height_width
from trivd_tf.inference.predictor_base import Predictor
from trivd_tf.serving.transport import Address, NotReady, SignatureShapes, Transport

_FIRST_PAUSE = 0.2  # seconds before the first retry, doubled at each retry

T = TypeVar("T")


class ServerPredictor(Predictor):
    """A predictor whose model runs on a server.

    Latents are drawn by the client and sent to the server (`sample_from_z`), so that a seed gives
    the same result as in process, and the server can batch requests: its batching refuses inputs
    without a batch axis, such as a seed.

    Args:
        address: `grpc://HOST:PORT[/MODEL]` or `http://HOST:PORT[/MODEL]`.
        timeout: seconds to wait for one response (of up to 16 clips).
        retries: number of retries while the server is unavailable or overloaded.
        max_message_bytes: largest gRPC message to send or receive.
        stride: frame stride of the model, which the server does not report.
        fps: frame rate to which videos are resampled first; None uses every coded frame.

    Raises:
        InputError: the address is invalid, or the model was not written by `trivd export`.
        RunError: there is no server, or no response in time.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout: float = 60.0,
        retries: int = 3,
        max_message_bytes: int = 2**28,
        stride: int = 1,
        fps: float | None = None,
    ) -> None:
        if not timeout > 0:
            raise InputError(f"timeout must be a positive number of seconds; received {timeout!r}")
        self.address = Address.parse(address)
        self.timeout = timeout
        self.retries = retries
        self.stride = stride
        self.fps = fps
        self._transport = _connect(self.address, max_message_bytes)
        self._read_shapes(self._try(lambda left: self._transport.signatures(left)))

    def _read_shapes(self, signatures: dict[str, SignatureShapes]) -> None:
        try:
            plain = signatures["sample_from_z"]
            _, count, height, width, channels = plain.inputs["conditioning_frames"]
            _, latent_size = plain.inputs["z"]
            horizon = plain.outputs["frames"][1]
        except (KeyError, ValueError, IndexError):
            raise self._other_model() from None
        if None in (count, height, width, latent_size, horizon) or channels != 3:
            raise self._other_model()
        self.num_conditioning_frames = int(count or 0)
        self.frame_size = from_height_width(int(height or 0), int(width or 0))
        self.latent_size = int(latent_size or 0)
        self.num_predicted_frames = int(horizon or 0)
        self.has_motion = "predict_with_motion_from_z" in signatures
        # The server does not report the number of classes; it refuses labels out of range.
        self.num_classes = None if "labels" in plain.inputs else 1

    def _other_model(self) -> InputError:
        return InputError(
            f"{self.address}: serves another model than `trivd export` makes (no signature "
            "sample_from_z from conditioning_frames and z to frames); check the model's name and "
            "version there"
        )

    def _run(
        self, conditioning: np.ndarray, z: np.ndarray, labels: np.ndarray | None, with_motion: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        signature = "predict_with_motion_from_z" if with_motion else "sample_from_z"
        outputs = ["frames", "flow"] if with_motion else ["frames"]
        inputs = {"conditioning_frames": conditioning, "z": z}
        if labels is not None:
            inputs["labels"] = labels
        answer = self._try(lambda left: self._transport.predict(signature, inputs, outputs, left))
        wanted = (len(conditioning), self.num_predicted_frames, *conditioning.shape[2:])
        frames = answer.get("frames")
        if frames is None or frames.shape != wanted:
            # The server may have switched to a new version of the model.
            received = None if frames is None else list(frames.shape)
            raise RunError(
                f"{self.address}: answered frames of shape {received} instead of {list(wanted)}; "
                "if the model on the server was changed, start again"
            )
        return frames.astype(np.uint8), answer["flow"] if with_motion else None

    def _try(self, call: Callable[[float], T]) -> T:
        """Calls with the remaining time, and retries while the server is not ready."""
        end = time.monotonic() + self.timeout
        for attempt in range(self.retries + 1):
            try:
                return call(max(end - time.monotonic(), 0.001))
            except NotReady as error:
                # Randomized, so that many clients do not retry at the same time.
                pause = _FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.5)
                if attempt == self.retries or time.monotonic() + pause >= end:
                    raise RunError(
                        f"{self.address}: no server answers there ({error}); is it running, and is "
                        "the port right?"
                    ) from error
                time.sleep(pause)
        raise AssertionError("the loop returns or raises")

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def __enter__(self) -> "ServerPredictor":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _connect(address: Address, max_message_bytes: int) -> Transport:
    if address.scheme == "http":
        from trivd_tf.serving.rest_transport import RestTransport

        return RestTransport(address)
    try:
        from trivd_tf.serving.grpc_transport import GrpcTransport
    except ImportError as error:
        raise InputError(
            f"{address}: needs the packages of TensorFlow Serving's clients ({error}); "
            "pip install 'trivd-tf[serving]', or use http://"
        ) from error
    return GrpcTransport(address, max_message_bytes)
