"""The objective of the paper in float64 NumPy, from views, features and raw weights.

Nothing here comes from the package. `u` is the vector that a spectrally normalised layer keeps.
"""

import numpy as np


def matrix(kernel):
    return np.asarray(kernel, np.float64).reshape(-1, kernel.shape[-1])


def normalized(kernel, u, epsilon=1e-4):
    """W / max(sigma, eps) with sigma = v^T W u and v = W u / |W u|."""
    product = matrix(kernel) @ u
    sigma = (product / np.linalg.norm(product)) @ product
    return np.asarray(kernel) / max(sigma, epsilon)


def iterated(kernel, u):
    """One power iteration."""
    v = matrix(kernel) @ u
    u = matrix(kernel).T @ (v / np.linalg.norm(v))
    return u / np.linalg.norm(u)


def penalty(kernels):
    """Sum of |W^T W * (1 - I)|_F^2."""
    total = 0.0
    for kernel in kernels:
        gram = matrix(kernel).T @ matrix(kernel)
        total += (gram[~np.eye(len(gram), dtype=bool)] ** 2).sum()
    return total


def view(videos, choices, crop_factor, downsample_factor):
    """K frames, then one window a video for all its frames, then s x s means."""
    taken = []
    for row, video in enumerate(videos):
        if "frames" in choices:
            video = video[choices["frames"][row]]
        if "corners" in choices:
            top, left = choices["corners"][row]
            height, width = video.shape[1] // crop_factor, video.shape[2] // crop_factor
            video = video[:, top : top + height, left : left + width]
        taken.append(video)
    videos, s = np.stack(taken), downsample_factor
    batch, time, height, width, channels = videos.shape
    return videos.reshape(batch, time, height // s, s, width // s, s, channels).mean((3, 5))


def outputs(features, labels, score, bias, embedding):
    """Eq. 15: o[b, b', t] = r_x[b, t] + sum over t' of r_xy[b', t'], with loops."""
    batch, time, _ = features.shape
    r_x = (features @ score)[..., 0] + bias
    r_xy = np.einsum("btc,bc->bt", features, embedding[labels])
    o = np.zeros([batch, batch, time])
    for b, other, t in np.ndindex(o.shape):
        o[b, other, t] = r_x[b, t] + r_xy[other].sum()
    return o


def discriminator_loss(real, predicted):
    return np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + predicted).mean()


def generator_loss(predicted):
    return -predicted.mean()
