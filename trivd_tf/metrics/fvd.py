"""Frechet Video Distance: the Frechet distance between I3D logits of real and predicted videos.

Unterthiner et al., "Towards Accurate Generative Models of Video" (2018). The distance itself is
TF-GAN's computation, in float64::

    |m_a - m_b|^2 + Tr(C_a + C_b - 2 (C_a C_b)^(1/2))

with unbiased covariances. It is biased upwards at small sample counts: compare scores of the
same count only, and state count and resize rule beside each.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.metrics import tfgan
from trivd_tf.metrics.features import FeatureExtractor, check_videos
from trivd_tf.metrics.moments import StreamedMoments


def fvd(
    real: Any,
    predicted: Any,
    resize: str = "tf1_bilinear",
    *,
    model: keras.Model | None = None,
    batch_size: int = 4,
) -> float:
    """Frechet Video Distance between two sets of videos that are in memory.

    For sets that are not, stream `FeatureExtractor` into `StreamedMoments` and give these to
    `frechet_distance_from_moments`; the result is the same.

    Args:
        real: uint8 ``[N, T, H, W, 3]``, T at least 9, N at least 2.
        predicted: uint8 ``[M, T, h, w, 3]``, the same T. Frames given to the model
            (conditioning) belong in both or in neither (architecture, Sec. 7: in both).
        resize: the rule by which frames get 224 x 224, see `resize_frames`.
        model: an I3D; None: `I3D.from_pretrained()`, read once a process.
        batch_size: clips at a time.

    Raises:
        InputError: shapes, types or counts that do not fit; the weights are not found.
    """
    check_videos(real)
    check_videos(predicted)
    if real.shape[1] != predicted.shape[1]:
        raise InputError(
            f"FVD compares videos of one length, received {real.shape[1]} and "
            f"{predicted.shape[1]} frames"
        )
    for videos in (real, predicted):
        if len(videos) < 2:
            raise InputError(f"FVD takes at least 2 videos a set, received {len(videos)}")
    extractor = FeatureExtractor(model, resize=resize, batch_size=batch_size)
    return frechet_distance(extractor(real), extractor(predicted))


def frechet_distance(activations_a: Any, activations_b: Any) -> float:
    """TF-GAN's Frechet distance between Gaussians fitted to two sets of vectors.

    Args:
        activations_a, activations_b: ``[N, D]`` and ``[M, D]``, N and M at least 2; computed in
            float64 whatever their type.

    Raises:
        InputError: other shapes, or values that are not finite.
    """
    arrays = [np.asarray(a, np.float64) for a in (activations_a, activations_b)]
    shapes = [array.shape for array in arrays]
    if any(len(s) != 2 or s[0] < 2 for s in shapes) or shapes[0][1] != shapes[1][1]:
        raise InputError(
            "the Frechet distance takes activations [N >= 2, D] and [M >= 2, D], received shapes "
            f"{shapes[0]} and {shapes[1]}"
        )
    if not all(np.isfinite(array).all() for array in arrays):
        raise InputError("the Frechet distance takes finite activations, received NaN or infinity")
    distance = tfgan.classifier_metrics().frechet_classifier_distance_from_activations
    return float(distance(tf.constant(arrays[0]), tf.constant(arrays[1])))


def frechet_distance_from_moments(a: StreamedMoments, b: StreamedMoments) -> float:
    """`frechet_distance` of the activations that `a` and `b` have seen, without holding them."""
    if a.dim != b.dim:
        raise InputError(f"moments of dimensions {a.dim} and {b.dim} cannot be compared")
    covariance_a, covariance_b = a.covariance, b.covariance
    root_trace = tfgan.classifier_metrics().trace_sqrt_product(
        tf.constant(covariance_a), tf.constant(covariance_b)
    )
    spread = np.trace(covariance_a) + np.trace(covariance_b) - 2.0 * float(root_trace)
    return float(spread + np.sum((a.mean - b.mean) ** 2))
