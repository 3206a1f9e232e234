"""Joined JPEG files decode to exactly the pixels of each alone."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from trivd_tf.data.stored import jpeg_strips


def encode(frame: np.ndarray, quality: int = 95, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=quality, **{"subsampling": 0, **options})
    return file.getvalue()


def frames_of(count: int, height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)
    noise[:, : height // 2] = np.arange(count)[:, None, None, None] * 20  # and flat parts
    return noise


@pytest.mark.parametrize(
    ("count", "height", "width"), [(1, 64, 64), (16, 64, 85), (11, 85, 64), (32, 33, 47)]
)
def test_a_strip_holds_the_pixels_of_each_frame(count, height, width):
    files = [encode(frame) for frame in frames_of(count, height, width)]
    rows = jpeg_strips.padded_height(height)
    strip = tf.io.decode_jpeg(jpeg_strips.join(files), dct_method="INTEGER_ACCURATE").numpy()
    assert strip.shape == (count * rows, width, 3)
    alone = [tf.io.decode_jpeg(file, dct_method="INTEGER_ACCURATE").numpy() for file in files]
    assert np.array_equal(strip.reshape(count, rows, width, 3)[:, :height], alone)


def test_what_cannot_be_joined_is_refused():
    first, second = (encode(frame) for frame in frames_of(2, 32, 32))
    with pytest.raises(ValueError, match="differ"):
        jpeg_strips.join([first, encode(frames_of(1, 32, 40)[0])])
    with pytest.raises(ValueError, match="differ"):
        jpeg_strips.join([first, encode(frames_of(1, 32, 32)[0], quality=80)])
    with pytest.raises(ValueError, match="truncated"):
        jpeg_strips.join([first, second[:-40]])
    with pytest.raises(ValueError, match="subsampled"):
        jpeg_strips.join([encode(frames_of(1, 32, 32)[0], subsampling=2)])
    with pytest.raises(ValueError, match="no baseline"):
        jpeg_strips.join([encode(frames_of(1, 32, 32)[0], progressive=True)])
    with pytest.raises(ValueError, match="no baseline"):
        jpeg_strips.join([b"\x89PNG and so on"])
