import numpy as np
import pytest
from scipy import stats

from trivd_tf.data import permutation


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 17, 100, 1000, 4097])
def test_permute_hits_every_place_once(size):
    assert np.array_equal(
        np.sort(permutation.permute(np.arange(size), size, 1, 2)), np.arange(size)
    )


def test_permute_is_a_function_of_index_and_key_alone():
    whole = permutation.permute(np.arange(1000), 1000, 7)
    assert np.array_equal(permutation.permute(np.arange(300, 310), 1000, 7), whole[300:310])
    assert (permutation.permute(np.arange(1000), 1000, 8) == whole).mean() < 0.01


def test_permute_looks_like_a_uniform_shuffle():
    # Where item 0 of 10 lands under 5,000 keys, and whether neighbours stay neighbours.
    places = permutation.permute(np.zeros(5000, np.int64), 10, np.arange(5000))
    assert stats.chisquare(np.bincount(places, minlength=10)).pvalue > 1e-3
    order = permutation.permute(np.arange(5000), 5000, 3)
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.05


def test_each_epoch_shows_each_item_once_in_an_order_of_its_own():
    stream = permutation.shuffled_epochs(np.arange(30), 10, seed=5).reshape(3, 10)
    assert np.array_equal(np.sort(stream, axis=1), np.tile(np.arange(10), (3, 1)))
    assert len({tuple(epoch) for epoch in stream}) == 3
    tail = permutation.shuffled_epochs(np.arange(13, 30), 10, seed=5)
    assert np.array_equal(tail, stream.reshape(-1)[13:])


def test_uniform_is_uniform_and_streams_are_independent():
    first = permutation.uniform(1, 2, np.arange(20_000))
    second = permutation.uniform(1, 3, np.arange(20_000))
    assert stats.kstest(first, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.03


@pytest.mark.parametrize("prefix", [5, 37, 500])
def test_every_prefix_of_the_spread_order_covers_the_range_evenly(prefix):
    order = permutation.spread_order(1000)
    assert np.array_equal(np.sort(order), np.arange(1000))
    # The first n of 1000 fall on the range no worse than three gap lengths of an even grid.
    gaps = np.diff(np.sort(np.concatenate([[-1], order[:prefix], [1000]])))
    assert gaps.max() <= 3 * 1000 / prefix
