"""I3D against I3D in plain NumPy and float64, batch norm and final pool as they were trained."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trivd_tf.metrics.i3d import weights as i3d_weights


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME: ceil(size / stride) outputs, the odd element of padding at the end."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def windows(
    x: np.ndarray, kernel: tuple[int, ...], stride: tuple[int, ...], fill: float
) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """x [T, H, W, C] -> for each tap of the kernel, (tap index, the strided view it sees)."""
    pads = [same_padding(s, k, d) for s, k, d in zip(x.shape[:3], kernel, stride, strict=True)]
    padded = np.pad(x, [*pads, (0, 0)], constant_values=fill)
    out = [-(-s // d) for s, d in zip(x.shape[:3], stride, strict=True)]
    for tap in np.ndindex(*kernel):
        slices = tuple(
            slice(t, t + (n - 1) * d + 1, d) for t, n, d in zip(tap, out, stride, strict=True)
        )
        yield tap, padded[slices]


def conv3d(x: np.ndarray, kernel: np.ndarray, stride: int = 1) -> np.ndarray:
    total: Any = 0.0
    for (time, *_), plane in windows(x, (kernel.shape[0], 1, 1), (stride, 1, 1), 0.0):
        taps = windows_of_planes(plane, kernel.shape[1:3], stride)
        columns = np.concatenate(list(taps), axis=-1)
        shape = columns.shape
        product = columns.reshape(-1, shape[-1]) @ kernel[time].reshape(shape[-1], -1)
        total = total + product.reshape(*shape[:3], -1)
    return total


def windows_of_planes(x: np.ndarray, kernel: tuple[int, ...], stride: int) -> Iterator[np.ndarray]:
    for _, view in windows(x, (1, *kernel), (1, stride, stride), 0.0):
        yield view


def max_pool(x: np.ndarray, kernel: tuple[int, ...], stride: tuple[int, ...]) -> np.ndarray:
    result: np.ndarray | None = None
    for _, view in windows(x, kernel, stride, -np.inf):
        result = view.copy() if result is None else np.maximum(result, view)
    assert result is not None
    return result


class NumpyI3D:
    """Args: variables: the checkpoint's ``params`` and ``batch_stats``."""

    def __init__(self, variables: dict[str, Any]):
        self.params, self.stats = variables["params"], variables["batch_stats"]

    def unit(self, x: np.ndarray, *path: str, stride: int = 1) -> np.ndarray:
        params, stats = self.params, self.stats
        for key in path:
            params, stats = params[key], stats[key]
        x = conv3d(x, params["Conv_0"]["kernel"].astype(np.float64), stride)
        mean, variance = (stats["BatchNorm_0"][k].reshape(-1) for k in ("mean", "var"))
        x = (x - mean) / np.sqrt(variance.astype(np.float64) + 1e-3)
        return np.maximum(x + params["BatchNorm_0"]["bias"], 0.0)

    def mixed(self, x: np.ndarray, stage: str) -> np.ndarray:
        one = self.unit(x, stage, "Branch_1/Conv3d_0a_1x1")
        two = self.unit(x, stage, "Branch_2/Conv3d_0a_1x1")
        pooled = max_pool(x, (3, 3, 3), (1, 1, 1))
        branches = [
            self.unit(x, stage, "Branch_0/Conv3d_0a_1x1"),
            self.unit(one, stage, "Branch_1/Conv3d_0b_3x3"),
            self.unit(two, stage, "Branch_2/Conv3d_0b_3x3"),
            self.unit(pooled, stage, "Branch_3/Conv3d_0b_1x1"),
        ]
        return np.concatenate(branches, axis=-1)

    def __call__(self, video: np.ndarray) -> np.ndarray:
        """[T, 224, 224, 3] in [-1, 1] -> [400]."""
        x = self.unit(video.astype(np.float64), "Conv3d_1a_7x7", stride=2)
        x = max_pool(x, (1, 3, 3), (1, 2, 2))
        x = self.unit(x, "Conv3d_2b_1x1")
        x = self.unit(x, "Conv3d_2c_3x3")
        x = max_pool(x, (1, 3, 3), (1, 2, 2))
        for stage in ("Mixed_3b", "Mixed_3c"):
            x = self.mixed(x, stage)
        x = max_pool(x, (3, 3, 3), (2, 2, 2))
        for stage in ("Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f"):
            x = self.mixed(x, stage)
        x = max_pool(x, (2, 2, 2), (2, 2, 2))
        for stage in ("Mixed_5b", "Mixed_5c"):
            x = self.mixed(x, stage)
        logits_unit = self.params["Logits/Conv3d_0c_1x1"]["Conv_0"]
        kernel, bias = logits_unit["kernel"][0, 0, 0].astype(np.float64), logits_unit["bias"]
        logits = [
            x[step : step + 2].mean(axis=(0, 1, 2)) @ kernel + bias for step in range(len(x) - 1)
        ]
        return np.mean(logits, axis=0)


def test_logits_equal_those_of_the_unfolded_network_in_float64(i3d, named_clips):
    """17 frames: odd sizes, where SAME pads one side only, and three steps under the last pool."""
    checkpoint = i3d_weights.read_checkpoint(Path(i3d_weights.find_source()))
    video = named_clips[-1].frames[0, :17] / 127.5 - 1.0
    assert len(video) == 17
    reference = NumpyI3D(checkpoint)(video)
    logits = i3d(tf.constant(video[None], tf.float32))[0].numpy()
    assert np.ptp(reference) > 5.0  # the network has an opinion
    np.testing.assert_allclose(logits, reference, atol=1e-3)
