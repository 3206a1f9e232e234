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
    k = round(taps**0.5)
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


def k_traj_gru(h, x, w):
    hw = warp(h, factorized(cat(h, x), w))
    r = sigmoid(conv(cat(hw, x), w["read"]))
    c = np.tanh(conv(cat(r * hw, x), w["candidate"]))
    u = sigmoid(conv(cat(hw, x), w["update"]))
    return u * h + (1 - u) * c


def sample(frame, flow):
    """Bilinear reading of one image `[H, W, C]`, as the sum of a tent at every pixel."""
    height, width, _ = frame.shape
    out = np.zeros(frame.shape)
    for i, j in np.ndindex(height, width):
        y, x = i + flow[i, j, 0], j + flow[i, j, 1]
        for row, column in np.ndindex(height, width):
            tent = max(0, 1 - abs(y - row)) * max(0, 1 - abs(x - column))
            out[i, j] += tent * frame[row, column]
    return out


def traj_gru(h, x, w):
    flow = conv(x, w["flow_of_inputs"]) + conv(h, w["flow_of_state"])
    # TensorFlow keeps the slope as a float32, whatever the tensors are.
    flow = conv(np.where(flow > 0, flow, np.float32(0.2) * flow), w["flow_fields"])
    warped = [
        np.stack([sample(h[b], flow[b, :, :, first : first + 2]) for b in range(len(h))])
        for first in range(0, flow.shape[-1], 2)
    ]
    of_x = {name: conv(x, w[f"{name}_of_inputs"]) for name in ("read", "update", "candidate")}
    of_h = {name: conv(cat(*warped), w[f"{name}_of_warped"]) for name in of_x}
    r, u = (sigmoid(of_x[name] + of_h[name]) for name in ("read", "update"))
    c = relu(of_x["candidate"] + r * of_h["candidate"])
    return u * h + (1 - u) * c


def lstm(h, m, i, f, o, g, rho=relu):
    m = sigmoid(f) * m + sigmoid(i) * rho(g)
    return sigmoid(o) * rho(m), m


def conv_lstm(state, x, w):
    h, m = np.split(state, 2, -1)
    names = ("input_gate", "forget_gate", "output_gate", "candidate")
    return cat(*lstm(h, m, *(conv(cat(h, x), w[name]) for name in names)))


def dynamic_conv_lstm(state, previous, x, w, gate_bias, k=3):
    """`previous`: the frame (or the encoding) before x."""
    h, m = np.split(state, 2, -1)
    batch, _, _, half = h.shape
    blocks = x.shape[-1] // half
    logits = np.zeros((batch, half, half, 4, blocks + 1, k * k))
    for b, i, j in np.ndindex(batch, half, half):
        image = (x[b, :, :, i] - previous[b, :, :, j])[None, :, :, None]
        image = relu(conv(relu(conv(image, w["first"], 2)), w["second"], 2))
        kernels = image.mean((1, 2))[0] @ w["kernels"][0] + w["kernels"][1]
        logits[b, i, j] = kernels.reshape(4, blocks + 1, k * k)
    hx, gates = cat(h, x), []
    for gate in range(4):
        out = np.zeros(h.shape)
        for b in range(batch):
            kernel = np.zeros((k * k, half * (blocks + 1), half))
            for j, tap in np.ndindex(half, k * k):
                of_h = logits[b, :, j, gate, 0, tap]
                of_x = np.concatenate([logits[b, :, j, gate, 1 + p, tap] for p in range(blocks)])
                kernel[tap, :, j] = np.concatenate([softmax(of_h, 0), softmax(of_x, 0)])
            kernel = kernel.reshape(k, k, -1, half)
            out[b] = conv(hx[b : b + 1], (kernel, gate_bias[gate * half : (gate + 1) * half]))[0]
        gates.append(out)
    return cat(*lstm(h, m, *gates))


def tsru_beyond_the_paper(h, x, w, variant, warps, read_gate):
    """Several warped states and a read gate, with the warps' weights given."""
    hx, warped = cat(h, x), [warp(h, one) for one in warps]
    r = sigmoid(conv(hx, w["read"])) if read_gate else 1
    seen = [h] if variant == "p" else warped
    c = relu(conv(cat(*(r * one for one in seen), x), w["candidate"]))
    logits = conv(cat(*warped, c) if variant == "s" else hx, w["update"])
    parts = np.split(logits, len(warped), -1)
    total = 1 + sum(np.exp(part) for part in parts)
    return (
        sum(np.exp(part) / total * one for part, one in zip(parts, warped, strict=True)) + c / total
    )
