import numpy as np
import pytest
from scipy import ndimage
from sklearn.datasets import load_digits

from trivd_tf.base.errors import InputError
from trivd_tf.data import BouncingDigits, center_distance, digit_centers
from trivd_tf.data.clips import ClipSpec

CLIP = ClipSpec(size=32)


def take(batches, count=None):
    batches = batches if count is None else batches.take(count)
    return np.concatenate([batch["video"] for batch in batches.as_numpy_iterator()])


def evaluate(source, clip=CLIP, split="test", count=24):
    return take(source.evaluation_clips(clip, split=split, num_clips=count, batch_size=10))


def test_stream_is_a_function_of_seed_and_index():
    whole = take(BouncingDigits().training_clips(CLIP, seed=1, batch_size=8), 3)
    tail = take(BouncingDigits().training_clips(CLIP, seed=1, start=5, batch_size=19), 1)
    assert np.array_equal(tail, whole[5:])
    halves = [
        take(BouncingDigits().training_clips(
            CLIP, seed=1, batch_size=8, shard_index=shard, shard_count=2), 3).reshape(3, 4, -1)
        for shard in range(2)
    ]  # fmt: skip
    assert np.array_equal(np.concatenate(halves, axis=1).reshape(24, -1), whole.reshape(24, -1))
    assert len(np.unique(whole.reshape(24, -1), axis=0)) == 24
    other = take(BouncingDigits().training_clips(CLIP, seed=2, batch_size=8), 3)
    assert not np.array_equal(other, whole)


@pytest.mark.parametrize("size", [32, 64])
def test_clips_are_grey_and_bright_on_black(size):
    clip = ClipSpec(size=size)
    clips = evaluate(BouncingDigits(), clip)
    assert clips.shape == (24, 16, size, size, 3)
    assert (clips == clips[..., :1]).all()
    assert clips.max(axis=(1, 2, 3, 4)).min() > 200
    assert np.median(clips) == 0


def test_centre_of_mass_is_where_centers_says():
    source = BouncingDigits()
    true = source.evaluation_centers(CLIP, split="test", num_clips=24)
    clips = evaluate(source)
    assert true.shape == (24, 16, 1, 2)
    measured = [
        [ndimage.center_of_mass(frame[..., 0].astype(float)) for frame in clip] for clip in clips
    ]
    assert np.abs(np.array(measured) - true[:, :, 0]).max() < 0.15


def test_digits_use_the_whole_of_a_frame_that_is_not_square():
    clip = ClipSpec(size=(32, 56))
    source = BouncingDigits()
    clips = evaluate(source, clip)
    assert clips.shape == (24, 16, 32, 56, 3)
    measured = [
        [ndimage.center_of_mass(frame[..., 0].astype(float)) for frame in clip] for clip in clips
    ]
    true = source.evaluation_centers(clip, split="test", num_clips=24)[:, :, 0]
    assert np.abs(np.array(measured) - true).max() < 0.15
    centers = source.evaluation_centers(clip, split="train", num_clips=300)[:, :, 0]
    # A patch of half the smallest side, 16 pixels, has 16 and 40 pixels of room.
    assert 14 < np.ptp(centers[..., 0]) < 20
    assert 38 < np.ptp(centers[..., 1]) < 44


def test_digits_move_straight_at_the_speed_asked_and_bounce():
    source = BouncingDigits(min_speed=0.05, max_speed=0.05)
    centers = source.evaluation_centers(CLIP, split="train", num_clips=200)[:, :, 0]
    steps = np.diff(centers, axis=1)
    # No bounce within the frame on either axis: the speed is 0.05 x 32 pixels a frame, up to the
    # eighths that positions are rounded to.
    straight = np.linalg.norm(steps, axis=-1)
    bounced = np.abs(np.diff(np.sign(steps), axis=1)) > 0
    away = ~(bounced.any(-1)[:, :-1] | bounced.any(-1)[:, 1:])
    assert np.abs(straight[:, 1:-1][away] - 1.6).max() < 0.2
    # Every path is one that a ball in a room of 16 pixels takes, simulated step by step: of all
    # velocities, the best one explains the path to within its rounding.
    motion = source._motion(CLIP, "train", 5, np.arange(50))
    for path in motion.rows[:, :, 0] / 8:
        place = np.repeat(path[0] + np.linspace(-1 / 16, 1 / 16, 9), 801)
        velocity = np.tile(np.linspace(-1.6, 1.6, 801), 9)
        error = np.zeros_like(place)
        for wanted in path[1:]:
            place = place + velocity
            velocity = np.where((place < 0) | (place > 16), -velocity, velocity)
            place = np.where(place < 0, -place, np.where(place > 16, 32 - place, place))
            error = np.maximum(error, np.abs(place - wanted))
        assert error.min() < 1 / 8


def test_copying_the_last_frame_is_clearly_wrong():
    centers = BouncingDigits().evaluation_centers(CLIP, split="test", num_clips=256)
    copied = np.repeat(centers[:, 4:5], 11, axis=1)
    error = center_distance(copied, centers[:, 5:]).mean(axis=0)
    assert error.mean() > 4
    assert error[0] > 1


def test_train_and_test_show_different_handwriting():
    source = BouncingDigits()
    train, test = (
        set(np.unique(source._motion(CLIP, split, 0, np.arange(20_000)).images))
        for split in ("train", "test")
    )
    images = load_digits().images.reshape(1797, -1)
    assert not train & test
    assert len(train | test) == len(np.unique(images, axis=0)) == 1797
    assert abs(len(test) / 1797 - 0.2) < 0.01


def test_digit_is_the_real_one_enlarged_smoothly():
    source = BouncingDigits(min_speed=0, max_speed=0, digit_size=0.5)
    clip = ClipSpec(size=64)
    motion = source._motion(clip, "test", 0, np.arange(4))
    drawn = source._draw(clip, motion)[0][:, 0, ..., 0]
    for picture, image, row, column in zip(
        drawn, motion.images[:, 0], motion.rows[:, 0, 0], motion.columns[:, 0, 0], strict=True
    ):
        digit = load_digits().images[image]
        # Around each source pixel's centre, 3.2 frame pixels apart, the drawing follows it.
        at = (np.arange(1, 9) + 0.5) * 3.2 - 0.5
        sampled = ndimage.map_coordinates(
            picture.astype(float),
            np.meshgrid(at + row / 8, at + column / 8, indexing="ij"),
            order=1,
        )
        assert np.corrcoef(sampled.ravel(), digit.ravel())[0, 1] > 0.95


def test_stride_moves_digits_that_many_frames():
    source = BouncingDigits()
    near = source.evaluation_centers(ClipSpec(size=32), split="test", num_clips=8)
    far = ClipSpec(num_conditioning_frames=2, num_predicted_frames=6, size=32, stride=2)
    strided = source.evaluation_centers(far, split="test", num_clips=8)
    assert np.allclose(strided, near[:, ::2], atol=1e-4)


def test_fingerprint_follows_options_split_and_windows():
    keys = {
        BouncingDigits().fingerprint(CLIP, "test"),
        BouncingDigits().fingerprint(CLIP, "train"),
        BouncingDigits(num_digits=2).fingerprint(CLIP, "test"),
        BouncingDigits().fingerprint(ClipSpec(size=64), "test"),
    }
    assert len(keys) == 4
    assert BouncingDigits().fingerprint(CLIP, "test") in keys


@pytest.mark.parametrize(
    "options",
    [
        {"num_digits": 0},
        {"digit_size": 1.0},
        {"min_speed": 0.2},
        {"max_speed": 0.6},
        {"test_fraction": 0},
    ],
)
def test_options_are_checked(options):
    with pytest.raises(InputError, match="received"):
        BouncingDigits(**options)
    with pytest.raises(InputError, match="split"):
        BouncingDigits().num_evaluation_clips(CLIP, "validation")


@pytest.mark.parametrize("size", [32, 64])
def test_estimated_centres_of_one_digit_are_the_true_ones(size):
    clip = ClipSpec(size=size)
    source = BouncingDigits()
    true = source.evaluation_centers(clip, split="test", num_clips=24)
    noise = np.random.default_rng(0).integers(0, 25, (24, 16, size, size, 3))
    clips = np.clip(evaluate(source, clip).astype(int) + noise, 0, 255).astype(np.uint8)
    assert center_distance(digit_centers(clips), true).max() < 0.4
    # Haze below the background level does not pull a centre to the middle of the frame.


def test_two_digits_are_told_apart_where_they_do_not_overlap():
    source = BouncingDigits(num_digits=2)
    true = source.evaluation_centers(CLIP, split="test", num_clips=64)
    estimated = digit_centers(evaluate(source, count=64), num_digits=2)
    apart = np.linalg.norm(true[:, :, 0] - true[:, :, 1], axis=-1) > 14
    assert apart.sum() > 50
    assert center_distance(estimated, true)[apart].max() < 1.5


def test_two_digits_keep_their_order_over_time():
    y, x = np.mgrid[:32, :32]

    def spot(row, column):
        return 250 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 8)

    # They pass each other on different rows, so that a fixed sorting rule would swap them.
    video = np.stack([spot(8, 4 + 3 * t) + spot(24, 28 - 3 * t) for t in range(9)])[None]
    centers = digit_centers(video.astype(np.uint8), num_digits=2)[0]
    first = centers[:, 0] if centers[0, 0, 0] < 16 else centers[:, 1]
    expected = np.stack([np.full(9, 8), 4 + 3 * np.arange(9)], axis=-1)
    assert np.abs(first - expected).max() < 0.3


def test_blank_frame_has_its_centre_in_the_middle():
    blank = np.zeros((2, 3, 16, 24, 3), np.uint8)
    for digits in (1, 2):
        assert np.allclose(digit_centers(blank, digits), [7.5, 11.5])


def test_centre_distance_pairs_digits_by_the_nearest():
    real = np.array([[[[0.0, 0.0], [10.0, 0.0]]]])
    predicted = np.array([[[[10.0, 3.0], [0.0, 1.0]]]])
    assert np.allclose(center_distance(predicted, real), [[2.0]])
    with pytest.raises(InputError, match="shape"):
        center_distance(predicted, real[:, :, :1])
    with pytest.raises(InputError, match="shape"):
        digit_centers(np.zeros((3, 3, 3)))
