"""The recurrent units' equations in plain NumPy, float64, with loops: slow and easy to read.

Nothing here comes from the package. Kernels are `[k, k, cin, cout]`; a unit's weights are a
dictionary of `name: (kernel, bias)`.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def conv(x, weight, stride=1):
    kernel, bias = weight
    batch, height, width, _ = x.shape
    k = kernel.shape[0]
    out = np.zeros((batch, height, width, kernel.shape[3])) + bias
    for b, i, j in np.ndindex(batch, height, width):
        for m, n in np.ndindex(k, k):
            row, column = i + m - (k - 1) // 2, j + n - (k - 1) // 2
            if 0 <= row < height and 0 <= column < width:
                out[b, i, j] += x[b, row, column] @ kernel[m, n]
    return out[:, ::stride, ::stride]


def warp(h, weights):
    batch, height, width, taps = weights.shape
    k = int(round(taps**0.5))
    out = np.zeros(h.shape)
    for b, i, j in np.ndindex(batch, height, width):
        for m, n in np.ndindex(k, k):
            row, column = i + m - (k - 1) // 2, j + n - (k - 1) // 2
            if 0 <= row < height and 0 <= column < width:
                out[b, i, j] += weights[b, i, j, m * k + n] * h[b, row, column]
    return out


def cat(*parts):
    return np.concatenate(parts, -1)


def pool_to_4(x):
    batch, height, width, channels = x.shape
    out = np.zeros((batch, 4, 4, channels))
    for i, j in np.ndindex(4, 4):
        top, bottom = int(np.floor(i * height / 4)), int(np.ceil((i + 1) * height / 4))
        left, right = int(np.floor(j * width / 4)), int(np.ceil((j + 1) * width / 4))
        out[:, i, j] = x[:, top:bottom, left:right].max((1, 2))
    return out


def factorized(hx, w, k=3, count=9):
    selection = softmax(conv(hx, w["transform/selection"]), -1)
    pooled = pool_to_4(relu(conv(hx, w["transform/features"])))
    hidden = pooled.reshape(len(hx), -1) @ w["transform/hidden"][0] + w["transform/hidden"][1]
    kernels = relu(hidden) @ w["transform/kernels"][0] + w["transform/kernels"][1]
    kernels = softmax(kernels.reshape(len(hx), k * k, count), 1)
    return np.einsum("bijl,bql->bijq", selection, kernels)


def pixelwise(hx, w):
    out = relu(conv(hx, w["transform/first"]))
    out = relu(conv(out, w["transform/second"]))
    return softmax(conv(out, w["transform/third"]), -1)


def conv_gru(h, x, w):
    r = sigmoid(conv(cat(h, x), w["read"]))
    c = relu(conv(cat(r * h, x), w["candidate"]))
    u = sigmoid(conv(cat(h, x), w["update"]))
    return u * h + (1 - u) * c


def tsru(h, x, w, variant, transform=factorized):
    hw = warp(h, transform(cat(h, x), w))
    seen = h if variant == "p" else hw
    c = relu(conv(cat(seen, x), w["candidate"]))
    u = sigmoid(conv(cat(hw, c) if variant == "s" else cat(h, x), w["update"]))
    return u * hw + (1 - u) * c
