"""How much of a text says itself again: lines, paragraphs and runs of words (n-grams)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

TOP_SIZES: Final = (2, 3, 4)
"""Sizes of n-gram of which only the most frequent one counts."""

REPEATED_SIZES: Final = (5, 6, 7, 8, 9, 10)
"""Sizes of n-gram of which every repeated one counts."""

_Ids = NDArray[np.int64]


class Repeated(NamedTuple):
    """Shares of what was there before: of pieces, and of their characters; 0 to 1."""

    pieces: float
    characters: float


def repeated_pieces(pieces: Sequence[str]) -> Repeated:
    """The share of pieces (lines, paragraphs) that stand earlier in the sequence, too."""
    seen: set[str] = set()
    again = again_chars = chars = 0
    for piece in pieces:
        chars += len(piece)
        if piece in seen:
            again += 1
            again_chars += len(piece)
        else:
            seen.add(piece)
    if not chars:
        return Repeated(0.0, 0.0)
    return Repeated(again / len(pieces), again_chars / chars)


def ngram_shares(ids: _Ids, lengths: _Ids, per_word: int = 1) -> dict[int, float]:
    """Shares of a text's characters that lie in n-grams said more than once.

    For sizes 2 to 4 it is the share of the most frequent n-gram (0 where each is said once). For
    sizes 5 to 10 it is the share of all n-grams that stand earlier in the text, too, each
    character counted once.

    Args:
        ids: the text's words in order, each the number of a different word, from 0 on.
        lengths: characters of each different word.
        per_word: how many of the words make one word of the sizes, 2 for ideographs.

    Returns:
        Size in words (2 to 10) → share of characters, 0 to 1.

    Source: Gopher (arXiv 2112.11446), table A1.
    """
    shares = dict.fromkeys((*TOP_SIZES, *REPEATED_SIZES), 0.0)
    if not len(ids):
        return shares
    ends = np.zeros(len(ids) + 1, dtype=np.int64)
    np.cumsum(lengths[ids], out=ends[1:])
    total = int(ends[-1])
    starts = np.flatnonzero((np.bincount(ids) > 1)[ids])
    codes = ids[starts]
    for size in range(2, REPEATED_SIZES[-1] * per_word + 1):
        starts, codes = _longer(starts, codes)
        if not len(starts):
            break
        words_long, odd = divmod(size, per_word)
        if odd or words_long not in shares:
            continue
        part = (starts, codes, size, ends)
        found = _most_frequent(*part) if words_long in TOP_SIZES else _all_repeated(*part)
        shares[words_long] = min(found / total, 1.0)
    return shares


def _longer(starts: _Ids, codes: _Ids) -> tuple[_Ids, _Ids]:
    """The n-grams that are said more than once, from those one word shorter.

    A repeated n-gram begins and ends with a repeated one that is one word shorter, and the codes
    of the two tell it, so few are looked at.

    Args:
        starts: where the shorter ones begin, in order.
        codes: a number below that of all words for each, equal for equal ones.
    """
    at = np.flatnonzero(starts[1:] - starts[:-1] == 1)
    if len(at) < 2:
        return starts[:0], codes[:0]
    starts, pairs = starts[at], codes[at] * (int(codes.max()) + 1) + codes[at + 1]
    order = np.argsort(pairs, kind="stable")
    in_order = pairs[order]
    differs = np.ones(len(pairs) + 1, dtype=bool)
    np.not_equal(in_order[1:], in_order[:-1], out=differs[1:-1])
    again = ~(differs[:-1] & differs[1:])
    found = order[again]
    if not len(found):
        return found, found
    numbers = np.cumsum(differs[:-1])[again]
    by_place = np.argsort(found, kind="stable")
    return starts[found[by_place]], numbers[by_place]


def _most_frequent(starts: _Ids, codes: _Ids, size: int, ends: _Ids) -> int:
    """Characters of the n-gram said most often, the longest of several; all its places."""
    counts = np.bincount(codes)
    best = counts == counts.max()
    lengths = ends[starts + size] - ends[starts]
    return int((lengths[best[codes]]).max() * counts.max())


def _all_repeated(starts: _Ids, codes: _Ids, size: int, ends: _Ids) -> int:
    """Characters inside n-grams that stand earlier, too; ``starts`` are in order."""
    first = np.zeros(int(codes.max()) + 1, dtype=np.int64)
    first[codes[::-1]] = starts[::-1]  # of several places the last to be written is the first
    begin = starts[starts != first[codes]]
    covered_from = np.maximum(begin[1:], begin[:-1] + size)  # not twice where they overlap
    return int(
        (ends[begin[0] + size] - ends[begin[0]])
        + (ends[begin[1:] + size] - ends[np.minimum(covered_from, begin[1:] + size)]).sum()
    )
