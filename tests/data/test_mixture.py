"""A mixture of sources: whose clip stands where, in which shares, and what it is scored on."""

import numpy as np
import pytest

from trivd_tf import data
from trivd_tf.base.errors import InputError

CLIP = data.ClipSpec(num_conditioning_frames=2, num_predicted_frames=2, size=16)


@pytest.fixture
def sources():
    return [data.BouncingDigits(), data.BouncingDigits(num_digits=2)]


def test_every_clip_is_one_source_s_own_and_shares_are_kept(sources):
    mixture = data.Mixture(sources=sources, weights=[3, 1])
    places = np.arange(100, 1124)
    videos, labels = mixture._training_batch(CLIP, 5, places)
    of_sources = [source._training_batch(CLIP, 5, places)[0] for source in sources]
    same = [(videos == each).all(axis=(1, 2, 3, 4)) for each in of_sources]
    assert (same[0] ^ same[1]).all()
    assert abs(same[0].mean() - 0.75) < 0.05
    assert not labels.any()
    # A slice of the stream holds what the stream holds there.
    part, _ = mixture._training_batch(CLIP, 5, places[40:50])
    np.testing.assert_array_equal(part, videos[40:50])


def test_it_is_scored_on_the_first_source(sources):
    mixture = data.Mixture(sources=sources, weights=[1, 1])
    mine, _ = mixture._evaluation_batch(CLIP, "test", np.arange(3))
    first, _ = sources[0]._evaluation_batch(CLIP, "test", np.arange(3))
    np.testing.assert_array_equal(mine, first)
    assert mixture.fingerprint(CLIP, "test") == sources[0].fingerprint(CLIP, "test")
    other = data.Mixture(sources=sources, weights=[1, 2])
    assert mixture.fingerprint(CLIP, "train") != other.fingerprint(CLIP, "train")


@pytest.mark.parametrize("weights", [[1], [1, 0], [1, -1]])
def test_weights_that_say_nothing_are_refused(sources, weights):
    with pytest.raises(InputError, match="a weight above 0 for each source"):
        data.Mixture(sources=sources, weights=weights)
    with pytest.raises(InputError, match="received 0 sources"):
        data.Mixture(sources=[], weights=[])
