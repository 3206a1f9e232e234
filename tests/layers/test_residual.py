"""Residual blocks against NumPy and SciPy (docs/architecture.md, sections 2 and 5), float64."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import correlate

from trivd_tf.layers.residual import DiscriminatorBlock, GeneratorBlock, upsample_nearest

FLOAT64 = {"dtype": "float64"}


def conv(frames, layer):
    """A zero-padded convolution of `[..., H, W, Cin]` (2D) or `[B, T, H, W, Cin]` (3D)."""
    kernel = layer.normalized_kernel().numpy()
    axes = kernel.ndim - 2
    out = np.zeros([*frames.shape[:-1], kernel.shape[-1]])
    samples = frames.reshape(-1, *frames.shape[-1 - axes :])
    for sample, target in zip(samples, out.reshape(-1, *out.shape[-1 - axes :]), strict=True):
        for cin, cout in np.ndindex(*kernel.shape[-2:]):
            taps = kernel[..., cin, cout]
            target[..., cout] += correlate(sample[..., cin], taps, mode="constant")
    return out if layer.bias is None else out + layer.bias.numpy()


def relu(x):
    return np.maximum(x, 0)


def pool(frames, axes):
    """Average pooling by 2 over `axes`."""
    for axis in axes:
        pairs = frames.reshape(*frames.shape[:axis], -1, 2, *frames.shape[axis + 1 :])
        frames = pairs.mean(axis + 1)
    return frames


def batch_norm(frames, condition, layer):
    """Moments of each step over batch and space; gain and offset of each sample."""
    mean = frames.mean((1, 2, 3), keepdims=True)
    variance = frames.var((1, 2, 3), keepdims=True)
    gain = 1 + condition @ layer.gain.normalized_kernel().numpy()
    offset = condition @ layer.offset.normalized_kernel().numpy()
    normalized = (frames - mean) / np.sqrt(variance + layer.epsilon)
    return normalized * gain[None, :, None, None] + offset[None, :, None, None]


def double(frames):
    return frames.repeat(2, -3).repeat(2, -2)


@pytest.mark.parametrize(("channels", "upsample"), [(3, False), (2, False), (2, True)])
def test_generator_block(channels, upsample):
    rng = np.random.default_rng(1)
    frames, condition = rng.normal(size=[2, 3, 4, 5, 3]), rng.normal(size=[3, 6])
    block = GeneratorBlock(channels, 2, upsample=upsample, **FLOAT64)
    found = block(frames, condition, training=True).numpy()
    for layer in (block.conv_2, block.skip):
        if layer is not None:
            layer.bias.assign(rng.normal(size=[channels]))
    found = block(frames, condition, training=True).numpy()
    resized = double if upsample else (lambda x: x)
    hidden = conv(resized(relu(batch_norm(frames, condition, block.norm_1))), block.conv_1)
    hidden = conv(relu(batch_norm(hidden, condition, block.norm_2)), block.conv_2)
    skip = resized(frames)
    assert (block.skip is None) == (channels == 3 and not upsample)
    skip = skip if block.skip is None else conv(skip, block.skip)
    np.testing.assert_allclose(found, hidden + skip, atol=1e-10)


@pytest.mark.parametrize("leading_relu", [True, False])
@pytest.mark.parametrize(("is_3d", "pool_time"), [(False, True), (True, True), (True, False)])
@pytest.mark.parametrize("pooled", [True, False])
def test_discriminator_block(is_3d, pool_time, pooled, leading_relu):
    rng = np.random.default_rng(2)
    frames = rng.normal(size=[2, 4, 6, 4, 3] if is_3d else [3, 6, 4, 3])
    options = {"is_3d": is_3d, "pool_time": pool_time, "leading_relu": leading_relu}
    block = DiscriminatorBlock(3 if not pooled else 4, pool=pooled, **options, **FLOAT64)
    block(frames)
    for layer in (block.conv_1, block.conv_2):
        layer.bias.assign(rng.normal(size=layer.bias.shape))
    hidden = relu(frames) if leading_relu else frames
    hidden = conv(relu(conv(hidden, block.conv_1)), block.conv_2)
    skip = frames if block.skip is None else conv(frames, block.skip)
    assert (block.skip is None) == (not pooled)
    axes = [1, 2, 3] if is_3d else [1, 2]
    axes = axes[1:] if is_3d and not pool_time else axes
    expected = pool(hidden, axes) + pool(skip, axes) if pooled else hidden + skip
    np.testing.assert_allclose(block(frames).numpy(), expected, atol=1e-10)


def test_upsampling_and_its_gradient():
    rng = np.random.default_rng(3)
    frames = tf.constant(rng.normal(size=[2, 3, 4, 5]))
    upstream = rng.normal(size=[2, 6, 8, 5])
    with tf.GradientTape() as tape:
        tape.watch(frames)
        wide = upsample_nearest(frames)
    np.testing.assert_array_equal(wide, double(frames.numpy()))
    gradient = tape.gradient(wide, frames, output_gradients=tf.constant(upstream))
    np.testing.assert_allclose(gradient, 4 * pool(upstream, [1, 2]), rtol=1e-12)
