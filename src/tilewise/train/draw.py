"""Random numbers without a state: the same key gives the same number, in any process and version.

A sampler that draws by (seed, epoch, number) needs no generator to be kept for resuming, and
workers need not agree on who drew first.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_MASK: Final = (1 << 64) - 1
_ROUNDS: Final = 6


def number(*key: int) -> int:
    """A number of 64 bits, 0 up, for a key of whole numbers.

    Source: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), once for each part.
    """
    x = 0
    for part in key:
        x = (x ^ (part & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        x = (x ^ x >> 27) * 0x94D049BB133111EB & _MASK
        x ^= x >> 31
    return x


def uniform(*key: int) -> float:
    """A number from 0 up to but without 1, for a key."""
    return (number(*key) >> 11) * 2.0**-53


def whole(least: int, most: int, *key: int) -> int:
    """A whole number from ``least`` to ``most``, both included, for a key."""
    return least + int(uniform(*key) * (most - least + 1))


def shuffled(index: int, count: int, *key: int) -> int:
    """Where ``index`` goes in the shuffle of ``count`` places that belongs to a key.

    No two indices go to the same place, so all ``count`` of them are a permutation; none of it is
    kept in memory. Places are halved into bits and mixed in rounds, each of which can be undone;
    a place beyond ``count`` is mixed again until it lies within.

    Source: M. Luby, C. Rackoff, SIAM J. Comput. 17 (1988), and cycle walking by J. Black and
    P. Rogaway (CT-RSA 2002).
    """
    assert 0 <= index < count, f"{index} of {count}"
    half = max(1, ((count - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    place = index
    while True:
        left, right = place >> half, place & mask
        for turn in range(_ROUNDS):
            left, right = right, left ^ (number(*key, turn, right) & mask)
        place = left << half | right
        if place < count:
            return place


def shuffle(count: int, *key: int) -> NDArray[np.int64]:
    """All of ``shuffled`` at once: int64 (count,)."""
    half = max(1, ((count - 1).bit_length() + 1) // 2)
    size, mask = np.uint64(half), np.uint64((1 << half) - 1)
    places = np.arange(count, dtype=np.uint64)
    left_over = np.arange(count)
    while len(left_over):
        place = places[left_over]
        left, right = place >> size, place & mask
        for turn in range(_ROUNDS):
            left, right = right, left ^ (_numbers(number(*key, turn), right) & mask)
        places[left_over] = left << size | right
        left_over = left_over[places[left_over] >= count]
    return places.astype(np.int64)


def _numbers(start: int, last: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """``number`` of keys that differ in their last part alone, given that of the parts before."""
    factors = [np.uint64(factor) for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)]
    x: Any = (np.uint64(start) ^ last) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ x >> np.uint64(30)) * factors[0]
    x = (x ^ x >> np.uint64(27)) * factors[1]
    return x ^ x >> np.uint64(31)
