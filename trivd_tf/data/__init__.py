"""Datasets as endless training clips and fixed evaluation clips."""

from trivd_tf.data.bouncing_digits import BouncingDigits
from trivd_tf.data.clips import ClipSpec
from trivd_tf.data.dataset_clips import DatasetClips
from trivd_tf.data.digit_centers import center_distance, digit_centers
from trivd_tf.data.files.decode import decode_frames
from trivd_tf.data.files.folder import VideoFolder
from trivd_tf.data.mixture import Mixture
from trivd_tf.data.source import ClipSource
from trivd_tf.data.stored.prepared import Prepared
from trivd_tf.data.stored.presets import (
    BAIR,
    UCF101,
    FreedomWalks,
    GymnasiumFrames,
    Kinetics600,
    MovingMNIST,
)

__all__ = [
    "BAIR",
    "UCF101",
    "BouncingDigits",
    "ClipSource",
    "ClipSpec",
    "DatasetClips",
    "FreedomWalks",
    "GymnasiumFrames",
    "Kinetics600",
    "Mixture",
    "MovingMNIST",
    "Prepared",
    "VideoFolder",
    "center_distance",
    "decode_frames",
    "digit_centers",
]
