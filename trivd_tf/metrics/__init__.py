"""Metrics of predicted videos: FVD, KVD, Inception Score, PSNR, SSIM, best of l, baselines.

Importing this loads no weights, no TF-GAN and no TF-Hub; functions load them when called.
"""

from trivd_tf.metrics.baselines import copy_last_frame
from trivd_tf.metrics.features import FeatureExtractor
from trivd_tf.metrics.frames import best_of, mae_sum, mse_sum, psnr, ssim
from trivd_tf.metrics.frechet import frechet_distance, frechet_distance_from_moments
from trivd_tf.metrics.fvd import fvd, kvd
from trivd_tf.metrics.i3d.network import I3D, KINETICS_400_CLASSES
from trivd_tf.metrics.inception_score import StreamedInceptionScore, inception_score
from trivd_tf.metrics.kernel import kernel_distance
from trivd_tf.metrics.moments import StreamedMoments
from trivd_tf.metrics.resize import RESIZE_RULES, resize_frames

__all__ = [
    "I3D",
    "KINETICS_400_CLASSES",
    "RESIZE_RULES",
    "FeatureExtractor",
    "StreamedInceptionScore",
    "StreamedMoments",
    "best_of",
    "copy_last_frame",
    "frechet_distance",
    "frechet_distance_from_moments",
    "fvd",
    "inception_score",
    "kernel_distance",
    "kvd",
    "mae_sum",
    "mse_sum",
    "psnr",
    "resize_frames",
    "ssim",
]
