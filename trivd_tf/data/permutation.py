"""Random numbers and shuffles as pure functions of (seed, index): nothing to store or replay.

A stream of clips that is defined this way can be resumed at any clip, cut into slices for several
devices, and built in any order, and stays the same stream.
"""

import numpy as np

_ROUNDS = 8


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection of 64-bit words."""
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
    """Uniform float64 numbers in [0, 1), one for each combination of the integers given."""
    return (hash64(*words) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permute(index: np.ndarray, size: int, *key: object) -> np.ndarray:
    """Where a keyed shuffle of range(size) puts each index, without building the shuffle.

    A Feistel network shuffles the next even power of two; a result outside the range is shuffled
    again until it falls inside (cycle walking), which keeps the map a bijection of range(size).

    Args:
      index: int array, each in [0, size).
      size: number of things shuffled.
      *key: integers or arrays that broadcast with `index`; each key is another shuffle.

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
    """Item that place `index` of an endless stream holds: every `size` places, each item once.

    Args:
      index: int array of places in the stream, from 0 on.
      size: number of items.
      seed: of the order; each epoch has an order of its own.

    Returns:
      int64 array of items in [0, size).
    """
    index = np.asarray(index, np.int64)
    return permute(index % size, size, seed, index // size)


def spread_order(size: int) -> np.ndarray:
    """Order of range(size) whose every prefix is spread evenly over the whole range.

    Multiples of the golden ratio, modulo 1, leave gaps of at most three lengths however many there
    are; sorting by them makes the first n of a list of windows cover all videos, start to end.
    """
    golden = (np.sqrt(5.0) - 1.0) / 2.0
    return np.argsort(np.mod(np.arange(size) * golden, 1.0), kind="stable")
