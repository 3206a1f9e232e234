"""Random numbers and shuffles as pure functions of (seed, index), without state.

A stream of clips that is defined this way can be resumed at any clip, split over several devices
and built in any order, and remains the same stream.
"""

import numpy as np

_ROUNDS = 8


def _mix(x: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64 (Steele, Lea and Flood 2014): a bijection of 64-bit words."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _word(value: object) -> np.ndarray:
    return np.asarray(value).astype(np.int64).astype(np.uint64)


def hash64(*words: object) -> np.ndarray:
    """Hashes integers (or arrays of them, which broadcast) into uniform 64-bit words."""
    state = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):
        for word in words:
            state = _mix((state ^ _word(word)) + np.uint64(0x9E3779B97F4A7C15))
    return state


def uniform(*words: object) -> np.ndarray:
    """Returns uniform float64 numbers in [0, 1), one for each combination of `words`."""
    return (hash64(*words) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permute(index: np.ndarray, size: int, *key: object) -> np.ndarray:
    """Maps indices by a keyed shuffle of range(size), without building the shuffle.

    A Feistel network shuffles the next even power of two. A result outside the range is shuffled
    again until it is inside (cycle walking), so that the map is a bijection of range(size).

    Args:
      index: int array with values in [0, size).
      size: number of items.
      *key: integers or arrays that broadcast with `index`; each key gives another shuffle.

    Returns:
      int64 array of the shape of `index`.
    """
    index = np.asarray(index, np.int64)
    half_bits = np.uint64(max(1, (max(size - 1, 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half_bits) - np.uint64(1)
    keys = np.broadcast_to(hash64(*key), index.shape)

    def shuffle(values: np.ndarray, keys: np.ndarray) -> np.ndarray:
        left, right = values >> half_bits, values & mask
        for round_number in range(_ROUNDS):
            left, right = right, left ^ (hash64(keys, round_number, right) & mask)
        return (left << half_bits) | right

    values = shuffle(index.astype(np.uint64), keys)
    outside = values >= np.uint64(size)
    while outside.any():
        values[outside] = shuffle(values[outside], keys[outside])
        outside = values >= np.uint64(size)
    return values.astype(np.int64)


def shuffled_epochs(index: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Returns the items at positions `index` of an endless stream of shuffled epochs.

    Args:
      index: int array of positions in the stream, starting at 0.
      size: number of items; each epoch of `size` positions contains each item once.
      seed: seed of the order; each epoch has a different order.

    Returns:
      int64 array of items in [0, size).
    """
    index = np.asarray(index, np.int64)
    return permute(index % size, size, seed, index // size)


def spread_order(size: int) -> np.ndarray:
    """Returns an order of range(size) in which every prefix is spread evenly over the range.

    Any number of multiples of the golden ratio, modulo 1, leave gaps of at most three lengths.
    Sorted by them, the first n of a list of windows cover all videos from start to end.
    """
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    return np.argsort(np.mod(np.arange(size) * golden, 1.0), kind="stable")
