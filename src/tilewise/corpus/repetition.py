"""How much of a text says itself again: lines, paragraphs and runs of words (n-grams)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def ngram_shares(
    words: Sequence[str], index: Mapping[str, int], per_word: int = 1
) -> dict[int, float]:
    """Shares of a text's characters that lie in n-grams said more than once.

    For sizes 2 to 4 it is the share of the most frequent n-gram (0 where each is said once). For
    sizes 5 to 10 it is the share of all n-grams that stand earlier in the text, too, each
    character counted once.

    Args:
        words: the text's words in order.
        index: a number from 0 on for each different word.
        per_word: how many of ``words`` make one word of the sizes, 2 for ideographs.

    Returns:
        Size in words (2 to 10) → share of characters, 0 to 1.

    Source: Gopher (arXiv 2112.11446), table A1.
    """
    shares = dict.fromkeys((*TOP_SIZES, *REPEATED_SIZES), 0.0)
    ids = np.fromiter(map(index.__getitem__, words), dtype=np.int64, count=len(words))
    by_word = np.fromiter(map(len, index), dtype=np.int64, count=len(index))
    ends = np.zeros(len(ids) + 1, dtype=np.int64)
    np.cumsum(by_word[ids], out=ends[1:])
    total = int(ends[-1])
    starts, codes = _said_again(np.arange(len(ids)), ids)
    for size in range(2, REPEATED_SIZES[-1] * per_word + 1):
        starts, codes = _longer(starts, codes, ids, size)
        if not len(starts):
            break
        words_long, odd = divmod(size, per_word)
        if odd or words_long not in shares:
            continue
        part = (starts, codes, size, ends)
        found = _most_frequent(*part) if words_long in TOP_SIZES else _all_repeated(*part)
        shares[words_long] = min(found / total, 1.0)
    return shares


def _longer(starts: _Ids, codes: _Ids, ids: _Ids, size: int) -> tuple[_Ids, _Ids]:
    """The n-grams of a size that are said more than once, from those one word shorter.

    A repeated n-gram begins with a repeated one that is one word shorter, so few are looked at.
    """
    fits = starts + size <= len(ids)
    starts, codes = starts[fits], codes[fits]
    return _said_again(starts, codes * (len(ids) + 1) + ids[starts + size - 1])


def _said_again(starts: _Ids, codes: _Ids) -> tuple[_Ids, _Ids]:
    """Those of the codes that stand there more than once, numbered from 0 in place."""
    if len(codes) < 2:
        return starts[:0], codes[:0]
    order = np.argsort(codes, kind="stable")
    sorted_codes = codes[order]
    begins = np.ones(len(codes), dtype=bool)
    np.not_equal(sorted_codes[1:], sorted_codes[:-1], out=begins[1:])
    alone = begins.copy()
    np.logical_and(begins[:-1], begins[1:], out=alone[:-1])
    numbered = np.empty_like(codes)
    numbered[order] = np.where(alone, -1, np.cumsum(begins & ~alone) - 1)
    often = numbered >= 0
    return starts[often], numbered[often]


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
