"""How much of a text says itself again: lines, paragraphs and runs of words (n-grams)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

TOP_SIZES: Final = (2, 3, 4)
"""Sizes of n-gram of which only the most frequent one counts."""

REPEATED_SIZES: Final = (5, 6, 7, 8, 9, 10)
"""Sizes of n-gram of which every repeated one counts."""

_SIZES: Final = frozenset((*TOP_SIZES, *REPEATED_SIZES))

_FEW: Final = 100
"""Up to so many places are looked at one by one: a call of NumPy takes as long as ten of them."""

_Ids = NDArray[np.int64]
_Few = list[list[int]]
"""Where each n-gram that is said more than once begins, in order."""


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
    lengths[ids].cumsum(out=ends[1:])
    starts = (np.bincount(ids) > 1)[ids].nonzero()[0]
    for size, found in _sizes(starts, ids[starts], ends, per_word):
        shares[size] = min(found / int(ends[-1]), 1.0)
    return shares


def _sizes(starts: _Ids, codes: _Ids, ends: _Ids, per_word: int) -> Iterator[tuple[int, int]]:
    """(Size in words, characters) of the n-grams that are said more than once.

    Args:
        starts: where words begin that are said more than once, in order.
        codes: which word each of them is.
        ends: characters before each word.
        per_word: as for ``ngram_shares``.
    """
    few: _Few | None = None
    for size in range(2, REPEATED_SIZES[-1] * per_word + 1):
        if few is None and len(starts) <= _FEW:
            few, ends_of = _by_code(starts.tolist(), codes.tolist()), ends.tolist()
        words_long, odd = divmod(size, per_word)
        is_top, is_asked = words_long in TOP_SIZES, not odd and words_long in _SIZES
        if few is not None:
            few = _longer_of_few(few)
            if not few:
                return
            if is_asked:
                measured = _most_frequent_of_few if is_top else _all_repeated_of_few
                yield words_long, measured(few, size, ends_of)
            continue
        starts, codes = _longer(starts, codes)
        if not len(starts):
            return
        if is_asked:
            part = (starts, codes, size, ends)
            yield words_long, _most_frequent(*part) if is_top else _all_repeated(*part)


def _longer(starts: _Ids, codes: _Ids) -> tuple[_Ids, _Ids]:
    """The n-grams that are said more than once, from those one word shorter.

    A repeated n-gram begins and ends with a repeated one that is one word shorter, and the codes
    of the two tell it, so few are looked at.

    Args:
        starts: where the shorter ones begin, in order.
        codes: a number below that of all words for each, equal for equal ones.
    """
    at = (starts[1:] - starts[:-1] == 1).nonzero()[0]
    if len(at) < 2:
        return starts[:0], codes[:0]
    starts, pairs = starts[at], codes[at] * (int(codes.max()) + 1) + codes[at + 1]
    order = pairs.argsort(kind="stable")
    in_order = pairs[order]
    differs = np.ones(len(pairs) + 1, dtype=bool)
    np.not_equal(in_order[1:], in_order[:-1], out=differs[1:-1])
    again = ~(differs[:-1] & differs[1:])
    numbers = np.zeros(len(pairs), dtype=np.int64)  # by place; 0 for what is said once
    numbers[order[again]] = differs[:-1].cumsum()[again]
    found = numbers.nonzero()[0]
    return starts[found], numbers[found]


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


def _by_code(starts: list[int], codes: list[int]) -> _Few:
    groups: dict[int, list[int]] = {}
    for start, code in zip(starts, codes, strict=True):
        groups.setdefault(code, []).append(start)
    return list(groups.values())


def _longer_of_few(groups: _Few) -> _Few:
    """As ``_longer``."""
    places = sorted((start, code) for code, group in enumerate(groups) for start in group)
    longer: dict[tuple[int, int], list[int]] = {}
    for (start, code), (after, code_after) in pairwise(places):
        if after - start == 1:
            longer.setdefault((code, code_after), []).append(start)
    return [group for group in longer.values() if len(group) > 1]


def _most_frequent_of_few(groups: _Few, size: int, ends: Sequence[int]) -> int:
    """As ``_most_frequent``."""
    most = max(map(len, groups))
    return most * max(ends[g[0] + size] - ends[g[0]] for g in groups if len(g) == most)


def _all_repeated_of_few(groups: _Few, size: int, ends: Sequence[int]) -> int:
    """As ``_all_repeated``."""
    chars = covered = 0
    for start in sorted(start for group in groups for start in group[1:]):
        chars += ends[start + size] - ends[max(covered, start)]
        covered = start + size
    return chars
