"""Questions about a real page, with answers that its text layer proves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from random import Random
from typing import Final

import numpy as np

from tilewise.synth.facts import Question
from tilewise.synth.real import RealPage
from tilewise.synth.sheet import END, SAME_WORD, Glyphs
from tilewise.synth.words import KEYS

AFTER: Final = 3
"""Questions of the form "What comes after" to a page, and values at most."""

_LABEL: Final = re.compile(r"[A-Za-z][A-Za-z0-9 ()/#&.'-]*")


@dataclass(frozen=True, slots=True)
class _Word:
    start: int
    stop: int
    text: str
    left: float
    right: float
    ends: int  # -1 inside a line, else as ``Glyphs.brk``


@dataclass(frozen=True, slots=True)
class _Line:
    words: tuple[_Word, ...]
    block: int
    left: float
    right: float
    y: float
    size: float

    @property
    def text(self) -> str:
        return " ".join(w.text for w in self.words)

    @property
    def ends_block(self) -> bool:
        return self.words[-1].ends == 2


def questions_for(page: RealPage, rng: Random) -> list[Question]:
    """Questions about a page, in the forms the default reader knows.

    'What comes after "W1 W2 W3"?' (the next three words, fewer at the end of a block; the phrase
    stands once on the page), "What is the title?" (only where one heading at the top is clearly
    the largest text), 'What is the value of LABEL?' (a line "Label: value", the label unique),
    and some of the first and last form that the page does not answer.
    """
    lines = _lines(page.chars)
    text = " ".join(line.text for line in lines).casefold()
    found = [
        *_title(page, lines),
        *_some(_values(lines, text), rng),
        *_some(_afters(lines, text, rng), rng),
    ]
    return found + _not_there(lines, text, rng)


def _some(questions: Iterator[Question], rng: Random) -> list[Question]:
    pool = list(questions)
    return rng.sample(pool, min(AFTER, len(pool)))


def _words(glyphs: Glyphs) -> Iterator[_Word]:
    chars = [chr(c) for c in glyphs.code]
    left, right = glyphs.x - glyphs.width / 2, glyphs.x + glyphs.width / 2
    start = 0
    for stop in (np.flatnonzero(glyphs.link != SAME_WORD) + 1).tolist():
        ends = int(glyphs.brk[stop - 1]) if glyphs.link[stop - 1] == END else -1
        yield _Word(
            start,
            stop,
            "".join(chars[start:stop]),
            float(left[start]),
            float(right[stop - 1]),
            ends,
        )
        start = stop


def _lines(glyphs: Glyphs) -> list[_Line]:
    lines: list[_Line] = []
    words: list[_Word] = []
    block = 0
    for word in _words(glyphs):
        words.append(word)
        if word.ends < 1:
            continue
        part = slice(words[0].start, word.stop)
        y, size = float(np.median(glyphs.y[part])), float(np.median(glyphs.height[part]))
        lines.append(_Line(tuple(words), block, min(w.left for w in words), word.right, y, size))
        block += word.ends == 2
        words = []
    return lines


def _is_plain(text: str) -> bool:
    return '"' not in text and text.isprintable() and all(ord(c) < 0x180 for c in text)


def _wraps(line: _Line, below: _Line, lines: list[_Line]) -> bool:
    """Whether a line ends because its column is full, not because the text has a break there.

    The column's edge is taken from all lines that start where this one or the next does; a line
    of a word or two is an item of a list rather than running text.
    """
    if len(line.words) < 3 or line.right - line.left < 10 * line.size:
        return False
    reach = 1.5 * line.size
    near = (o for o in lines if min(abs(o.left - line.left), abs(o.left - below.left)) < reach)
    edge = max(o.right for o in near)
    first = below.words[0]
    return line.right + 0.3 * line.size + (first.right - first.left) > edge - 0.2 * line.size


def _title(page: RealPage, lines: list[_Line]) -> Iterator[Question]:
    size = max((line.size for line in lines), default=0.0)
    top = [i for i, line in enumerate(lines) if line.size > 0.9 * size]
    if not top or size < 1.15 * float(np.median(page.chars.height)):
        return
    first, last = lines[top[0]], lines[top[-1]]
    is_one = top[-1] - top[0] == len(top) - 1 <= 2 and last.y - first.y <= 2.0 * size * (
        len(top) - 1
    )
    is_first = not any(line.y < first.y - first.size for line in lines[top[-1] + 1 :])
    has_cells = any(w.ends == 0 for i in top for w in lines[i].words)
    if not is_one or not is_first or has_cells or top[0] > 3 or first.y > 0.4 * page.height:
        return
    title = " ".join(lines[i].text for i in top)
    if 3 <= len(title) <= 90 and _is_plain(title) and any(c.isalpha() for c in title):
        ask = "What is the title?"
        yield Question(
            "title", ask, title, first.words[0].start, last.words[-1].stop, "0" * len(ask)
        )


def _values(lines: list[_Line], text: str) -> Iterator[Question]:
    for i, line in enumerate(lines):
        colon = next((k for k, w in enumerate(line.words[:4]) if w.text.endswith(":")), None)
        if (
            colon is None
            or colon + 1 == len(line.words)
            or any(w.ends == 0 for w in line.words[:colon])
        ):
            continue
        label = " ".join(w.text for w in line.words[: colon + 1]).removesuffix(":")
        rest = line.words[colon + 1 :]
        value = " ".join(w.text for w in rest)
        above, below = lines[i - 1] if i else None, lines[i + 1] if i + 1 < len(lines) else None
        starts = above is None or above.ends_block or not _wraps(above, line, lines)
        ends = line.ends_block or below is None or not _wraps(line, below, lines)
        is_prose = (len(rest) > 4 and value[-1] in ".:,;") or ":" in value or ".." in value
        has_cells = sum(w.ends == 0 for w in rest) > 0
        if (
            starts and ends and not is_prose and not has_cells
            and 2 <= len(label) <= 32 and _LABEL.fullmatch(label)
            and len(rest) <= 8 and _is_plain(value) and _count(text, label) == 1
        ):  # fmt: skip
            yield _value(label, value, rest[0].start, rest[-1].stop)


def _count(text: str, phrase: str) -> int:
    """How often whole words of the page say a phrase."""
    return len(re.findall(rf"(?<!\w){re.escape(phrase.casefold())}(?!\w)", text))


def _afters(lines: list[_Line], text: str, rng: Random) -> Iterator[Question]:
    """One question at most to a block, from a random place in it."""
    for _, group in groupby(lines, key=lambda line: line.block):
        block = list(group)
        words = [w for line in block for w in line.words]
        hard = {a.words[-1].stop for a, b in pairwise(block) if not _wraps(a, b, lines)}
        for at in rng.sample(range(max(len(words) - 3, 0)), min(4, max(len(words) - 3, 0))):
            said, told = words[at : at + 3], words[at + 3 : at + 6]
            phrase, answer = (" ".join(w.text for w in part) for part in (said, told))
            inner = [*said, *told[:-1]]
            is_whole = len(told) == 3 or answer[-1] in ".!?"
            is_flowing = not any(w.ends == 0 or w.stop in hard or _is_split(w) for w in inner)
            is_flowing &= not _is_split(told[-1])
            is_word = all(any(c.isalnum() for c in w.text) for w in [*said, *told])
            is_word &= sum(c.isalpha() for c in phrase) >= 6 and len(phrase) <= 60
            if (
                is_whole
                and is_flowing
                and is_word
                and _is_plain(phrase + answer)
                and _count(text, phrase) == 1
            ):
                yield _after(phrase, answer, told[0].start, told[-1].stop)
                break


def _is_split(word: _Word) -> bool:
    """Whether a word is the first half of one that goes on in the next line."""
    return word.ends > 0 and word.text.endswith("-")


def _after(phrase: str, answer: str | None, start: int, stop: int) -> Question:
    head, tail = 'What comes after "', '"?'
    tags = "0" * len(head) + "1" * len(phrase) + "0" * len(tail)
    return Question("after", head + phrase + tail, answer, start, stop, tags)


def _value(label: str, answer: str | None, start: int, stop: int) -> Question:
    head = "What is the value of "
    return Question(
        "value", f"{head}{label}?", answer, start, stop, "0" * len(head) + "1" * len(label) + "0"
    )


def _not_there(lines: list[_Line], text: str, rng: Random) -> list[Question]:
    """A label and a phrase that the page does not have; the phrase is of its own words."""
    found = []
    labels = [key for key in KEYS if key.casefold() not in text]
    if labels:
        found.append(_value(rng.choice(labels), None, -1, -1))
    texts = {w.text for line in lines for w in line.words}
    pool = sorted(t for t in texts if len(t) > 2 and t.isalpha() and _is_plain(t))
    if len(pool) >= 3:
        phrase = " ".join(rng.sample(pool, 3))
        if phrase.casefold() not in text:
            found.append(_after(phrase, None, -1, -1))
    return found
