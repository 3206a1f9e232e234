import re

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
    kvd,
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


def test_floats_of_a_stated_range_are_the_bytes_that_they_stand_for():
    a, b = clips(0, 6), clips(1, 5) // 2
    expected = [score(a, b, model=ColourStatistics()) for score in (fvd, kvd)]
    for black, white in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
        floats = [(black + (white - black) * x / 255.0).astype(np.float32) for x in (a, b)]
        model = ColourStatistics()
        given = {"value_range": (black, white), "model": model}
        assert [score(*floats, **given) for score in (fvd, kvd)] == pytest.approx(
            expected, rel=1e-9
        )
    mixed = fvd(a, (b / 255).astype(np.float32), value_range=(0, 1), model=ColourStatistics())
    assert mixed == pytest.approx(expected[0], rel=1e-9)


def test_grey_videos_are_repeated_for_the_three_channels():
    a, b = (clips(seed, 5)[..., :1] for seed in (0, 1))
    expected = fvd(*(np.repeat(x, 3, axis=-1) for x in (a, b)), model=ColourStatistics())
    assert fvd(a, b, model=ColourStatistics()) == pytest.approx(expected)


def mended(line: str, videos):
    """What the line of code in a message makes of the videos."""
    (code,) = re.findall(r"real = (.+?)(?:; received|, before|$)", line)
    return eval(code, {"np": np, "real": videos, "value_range": (0, 1)})  # its own message


@pytest.mark.parametrize(
    ("videos", "said"),
    [
        (np.zeros((2, 9, 3, 16, 16), np.uint8), r"this is \[N, T, C, H, W\]"),
        (np.zeros((2, 3, 9, 16, 16), np.uint8), r"this is \[N, C, T, H, W\]"),
        (np.zeros((2, 9, 16, 16), np.uint8), "grey without an axis of channels"),
        (np.zeros((2, 9, 16, 16, 4), np.uint8), "a fourth channel"),
    ],
)
def test_other_layouts_are_refused_with_the_line_that_mends_them(videos, said):
    with pytest.raises(InputError, match=said) as error:
        fvd(videos, videos, model=ColourStatistics())
    again = mended(str(error.value), videos)
    assert 0.0 <= fvd(again, again, model=ColourStatistics()) < 1e-3


def test_one_video_is_refused_with_the_line_that_cuts_it():
    video = clips(0, 1)[0]
    with pytest.raises(InputError, match="this is one video: real = real") as error:
        fvd(video, video, model=ColourStatistics())
    long = np.concatenate([mended(str(error.value), video)] * 4, axis=1)[:, :32]
    with pytest.raises(InputError, match="at least 2 videos a set, received 1") as error:
        fvd(long, long, model=ColourStatistics())
    again = mended(str(error.value), long)
    assert again.shape == (2, 16, 24, 24, 3)
    assert 0.0 <= fvd(again, again, model=ColourStatistics()) < 1e-3


def test_floats_need_their_range():
    floats = clips(0, 2).astype(np.float32)
    for videos, likely in (
        (floats, "(0, 255)"),
        (floats / 255, "(0, 1)"),
        (floats / 127.5 - 1, "(-1, 1)"),
    ):
        with pytest.raises(InputError, match=re.escape(f"value_range={likely} if")):
            fvd(videos, videos, model=ColourStatistics())
    with pytest.raises(InputError, match=r"do not lie in value_range=\(0, 1\)") as error:
        fvd(floats, floats, value_range=(0, 1), model=ColourStatistics())
    assert mended(str(error.value), floats).max() == 1.0


def test_values_that_are_no_pixels_are_refused():
    broken = clips(0, 3) / 255.0
    broken[1, 2] = np.nan
    with pytest.raises(InputError, match="video 1 holds NaN") as error:
        fvd(broken, broken, value_range=(0, 1), model=ColourStatistics())
    assert len(mended(str(error.value), broken)) == 2
    unscaled = (clips(0, 3) / 255.0).round().astype(np.uint8)
    with pytest.raises(InputError, match=r"no value above 1, cast from \[0, 1\]"):
        fvd(unscaled, unscaled, model=ColourStatistics())
    with pytest.raises(InputError, match=r"received int64: .*astype\(np.uint8\)"):
        fvd(clips(0, 2).astype(np.int64), clips(0, 2), model=ColourStatistics())
    with pytest.raises(InputError, match="at least 9 frames, these have 8"):
        fvd(clips(0, 2)[:, :8], clips(0, 2), model=ColourStatistics())
    with pytest.raises(InputError, match=r"expected videos \[N, T, H, W, 3\]; received"):
        fvd([1, 2], [1, 2], model=ColourStatistics())


def test_a_set_against_itself_is_zero():
    """With fewer videos than features (9), and with more; in any order."""
    for count in (2, 11):
        a = clips(7, count, size=8)
        for other in (a, a[::-1]):
            assert 0.0 <= fvd(a, other, model=ColourStatistics()) < 1e-3
            assert kvd(a, other, model=ColourStatistics()) == 0.0


def test_the_order_of_the_sets_does_not_matter():
    a, b = clips(0, 12), clips(1, 9) // 2
    for score in (fvd, kvd):
        there, back = (score(*pair, model=ColourStatistics()) for pair in ((a, b), (b, a)))
        assert there == pytest.approx(back, rel=1e-9)


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
