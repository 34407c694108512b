"""What the preliminary text filters compare: one pass over a document gives every number."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewise.corpus.filters.languages import (
    UNSPACED,
    Language,
    LanguageConfig,
    Scripts,
    beyond_ascii,
    identify,
    script_shares,
    split_words,
)
from tilewise.corpus.filters.repetition import ngram_shares, repeated_pieces
from tilewise.corpus.filters.words import PROOF_WORDS, STOP_WORDS
from tilewise.records import Block

BULLETS: Final = ("•", "‣", "▪", "▫", "◦", "●", "○", "■", "□", "∙", "·", "➢", "▶", "- ", "* ", "– ")
"""What an item begins with where its page writes it as text; items in list tags are prose."""

ELLIPSES: Final = ("...", "…", ". . .")

_EDGES: Final = "\"'“”‘’«»„()[]{}<>.,;:!?…·*#/\\|=+~`—–-_。，、；：！？（）《》「」『』【】"
_LETTER = re.compile(r"[^\W\d_]")
_NO_DIGITS = re.compile(r"\D+")
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")
_SENTENCE_END = re.compile(r"[.!?…。！？](?:(?<=[。！？])|(?=[\s\"'”’»)\]]|$))")
_DIGITS: Final = b"0123456789"


class PlainText(NamedTuple):
    """The text of a document in the forms that measures need.

    ``text`` joins the blocks with newlines; ``lines`` are stripped and not blank. ``folded`` is
    the text in UTF-8 with small ASCII letters, ``beyond`` its characters that are not ASCII: most
    of what is looked for stands in one of them, where looking takes a tenth of the time.
    """

    text: str
    paragraphs: Sequence[str]
    lines: Sequence[str]
    folded: bytes
    beyond: str


def plain_text(blocks: Sequence[Block]) -> PlainText:
    """The text of all blocks, and its lines."""
    paragraphs = [block.text for block in blocks if block.text]
    text = "\n".join(paragraphs)
    lines = [line for raw in text.split("\n") if (line := raw.strip())]
    data = text.encode("utf-8", "surrogatepass")
    return PlainText(text, paragraphs, lines, data.lower(), beyond_ascii(text, data))


def prose(blocks: Sequence[Block]) -> str:
    """The text of the blocks that hold language; all text where there is none."""
    said = " ".join(b.text for b in blocks if b.kind not in ("code", "table") and b.text)
    return said or " ".join(block.text for block in blocks)


def tell_language(
    blocks: Sequence[Block], plain: PlainText, cfg: LanguageConfig
) -> tuple[Language, Scripts]:
    """The language of a document's prose, and its scripts; ``plain`` is all of its text."""
    text = prose(blocks)
    scripts = script_shares(text, plain.beyond)
    return identify(text, cfg, scripts), scripts


def measure(
    plain: PlainText, language: Language, scripts: Scripts, words_max: int, per_word: int
) -> dict[str, float | None]:
    """Every number that the preliminary filters compare.

    Args:
        plain: the text of a document.
        language: its language, which fixes how words are counted.
        scripts: the scripts of its prose.
        words_max: from more words on nothing but ``words`` is measured, for time's sake.
        per_word: ideographs that stand for one word.

    Returns:
        Name → value; None where a measure says nothing in this language.
    """
    lang = language.code
    unspaced = lang in UNSPACED
    words = split_words(plain.text, lang)
    scores: dict[str, float | None] = {"words": len(words)}
    if not words or len(words) > words_max:
        return scores
    index = _Index(count().__next__)
    ids = np.fromiter(map(index.__getitem__, words), dtype=np.int64, count=len(words))
    lengths = np.fromiter(map(len, index), dtype=np.int64, count=len(index))
    counts = np.bincount(ids)
    chars = sum(map(len, plain.text.split())) if unspaced else int(lengths @ counts)
    scores["mean_word_length"] = None if unspaced else chars / len(words)
    scores["symbol_ratio"] = max(
        plain.text.count("#"), plain.text.count("...") + plain.text.count("…")
    ) / len(words)
    scores |= _by_line(plain)
    east_asian = lang in ("zh", "ja")
    scores["ideograph_share"] = scripts.east_asian if east_asian else None
    scores |= _by_word(index, counts.tolist(), lang)
    scores["lorem_ipsum"] = plain.folded.count(b"lorem ipsum")
    scores["digit_ratio"] = _digits(plain) / max(chars, 1)
    scores |= _newlines(plain)
    scores["curly_bracket"] = plain.text.count("{")
    scores["sentences"] = len(_SENTENCE_END.findall(plain.text))
    scores |= _repeated(plain, ids, lengths, per_word if unspaced else 1)
    return scores


_Index = defaultdict[str, int]
"""A number for each different word, in the order in which they are met."""


def _by_line(plain: PlainText) -> dict[str, float | None]:
    lines = plain.lines
    bullets = sum(line.startswith(BULLETS) for line in lines)
    ellipses = sum(line.endswith(ELLIPSES) for line in lines)
    total = max(len(lines), 1)
    return {"bullet_lines": bullets / total, "ellipsis_lines": ellipses / total}


def _by_word(words: Mapping[str, int], counts: Sequence[int], lang: str) -> dict[str, float | None]:
    """What is counted by different words, each looked at once; ``counts`` in their order.

    Words with a letter of any script, stop words that prove prose (different ones), and the share
    of the most frequent other word.
    """
    folded: dict[str, int] = {"": 0}
    without_letter = 0
    small = " ".join(words).lower().split(" ")  # at once, as no word holds a space
    for word, bare, n in zip(words, small, counts, strict=True):
        if not word.isalpha():
            bare = bare.strip(_EDGES)
            if not bare.isalpha() and _LETTER.search(bare) is None:
                without_letter += n
        folded[bare] = folded.get(bare, 0) + n
    total = sum(counts)
    proof = PROOF_WORDS.get(lang)
    proven = None if proof is None else sum(word in folded for word in proof)
    for word in ("", *STOP_WORDS.get(lang, ())):
        folded.pop(word, None)
    return {
        "alpha_words": (total - without_letter) / total,
        "stop_words": proven,
        "top_word_ratio": max(folded.values(), default=0) / total,
    }


def _digits(plain: PlainText) -> int:
    """Digits of any script."""
    without = len(plain.folded.translate(None, _DIGITS))
    others = len(_NO_DIGITS.sub("", plain.beyond)) if plain.beyond else 0
    return len(plain.folded) - without + others


def _newlines(plain: PlainText) -> dict[str, float | None]:
    """The longest run of blank lines, and newlines per character."""
    text, longest = plain.text, 0
    newlines = text.count("\n")
    if len(plain.lines) <= newlines:  # else no line is blank
        longest = max((run.count("\n") - 1 for run in _BLANK_LINES.findall(text)), default=0)
    return {"newline_run": longest, "newline_ratio": newlines / max(len(text), 1)}


def _repeated(
    plain: PlainText, ids: NDArray[np.int64], lengths: NDArray[np.int64], per_word: int
) -> dict[str, float | None]:
    lines, paragraphs = repeated_pieces(plain.lines), repeated_pieces(plain.paragraphs)
    shares = ngram_shares(ids, lengths, per_word)
    found: dict[str, float | None] = {
        "dup_lines": lines.pieces,
        "dup_line_chars": lines.characters,
        "dup_paragraphs": paragraphs.pieces,
        "dup_paragraph_chars": paragraphs.characters,
    }
    found.update({f"ngram_{size}": share for size, share in shares.items()})
    return found
