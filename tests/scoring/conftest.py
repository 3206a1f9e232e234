"""Small videos of known difference, and a stand-in for I3D."""

from pathlib import Path

import av
import keras
import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.metrics import FeatureExtractor

SIZE = 24


class StandIn(keras.Model):
    """[B, T, 224, 224, 3] -> [B, 7]: a fixed random view of each coarse video.

    Attributes:
        clips: how many it has seen.
    """

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(
            7, kernel_initializer=keras.initializers.RandomNormal(seed=1)
        )
        self.dense.build((None, 4 * 4 * 3 * 2))
        self.built = True
        self.clips = 0

    def call(self, videos):
        tf.numpy_function(self._count, [tf.shape(videos)[0]], [])
        ends = tf.stack([tf.reduce_mean(videos, axis=1), videos[:, -1]], axis=1)
        coarse = tf.reduce_mean(tf.reshape(ends, [-1, 2, 4, 56, 4, 56, 3]), axis=(3, 5))
        return 3.0 * self.dense(tf.reshape(coarse, [-1, 96]))

    def _count(self, number):
        self.clips += int(number)


@pytest.fixture(scope="session")
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture(scope="session")
def extractor(stand_in) -> FeatureExtractor:
    """The reference's resize rule."""
    return FeatureExtractor(stand_in)


def video(seed: int, frames: int = 20, shift: int = 0) -> np.ndarray:
    """A tinted texture that moves, uint8 [T, SIZE, SIZE + 8, 3]."""
    rng = np.random.default_rng(seed)
    texture = rng.integers(0, 120, (SIZE, SIZE + 8, 3)) + rng.integers(0, 100, 3) + shift
    return np.stack([np.roll(texture, step, axis=1) for step in range(frames)]).astype(np.uint8)


def write(path: Path, frames: np.ndarray, codec: str = "ffv1", rate: int = 25) -> None:
    """A file without loss, or, of mpeg4, with."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[str, Path]:
    """`real`, `fake` (other videos of the same kind) and `darker` (the real ones, 30 less)."""
    root = tmp_path_factory.mktemp("folders")
    for index in range(6):
        write(root / "real" / f"{index}.mkv", video(index))
        write(root / "fake" / f"other_{index}.mkv", video(index + 10))
        write(root / "darker" / f"{index}.mkv", np.maximum(video(index), 30) - 30)
    (root / "real" / "README.md").write_text("not a video")
    return {name: root / name for name in ("real", "fake", "darker")}
