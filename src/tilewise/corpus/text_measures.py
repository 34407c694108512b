"""What the preliminary text filters compare: one pass over a document gives every number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from tilewise.corpus.languages import (
    UNSPACED,
    Language,
    LanguageConfig,
    Scripts,
    identify,
    script_shares,
    split_words,
)
from tilewise.corpus.repetition import ngram_shares, repeated_pieces
from tilewise.corpus.words import PROOF_WORDS, STOP_WORDS
from tilewise.records import Block

BULLETS: Final = ("•", "‣", "▪", "▫", "◦", "●", "○", "■", "□", "∙", "·", "➢", "▶", "- ", "* ", "– ")
"""What an item begins with where its page writes it as text; items in list tags are prose."""

ELLIPSES: Final = ("...", "…", ". . .")

_EDGES: Final = "\"'“”‘’«»„()[]{}<>.,;:!?…·*#/\\|=+~`—–-_。，、；：！？（）《》「」『』【】"
_LETTER = re.compile(r"[^\W\d_]")
_NO_DIGITS = re.compile(r"\D+")
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")
_SENTENCE_END = re.compile(r"[.!?…](?=[\s\"'”’»)\]]|$)|[。！？]")
_LOREM = re.compile("[Ll][Oo][Rr][Ee][Mm] [Ii][Pp][Ss][Uu][Mm]")


class PlainText(NamedTuple):
    """The text of a document in the forms that measures need.

    ``text`` joins the blocks with newlines; ``lines`` are stripped and not blank.
    """

    text: str
    paragraphs: Sequence[str]
    lines: Sequence[str]


def plain_text(blocks: Sequence[Block]) -> PlainText:
    """The text of all blocks, and its lines."""
    paragraphs = [block.text for block in blocks if block.text]
    lines = [line for one in paragraphs for raw in one.split("\n") if (line := raw.strip())]
    return PlainText("\n".join(paragraphs), paragraphs, lines)


def prose(blocks: Sequence[Block]) -> str:
    """The text of the blocks that hold language; all text where there is none."""
    said = " ".join(b.text for b in blocks if b.kind not in ("code", "table") and b.text)
    return said or " ".join(block.text for block in blocks)


def tell_language(blocks: Sequence[Block], cfg: LanguageConfig) -> tuple[Language, Scripts]:
    """The language of a document's prose, and its scripts."""
    text = prose(blocks)
    scripts = script_shares(text)
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
    counts = Counter(words)
    chars = sum(map(len, plain.text.split() if unspaced else words))  # without white space
    scores["mean_word_length"] = None if unspaced else chars / len(words)
    scores["symbol_ratio"] = max(
        plain.text.count("#"), plain.text.count("...") + plain.text.count("…")
    ) / len(words)
    scores |= _by_line(plain)
    east_asian = lang in ("zh", "ja")
    scores["ideograph_share"] = scripts.east_asian if east_asian else None
    scores |= _by_word(counts, lang, len(words))
    scores["lorem_ipsum"] = len(_LOREM.findall(plain.text))
    scores["digit_ratio"] = len(_NO_DIGITS.sub("", plain.text)) / max(chars, 1)
    scores |= _newlines(plain.text)
    scores["curly_bracket"] = plain.text.count("{")
    scores["sentences"] = len(_SENTENCE_END.findall(plain.text))
    scores |= _repeated(plain, words, counts, per_word if unspaced else 1)
    return scores


def _by_line(plain: PlainText) -> dict[str, float | None]:
    lines = plain.lines
    bullets = sum(line.startswith(BULLETS) for line in lines)
    ellipses = sum(line.endswith(ELLIPSES) for line in lines)
    total = max(len(lines), 1)
    return {"bullet_lines": bullets / total, "ellipsis_lines": ellipses / total}


def _by_word(counts: Counter[str], lang: str, total: int) -> dict[str, float | None]:
    """What is counted by different words, each looked at once.

    Words with a letter of any script, stop words that prove prose (different ones), and the share
    of the most frequent other word.
    """
    folded: dict[str, int] = {"": 0}
    without_letter = 0
    for word, n in counts.items():
        if word.isalpha():
            bare = word.lower()
        else:
            bare = word.strip(_EDGES).lower()
            if not bare.isalpha() and _LETTER.search(bare) is None:
                without_letter += n
        folded[bare] = folded.get(bare, 0) + n
    proof = PROOF_WORDS.get(lang)
    proven = None if proof is None else sum(word in folded for word in proof)
    for word in ("", *STOP_WORDS.get(lang, ())):
        folded.pop(word, None)
    return {
        "alpha_words": (total - without_letter) / total,
        "stop_words": proven,
        "top_word_ratio": max(folded.values(), default=0) / total,
    }


def _newlines(text: str) -> dict[str, float | None]:
    """The longest run of blank lines, and newlines per character."""
    longest = 0
    if "\n\n" in text or "\n " in text or "\n\t" in text:
        longest = max((run.count("\n") - 1 for run in _BLANK_LINES.findall(text)), default=0)
    return {"newline_run": longest, "newline_ratio": text.count("\n") / max(len(text), 1)}


def _repeated(
    plain: PlainText, words: Sequence[str], counts: Counter[str], per_word: int
) -> dict[str, float | None]:
    lines, paragraphs = repeated_pieces(plain.lines), repeated_pieces(plain.paragraphs)
    shares = ngram_shares(words, dict(zip(counts, range(len(counts)), strict=True)), per_word)
    found: dict[str, float | None] = {
        "dup_lines": lines.pieces,
        "dup_line_chars": lines.characters,
        "dup_paragraphs": paragraphs.pieces,
        "dup_paragraph_chars": paragraphs.characters,
    }
    found.update({f"ngram_{size}": share for size, share in shares.items()})
    return found
