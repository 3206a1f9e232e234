"""Bytes and floats: one rule, the same for arrays, tensors and compiled code."""

from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.base import pixels

BYTES = np.arange(256, dtype=np.uint8)


def exact(byte: int) -> float:
    return float(Fraction(2 * byte, 255) - 1)


@pytest.mark.parametrize("convert", [pixels.to_float, pixels.float_tensor])
def test_every_byte_becomes_its_float(convert):
    floats = np.asarray(convert(BYTES))
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats, [exact(int(byte)) for byte in BYTES], atol=6e-8, rtol=0)
    assert (floats[0], floats[-1]) == (-1.0, 1.0)


@pytest.mark.parametrize(
    "back", [pixels.to_bytes, pixels.byte_tensor, tf.function(pixels.byte_tensor)]
)
def test_floats_become_the_nearest_byte(back):
    np.testing.assert_array_equal(np.asarray(back(pixels.to_float(BYTES))), BYTES)
    floats = np.random.default_rng(0).uniform(-1.2, 1.2, 10_000).astype(np.float32)
    found = np.asarray(back(floats)).astype(np.float64)
    wanted = np.clip((floats.astype(np.float64) + 1) * 127.5, 0, 255)
    assert np.abs(found - wanted).max() < 0.5 + 1e-4
    # Halfway between two bytes, exactly: the even one.
    halves = np.array([0.5, 1.5, 126.5, 127.5], np.float32) / np.float32(127.5) - np.float32(1)
    kept = halves[(halves + np.float32(1)) * np.float32(127.5) % 1 == 0.5]
    assert len(kept) >= 2
    assert not np.asarray(back(kept)).astype(int).any() or np.all(np.asarray(back(kept)) % 2 == 0)


def test_arrays_and_tensors_agree_to_the_last_bit():
    floats = np.random.default_rng(1).uniform(-1.1, 1.1, 10_000).astype(np.float32)
    np.testing.assert_array_equal(pixels.to_bytes(floats), pixels.byte_tensor(floats).numpy())
    np.testing.assert_array_equal(pixels.to_float(BYTES), pixels.float_tensor(BYTES).numpy())


def test_tensors_of_another_precision():
    assert pixels.float_tensor(BYTES, tf.float64).dtype == tf.float64
    assert pixels.float_tensor(BYTES, tf.bfloat16).dtype == tf.bfloat16
