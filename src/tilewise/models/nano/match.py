"""Where the words of a question stand on the page: exact character matches, errors allowed.

This is the explicit question-to-page match that makes locating independent of page size. It is
integer comparison, not learnt; what it finds are anchors, and the decoder learns what they mean.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tilewise.models.nano.alphabet import FOLDED, PAGE_CHARS, class_of
from tilewise.models.nano.reading import CELL, SAME_WORD, Reading
from tilewise.models.nano.series import series

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

LEAST_SCORE: Final = 0.55
"""Share of a phrase's characters that must agree."""
ANCHORS: Final = 6
NUMBERS: Final = 12
ANCHOR_FEATURES: Final = 9


@dataclass(frozen=True, slots=True, eq=False)
class Anchors:
    """Places on the page that a phrase of the question matches; up to k of them, best first.

    ``first`` and ``last`` int64 (k,): characters of the reading, last inclusive. ``features``
    float32 (k, ANCHOR_FEATURES). ``valid`` bool (k,).
    """

    first: Ints
    last: Ints
    features: Floats
    valid: NDArray[np.bool_]


def no_anchors(k: int) -> Anchors:
    """Give k places that stand for nothing."""
    return Anchors(
        np.zeros(k, np.int64),
        np.zeros(k, np.int64),
        np.zeros((k, ANCHOR_FEATURES), np.float32),
        np.zeros(k, np.bool_),
    )


def phrase_classes(phrase: str) -> Ints:
    """Characters of a phrase as classes, case and spaces dropped."""
    found = [class_of(c) for c in phrase]
    return FOLDED[np.array([c for c in found if c > 0], np.int64)]


def match(phrase: str, reading: Reading, k: int = ANCHORS) -> Anchors:
    """The places where ``phrase`` stands, best first; one character may be lost or added."""
    wanted = phrase_classes(phrase)
    m, n = len(wanted), len(reading)
    if m == 0 or n == 0:
        return no_anchors(k)
    page = FOLDED[reading.chars.cls]
    score, shift = _alignments(page, wanted)
    starts_word = np.concatenate([[True], reading.gap[:-1] != SAME_WORD])
    rank = score + 0.06 * starts_word
    last = np.clip(np.arange(n) + m - 1 + shift, 0, n - 1)
    rank += 0.04 * (reading.gap[last] != SAME_WORD)
    good = np.flatnonzero(score >= LEAST_SCORE)
    good = good[np.argsort(-rank[good], kind="stable")][: 8 * k]
    chosen: list[int] = []
    for j in good.tolist():
        if all(abs(j - c) > m // 2 for c in chosen):
            chosen.append(j)
        if len(chosen) == k:
            break
    return _anchors(reading, np.array(chosen, np.int64), last, score, phrase, k)


def _alignments(page: Ints, wanted: Ints) -> tuple[Floats, Ints]:
    """Best share of agreeing characters for a phrase that starts at each place, and its shift."""
    n, m = len(page), len(wanted)
    padded = np.concatenate([page, np.full(m + 1, -1)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, m + 1)[:n]
    straight = np.cumsum(windows[:, :m] == wanted, axis=1, dtype=np.int32)
    score = straight[:, -1].astype(np.float32)
    shift = np.zeros(n, np.int64)
    if m >= 4:
        added = np.cumsum(windows[:, 1:] == wanted, axis=1, dtype=np.int32)
        lost = np.cumsum(windows[:, : m - 1] == wanted[1:], axis=1, dtype=np.int32)
        more = (straight + added[:, -1:] - added).max(1) - 0.7
        fewer = (straight[:, :-1] + lost[:, -1:] - lost).max(1) - 0.7
        for value, by in ((more, 1), (fewer, -1)):
            better = value > score
            score[better], shift[better] = value[better], by
    return score / np.float32(m), shift


def _anchors(reading: Reading, at: Ints, last: Ints, score: Floats, phrase: str, k: int) -> Anchors:
    out = no_anchors(k)
    count = len(at)
    if count == 0:
        return out
    end = last[at]
    before = np.where(at > 0, reading.gap[np.maximum(at - 1, 0)], CELL)
    after = reading.gap[end]
    next_char = reading.chars.cls[np.minimum(end + 1, len(reading) - 1)]
    has_colon = (after <= 1) & np.isin(next_char, _MARKS)
    exact = np.array(
        [_same_case(reading, int(a), int(b), phrase) for a, b in zip(at, end, strict=True)]
    )
    best = score[at].max()
    out.first[:count], out.last[:count] = at, end
    out.features[:count] = np.stack(
        [
            score[at], score[at] > 0.999, score[at] >= best - 1e-6, before != SAME_WORD,
            before >= CELL, after != SAME_WORD, after >= CELL, has_colon, exact,
        ],
        axis=1,
    )  # fmt: skip
    out.valid[:count] = True
    return out


_MARKS: Final = np.array([class_of(c) for c in ":=-.|)"], np.int64)


def _same_case(reading: Reading, first: int, last: int, phrase: str) -> bool:
    page = "".join(PAGE_CHARS[c - 1] for c in reading.chars.cls[first : last + 1].tolist())
    return page == phrase.replace(" ", "")


_NUMBER: Final = re.compile(r"([-+]?)[$€£¥]?\s?(\d[\d,]*\.?\d*|\.\d+)[%a-zA-Z€£¥$°]{0,4}[.,;)]?")


def numbers(reading: Reading) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """Words that are numbers: first and last character and value, each (n,)."""
    if len(reading) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    cuts = np.flatnonzero(np.diff(reading.word)) + 1
    firsts = np.concatenate([[0], cuts])
    lasts = np.concatenate([cuts, [len(reading)]]) - 1
    chars = np.array(list(" " + PAGE_CHARS))[reading.chars.cls]
    found: list[tuple[int, int, float]] = []
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        hit = _NUMBER.fullmatch("".join(chars[first : last + 1]))
        if hit:
            text = hit.group(1) + hit.group(2).replace(",", "")
            found.append((first, last, float(text)))
    table = np.array(found, np.float64).reshape(-1, 3)
    return table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2]


def extremes(reading: Reading, sign: int, k: int = NUMBERS) -> Anchors:
    """Labels of the page's series with the largest (``sign`` 1) or smallest (-1) numbers.

    The best two of every series, likelier charts first; a page without series gives its k most
    extreme numbers instead.
    """
    found = numbers(reading)
    out = no_anchors(k)
    rows: list[tuple[int, int, int, int, bool]] = []
    for group in series(reading, found):
        ranked = sorted(group, key=lambda e: -sign * e.value)
        rows += [(*entry.label, rank, len(group), True) for rank, entry in enumerate(ranked[:2])]
    if not rows:
        order = np.argsort(-sign * found[2], kind="stable")[:k].tolist()
        rows = [
            (int(found[0][i]), int(found[1][i]), rank, 1, False) for rank, i in enumerate(order)
        ]
    for at, (first, last, rank, size, is_label) in enumerate(rows[:k]):
        out.first[at], out.last[at], out.valid[at] = first, last, True
        out.features[at, :5] = 1.0, rank / k, rank == 0, is_label, min(size, 12) / 12
    return out


def number_asked(text: str) -> int | None:
    """The whole number that a piece of a question names, in digits or as a word up to twelve."""
    text = text.strip().lower()
    if text.isdecimal() and len(text) <= 6:
        return int(text)
    return _COUNT.get(text)


_COUNT: Final = {
    word: i + 1 for i, words in enumerate(
        ("one first", "two second", "three third", "four fourth", "five fifth", "six sixth",
         "seven seventh", "eight eighth", "nine ninth", "ten tenth", "eleven eleventh",
         "twelve twelfth")
    ) for word in words.split()
}  # fmt: skip
