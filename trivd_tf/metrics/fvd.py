"""Frechet and Kernel Video Distance of videos in memory.

Unterthiner et al., "Towards Accurate Generative Models of Video" (2018): distances between the I3D
logits of real and predicted videos. FVD is biased upwards at small sample counts: compare scores
of the same count only, and state count and resize rule with each. KVD has no such bias.
"""

from typing import Any

import keras
import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.metrics.features import FeatureExtractor
from trivd_tf.metrics.frechet import frechet_distance
from trivd_tf.metrics.kernel import kernel_distance
from trivd_tf.metrics.videos import Range, as_uint8_videos


def fvd(
    real: Any,
    predicted: Any,
    resize: str = "tf1_bilinear",
    *,
    value_range: Range | None = None,
    covariance: str = "unbiased",
    model: keras.Model | None = None,
    batch_size: int = 4,
) -> float:
    """Compute the Frechet Video Distance between two sets of videos in memory.

    For larger sets, use `trivd score`, or stream `FeatureExtractor` into `StreamedMoments` and pass
    these to `frechet_distance_from_moments`; the result is the same.

    Args:
        real: ``[N, T, H, W, 3]``, T at least 9, N at least 2; uint8, or floats in `value_range`.
            Gray videos, ``[N, T, H, W, 1]``, are repeated for the three channels.
        predicted: ``[M, T, h, w, 3]`` with the same T. Include conditioning frames in both sets or
            in neither (docs/architecture.md, section 7: in both).
        resize: rule for resizing frames to 224 x 224; see `resize_frames`.
        value_range: values of black and white in float videos, such as ``(0, 1)`` or ``(-1, 1)``.
        covariance: ``unbiased`` (reference code), or ``biased``, divided by N (StyleGAN-V).
        model: an I3D; None: `I3D.from_pretrained()`, loaded once per process.
        batch_size: clips per call of I3D.

    Returns:
        0 or more; 0 for a set and itself. The order of the two does not matter.

    Raises:
        InputError: shapes, dtypes, ranges or counts do not fit (the message has a line of code that
            fixes it, if one does), or the weights are not found.

    Example:
        >>> fvd(real, predicted)                           # uint8
        >>> fvd(real, predicted, value_range=(-1.0, 1.0))  # floats
    """
    logits = _logits(real, predicted, "FVD", resize, value_range, model, batch_size)
    return frechet_distance(*logits, covariance=covariance)


def kvd(
    real: Any,
    predicted: Any,
    resize: str = "tf1_bilinear",
    *,
    value_range: Range | None = None,
    model: keras.Model | None = None,
    batch_size: int = 4,
) -> float:
    """Compute the unbiased Kernel Video Distance between two sets of videos in memory.

    Args: as in `fvd`.

    Returns:
        As `kernel_distance`: around 0 for two samples of one distribution, slightly negative about
        half of the time; exactly 0 for a set and itself.

    Raises:
        InputError: as in `fvd`.
    """
    return kernel_distance(*_logits(real, predicted, "KVD", resize, value_range, model, batch_size))


def _logits(
    real: Any,
    predicted: Any,
    score: str,
    resize: str,
    value_range: Range | None,
    model: keras.Model | None,
    batch_size: int,
) -> tuple[np.ndarray, np.ndarray]:
    videos = {
        name: as_uint8_videos(given, value_range, name)
        for name, given in (("real", real), ("predicted", predicted))
    }
    lengths = [given.shape[1] for given in videos.values()]
    if lengths[0] != lengths[1]:
        raise InputError(
            f"{score} compares videos of one length, received {lengths[0]} and {lengths[1]} "
            f"frames: real, predicted = real[:, :{min(lengths)}], predicted[:, :{min(lengths)}]"
        )
    for name, given in videos.items():
        if len(given) < 2:
            raise InputError(
                f"{score} takes at least 2 videos a set, received {len(given)}: cut a long video "
                f"into clips, {name} = {name}.reshape(-1, 16, *{name}.shape[2:])"
            )
    extractor = FeatureExtractor(model, resize=resize, batch_size=batch_size)
    return extractor(videos["real"]), extractor(videos["predicted"])
