"""What the models refuse to be built with and to be called with."""

import numpy as np
import pytest

from trivd_tf.models import Discriminator, Generator


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channel_multiplier": 0}, r"channel_multiplier must be .* from 1 on\. Received: 0"),
        ({"channel_multiplier": 1.5}, r"channel_multiplier must be .* Received: 1\.5"),
        ({"channel_multiplier": "2"}, "channel_multiplier must be .* Received: '2'"),
        ({"channel_multiplier": None}, "channel_multiplier must be .* Received: None"),
        ({"channel_multiplier": True}, "channel_multiplier must be .* Received: True"),
        ({"num_predicted_frames": 0}, "num_predicted_frames must be .* Received: 0"),
        ({"num_classes": "a"}, "num_classes must be .* Received: 'a'"),
        ({"frame_size": "64"}, "frame_size must be a multiple of 8.* Received: '64'"),
        ({"frame_size": (64,)}, r"frame_size must be a multiple of 8.* Received: \(64,\)"),
        ({"frame_size": 16.0}, r"frame_size must be a multiple of 8.* Received: 16\.0"),
        ({"frame_size": (16, 20)}, r"frame_size must be a multiple of 8.* Received: \(16, 20\)"),
    ],
)
def test_a_generator_names_a_wrong_argument(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        Generator(**{"channel_multiplier": 1, **options})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("channel_multiplier", 1.5),
        ("channel_multiplier", "a"),
        ("num_classes", -1),
        ("num_sampled_frames", 0),
        ("crop_factor", 0),
        ("downsample_factor", 2.5),
    ],
)
def test_a_discriminator_names_a_wrong_argument(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number from 1 on") as caught:
        Discriminator(**{"channel_multiplier": 1, name: value})
    assert "\n" not in str(caught.value)


GOOD, Z = np.zeros((1, 2, 16, 16, 3), np.float32), np.zeros((1, 128), np.float32)
SHAPE = r"\[any, 2, 16, 16, 3\]"


@pytest.mark.parametrize(
    ("frames", "z", "message"),
    [
        # Without a batch axis oneDNN ended the process; bytes passed for values in [-1, 1].
        (GOOD[0], Z, rf"of shape {SHAPE}\. Received: shape \[2, 16, 16, 3\]"),
        (GOOD[:, :1], Z, rf"of shape {SHAPE}\. Received: shape \[1, 1, 16, 16, 3\]"),
        (np.zeros((1, 2, 32, 16, 3), np.float32), Z, rf"of shape {SHAPE}\. Received"),
        (GOOD[..., :1], Z, rf"of shape {SHAPE}\. Received"),
        (GOOD.astype(np.uint8), Z, r"Received: uint8; use frames / 127\.5 - 1"),
        (GOOD, Z[:, :3], r"z must be \[any, 128\]\. Received: shape \(1, 3\)"),
        (GOOD, Z[0], r"z must be \[any, 128\]\. Received: shape \(128,\)"),
    ],
)
def test_a_generator_names_wrong_frames_and_latents(frames, z, message):
    generator = Generator(1, "tsru_p", 2, num_conditioning_frames=2, frame_size=16)
    with pytest.raises(ValueError, match=message):
        generator(frames, z)
    with pytest.raises(ValueError, match=message):
        generator.predict_with_motion(frames, z)


@pytest.mark.parametrize("videos", [GOOD[0], GOOD.astype(np.uint8), GOOD[..., :1]])
def test_a_discriminator_names_wrong_videos(videos):
    judge = Discriminator(1, downsample_factor=2)
    with pytest.raises(ValueError, match=r"videos must be floats in \[-1, 1\] of shape"):
        judge(videos)
