"""Service of the demo: checks settings, reads clips, predicts futures and packs pictures."""

import base64
import dataclasses
import functools
import io
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trivd_tf.base.errors import InputError
from trivd_tf.demo.decoding import read_untrusted
from trivd_tf.demo.examples import Example
from trivd_tf.inference.predict_files import predict_clip
from trivd_tf.inference.predictor_base import Predictor
from trivd_tf.pictures import figures, motion, video_io
from trivd_tf.pictures.figures import Prediction
from trivd_tf.pictures.video_io import Clip

UPLOAD = "your clip"


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of one visitor's request.

    Attributes:
        upload_bytes: maximum size of an upload.
        upload_seconds: maximum time for an upload to arrive.
        decode_seconds: maximum time to read a clip.
        clip_frames: longest clip whose last frames can be used.
        samples: maximum number of futures at once.
        frames: maximum length of a future.
    """

    upload_bytes: int = 50 * 2**20
    upload_seconds: float = 60.0
    decode_seconds: float = 20.0
    clip_frames: int = 3000
    samples: int = 6
    frames: int = 48


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the page's controls."""

    seed: int
    num_samples: int
    num_frames: int
    truncation: float | None
    window: str
    label: int | None

    @classmethod
    def parse(cls, query: Mapping[str, str], predictor: Predictor, limits: Limits) -> "Settings":
        """Parse a query; raise `InputError` that names the control and its range."""
        window = query.get("window", "first")
        if window not in ("first", "last"):
            raise InputError(f"start from: choose 'first' or 'last'; received {window[:20]!r}")
        label = None
        if predictor.num_classes != 1 and query.get("label"):
            label = predictor.class_index(query["label"][:100])
        return cls(
            seed=_whole(query, "seed", "the seed", 0, 2**31 - 1, 0),
            num_samples=_whole(query, "num_samples", "the number of futures", 1, limits.samples, 1),
            num_frames=_whole(
                query,
                "num_frames",
                "the length",
                1,
                limits.frames,
                min(predictor.num_predicted_frames, limits.frames),
            ),
            truncation=_truncation(query.get("truncation", "")),
            window=window,
            label=label,
        )


def _whole(query: Mapping[str, str], key: str, name: str, low: int, high: int, default: int) -> int:
    text = query.get(key, "")
    if not text:
        return default
    # int() of a very long text takes quadratic time.
    if len(text) > 12 or not text.strip().isdecimal() or not low <= int(text) <= high:
        raise InputError(f"{name} must be a whole number from {low} to {high}; got {text[:20]!r}")
    return int(text)


def _truncation(text: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text[:30])
    except ValueError:
        number = -1.0
    if not number >= 0:
        raise InputError(f"the truncation must be a number from 0 on; got {text[:20]!r}")
    return number


class Service:
    """The model behind the page; makes one prediction at a time, which uses every core.

    Nothing of a request is kept: an upload is a temporary file until its frames are read.
    """

    def __init__(
        self, predictor: Predictor, examples: list[Example], title: str, limits: Limits
    ) -> None:
        self.predictor = predictor
        self.examples = {example.key: example for example in examples}
        self.title = title
        self.limits = limits
        self._one_at_a_time = threading.Lock()

    def describe(self) -> dict[str, Any]:
        """Return what the page needs to draw its controls."""
        predictor = self.predictor
        return {
            "title": self.title,
            "given": predictor.num_conditioning_frames,
            "horizon": predictor.num_predicted_frames,
            "height": predictor.frame_shape[0],
            "width": predictor.frame_shape[1],
            "stride": predictor.stride,
            "motion": predictor.has_motion,
            "classes": list(predictor.class_names) if predictor.num_classes != 1 else [],
            "limits": dataclasses.asdict(self.limits),
            "examples": [
                {"key": example.key, "title": example.title} for example in self.examples.values()
            ],
        }

    def example(self, key: str) -> Example:
        if key not in self.examples:
            raise InputError(f"there is no example {key[:40]!r}")
        return self.examples[key]

    def read_upload(self, content: bytes | bytearray, settings: Settings) -> Clip:
        """Read the frames of an upload, whose file is deleted when this returns."""
        if not content:
            raise InputError(f"{UPLOAD}: the file is empty; choose a video")
        with tempfile.NamedTemporaryFile(prefix="trivd-demo-") as file:
            file.write(content)
            file.flush()
            return read_untrusted(
                file.name,
                name=UPLOAD,
                seconds=self.limits.decode_seconds,
                max_frames=self.limits.clip_frames,
                num_conditioning_frames=self.predictor.num_conditioning_frames,
                size=self.predictor.frame_size,
                num_continuation_frames=settings.num_frames,
                window=settings.window,
                stride=self.predictor.stride,
                fps=self.predictor.fps,
            )

    def predict(self, clip: Clip, settings: Settings) -> Prediction:
        with self._one_at_a_time:
            prediction = predict_clip(
                self.predictor,
                clip,
                num_samples=settings.num_samples,
                truncation=settings.truncation,
                seed=settings.seed,
                num_frames=settings.num_frames,
                label=settings.label,
            )
        real = prediction.continuation
        if real is not None:
            real = real[: settings.num_frames]
        return dataclasses.replace(prediction, continuation=real)

    def panels(self, clip: Clip, settings: Settings) -> dict[str, Any]:
        """Return the page's players: a strip of frames per panel, as a PNG in a data URL."""
        prediction = self.predict(clip, settings)
        answer: dict[str, Any] = {
            "given": _strip(prediction.conditioning),
            "futures": [_strip(future) for future in prediction.futures],
            "real": None,
            "num_given": len(prediction.conditioning),
            "num_real": prediction.num_real,
            "num_frames": settings.num_frames,
            "height": self.predictor.frame_shape[0],
            "width": self.predictor.frame_shape[1],
            "rate": clip.frame_rate,
            "motion": None,
        }
        if prediction.num_real and prediction.continuation is not None:
            answer["real"] = _strip(prediction.continuation[: prediction.num_real])
        if prediction.flow is not None:
            largest = _overlay_scale(prediction.flow)
            pairs = zip(prediction.futures, prediction.flow, strict=True)
            answer["motion"] = {
                "largest": largest,
                "over": [
                    _strip(motion.overlay(future, flow, largest=largest)) for future, flow in pairs
                ],
            }
        return answer

    def download(self, clip: Clip, settings: Settings, kind: str) -> bytes:
        """Return the whole prediction as one animation, `gif` or `mp4`."""
        writers = {"gif": video_io.write_gif, "mp4": video_io.write_mp4}
        if kind not in writers:
            raise InputError(f"a download is 'gif' or 'mp4'; received {kind[:20]!r}")
        moving = figures.animation(
            self.predict(clip, settings), motion_panels=settings.num_samples, max_columns=3
        )
        with tempfile.TemporaryDirectory(prefix="trivd-demo-") as folder:
            path = writers[kind](
                Path(folder) / f"a.{kind}", moving, frame_rate=watchable_rate(clip.frame_rate)
            )
            return path.read_bytes()

    def warm_up(self) -> None:
        """Predict once, so that the first visitor does not wait for compilation."""
        example = next(iter(self.examples.values()))
        self.predict(example.clip, Settings.parse({}, self.predictor, self.limits))


def watchable_rate(rate: float) -> float:
    """Limit the frame rate: at a camera's rate so few frames would be over in half a second."""
    return min(rate, 8.0)


def _overlay_scale(flow: np.ndarray) -> float:
    """Return a lower scale than for the field alone: over a frame, weak colors are invisible."""
    speeds = np.linalg.norm(flow, axis=-1)
    return max(float(np.percentile(speeds, 85.0)), motion.SMALLEST_FULL_SCALE)


def _strip(frames: np.ndarray) -> str:
    """Stack frames vertically in one PNG."""
    image = frames.reshape(-1, *frames.shape[2:])
    return f"data:image/png;base64,{base64.b64encode(png(image)).decode()}"


def png(image: np.ndarray) -> bytes:
    """Encode uint8 `[H, W, C]` as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


@functools.cache
def wheel() -> bytes:
    """Return the legend of the motion colors as a PNG file."""
    return png(motion.color_wheel(96))
