import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.metrics import (
    FeatureExtractor,
    StreamedMoments,
    frechet_distance,
    frechet_distance_from_moments,
    fvd,
)


class ColourStatistics:
    """Stands for I3D: mean, top row and last frame of each channel, and the range of the input."""

    def __init__(self):
        self.batch_sizes = []

    def __call__(self, videos):
        tf.debugging.assert_less_equal(tf.abs(videos), 1.0 + 1e-5)
        assert videos.shape[2:] == (224, 224, 3)
        tf.numpy_function(lambda n: self.batch_sizes.append(int(n)), [tf.shape(videos)[0]], [])
        return tf.concat(
            [
                tf.reduce_mean(videos, [1, 2, 3]),
                tf.reduce_mean(videos[:, :, 0], [1, 2]),
                tf.reduce_mean(videos[:, -1], [1, 2]),
            ],
            axis=-1,
        )


def clips(seed: int, count: int, size: int = 24) -> np.ndarray:
    rng = np.random.default_rng(seed)
    tint = rng.integers(0, 128, (count, 1, 1, 1, 3))
    noise = rng.integers(0, 128, (count, 9, size, size, 3))
    return (tint + noise).astype(np.uint8)


def test_check_of_the_reference_code(i3d):
    """All-zero against all-255 videos of 15 frames: the reference code states "around 131"."""
    black = np.zeros((16, 15, 64, 64, 3), np.uint8)
    assert fvd(black, black + 255) == pytest.approx(133.9, abs=0.2)


def test_fvd_is_the_frechet_distance_of_the_logits():
    a, b = clips(0, 30), clips(1, 20) // 2
    model = ColourStatistics()
    expected = frechet_distance(*(FeatureExtractor(model)(v) for v in (a, b)))
    assert fvd(a, b, model=model) == pytest.approx(expected, rel=1e-6)
    assert expected > 0.1


def test_features_are_those_of_resized_and_scaled_videos():
    a = clips(2, 3)
    logits = FeatureExtractor(ColourStatistics(), resize="antialiased")(a)
    mean = a.mean(axis=(1, 2, 3)) / 127.5 - 1.0
    # The border's weights differ a little after resizing, the mean moves by less than that.
    np.testing.assert_allclose(logits[:, :3], mean, atol=0.01)


def test_the_resize_rule_reaches_the_features():
    a = clips(3, 2)
    features = {
        rule: FeatureExtractor(ColourStatistics(), resize=rule)(a)
        for rule in ("tf1_bilinear", "tf2_bilinear")
    }
    assert np.abs(features["tf1_bilinear"] - features["tf2_bilinear"]).max() > 1e-4
    a_b = [fvd(a, a[::-1] // 2, rule, model=ColourStatistics()) for rule in features]
    assert a_b[0] != a_b[1]


def test_no_more_clips_at_a_time_than_the_batch_size():
    model = ColourStatistics()
    a = clips(4, 11)
    logits = FeatureExtractor(model, batch_size=4)(a)
    assert model.batch_sizes == [4, 4, 3]
    alone = np.concatenate([FeatureExtractor(ColourStatistics(), batch_size=1)(a)])
    np.testing.assert_allclose(logits, alone, atol=1e-5)


def test_streaming_a_data_set_gives_the_same_score_and_reports_progress():
    a, b = clips(5, 13), clips(6, 10) // 2
    extractor = FeatureExtractor(ColourStatistics(), batch_size=2)
    moments, done = [], []
    for videos, batch in ((a, 5), (b, 3)):
        moments.append(StreamedMoments(9))
        dataset = tf.data.Dataset.from_tensor_slices({"video": videos}).batch(batch)
        for logits in extractor.stream(dataset, progress=done.append):
            moments[-1].update(logits)
    assert done == [5, 10, 13, 3, 6, 9, 10]
    streamed = frechet_distance_from_moments(*moments)
    assert streamed == pytest.approx(fvd(a, b, model=ColourStatistics()), rel=1e-6)


def test_plain_arrays_and_empty_batches_stream_too():
    extractor = FeatureExtractor(ColourStatistics())
    logits = list(extractor.stream([clips(0, 2), clips(1, 1)]))
    assert [len(part) for part in logits] == [2, 1]
    assert extractor(clips(0, 2)[:0]).shape == (0, 400)


@pytest.mark.parametrize(
    "videos",
    [
        np.zeros((2, 8, 16, 16, 3), np.uint8),
        np.zeros((2, 9, 16, 16, 1), np.uint8),
        np.zeros((2, 9, 16, 16, 3), np.float32),
        np.zeros((9, 16, 16, 3), np.uint8),
        [1, 2],
    ],
)
def test_bad_videos_are_refused(videos):
    with pytest.raises(InputError, match="expected uint8 videos"):
        fvd(videos, videos, model=ColourStatistics())


def test_sets_that_do_not_fit_are_refused():
    a = clips(0, 2)
    with pytest.raises(InputError, match="9 and 10 frames"):
        fvd(a, np.repeat(a[:, :1], 10, axis=1), model=ColourStatistics())
    with pytest.raises(InputError, match="at least 2 videos a set, received 1"):
        fvd(a, a[:1], model=ColourStatistics())
    with pytest.raises(InputError, match="resize rule 'nearest'"):
        fvd(a, a, "nearest", model=ColourStatistics())
    with pytest.raises(InputError, match="batch_size = 0"):
        FeatureExtractor(ColourStatistics(), batch_size=0)
