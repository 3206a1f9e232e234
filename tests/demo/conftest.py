"""The demo's server with a predictor that needs no model, in a thread of the test's process."""

import contextlib
import dataclasses
import io
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="the demo needs starlette")
pytest.importorskip("uvicorn", reason="the demo needs uvicorn")

import uvicorn

from trivd_tf.demo.app import listen, make_app
from trivd_tf.demo.examples import examples
from trivd_tf.demo.service import Limits, Service
from trivd_tf.inference.predictor_base import Predictor

SIDE, GIVEN, HORIZON = 16, 4, 3
LIMITS = Limits(upload_bytes=300_000, upload_seconds=1.5, decode_seconds=10.0, frames=9)


class NoisyCopies(Predictor):
    """Repeats the last frame, each sample brightened by its latent; motion everywhere (1, 2)."""

    num_conditioning_frames = GIVEN
    num_predicted_frames = HORIZON
    frame_size = SIDE
    latent_size = 2
    has_motion = True
    stride = 1

    def _run(self, conditioning, z, labels, with_motion):
        brighter = np.clip(np.round(z[:, 0] * 20), -40, 40).astype(int)
        frames = conditioning[:, -1:].astype(int) + brighter[:, None, None, None, None]
        frames = np.clip(frames, 0, 255).astype(np.uint8).repeat(HORIZON, axis=1)
        flow = np.ones((*frames.shape[:-1], 2), np.float32) * [1.0, 2.0]
        return frames, flow if with_motion else None


@dataclasses.dataclass
class Demo:
    """A running server."""

    url: str
    service: Service

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Status and body of a request; a body (or b"") makes it a POST of the page's kind."""
        own = {} if body is None else {"X-Trivd": "1"}
        request = urllib.request.Request(
            self.url + path,
            body,
            {**own, **{key.replace("_", "-"): v for key, v in headers.items()}},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def refusal(self, path: str, body: bytes = b"") -> tuple[int, str]:
        """Status and message of a request that must be refused."""
        status, answer = self.ask(path, body)
        assert status >= 400, (path, answer[:200])
        return status, json.loads(answer)["error"]


class ClassyCopies(NoisyCopies):
    """As `NoisyCopies`; class 1 is 60 darker, class 2 is 120 darker."""

    class_names = ("bowling", "high jump", "<b>surfing</b>")
    num_classes = len(class_names)

    def _run(self, conditioning, z, labels, with_motion):
        frames, flow = super()._run(conditioning, z, None, with_motion)
        darker = 60 * labels[:, None, None, None, None]
        return np.clip(frames.astype(int) - darker, 0, 255).astype(np.uint8), flow


@contextlib.contextmanager
def serving(predictor: Predictor) -> Iterator[Demo]:
    """The demo of `predictor`."""
    service = Service(predictor, examples(predictor, None, LIMITS.frames), "Copies", LIMITS)
    bound = listen("127.0.0.1", 0)
    app = make_app(service, ["localhost", "127.0.0.1"])
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield Demo(f"http://127.0.0.1:{bound.getsockname()[1]}/", service)
    server.should_exit = True
    thread.join()
    bound.close()


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    with serving(NoisyCopies()) as running:
        yield running


def video(
    path: Path,
    codec: str = "libx264",
    *,
    size: tuple[int, int] = (24, 32),
    count: int = 8,
    pixels: str = "yuv420p",
) -> bytes:
    """An encoded clip whose frame t has brightness 20 t + 20."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = pixels
        for index in range(count):
            image = np.full((*size, 3), min(20 + 20 * index, 240), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path.read_bytes()


@pytest.fixture(scope="session")
def upload(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small good clip of 8 frames."""
    return video(tmp_path_factory.mktemp("upload") / "clip.mp4")


def frames_of(strip: str) -> np.ndarray:
    """uint8 `[T, S, S, 3]` out of the page's data address."""
    import base64

    head, content = strip.split(",")
    assert head == "data:image/png;base64"
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
    return image.reshape(-1, SIDE, SIDE, 3)
