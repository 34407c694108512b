"""Rules of the detailed filter that look at several blocks; numbers are those of the paper's list.

Source: OmniCorpus (arXiv 2406.08418), appendix on human-feedback filtering, and its release.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from tilewise.corpus.filters.edits import Changes, Context, with_text
from tilewise.corpus.filters.paragraphs import (
    NOTES,
    PARAGRAPHS,
    SENTENCE_ENDS,
    positions,
    sentences,
    word_count,
)
from tilewise.corpus.filters.phrases import CAPTION_WORDS
from tilewise.corpus.filters.rules_text import CLOCK, DATE
from tilewise.records import Block

_NEWLINE = re.compile(r"(?<![^\S\n])[^\S\n]*\n\s*")
_PAGE = re.compile(r"^[^?#]*\.html(?:[?#]|$)", re.IGNORECASE)
_TOKEN = re.compile(r"\w+")
_NUMBERED = re.compile(r"\[\d{1,2}\] ?\S")
_MARK = re.compile(r" ?\[\d{1,2}\]")
_PHOTO_OR_AUTHOR = re.compile(r"by |.*\(photo: ?[^()]*\)", re.DOTALL)
_NOTE = re.compile(
    rf"{DATE}|{CLOCK}|(?<![\w.])@\w{{2,}}|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"
    r"|(?<![\d-])\d{3}-\d{3}-\d{4}(?![\d-])|\bhttps?://|\bpublished (?:on|by)\b"
)


def abnormal_newlines(blocks: Sequence[Block], context: Context) -> Changes:
    """1: a newline goes unless a sentence or clause ends before it; words stay apart."""
    gap = "" if context.is_compat else " "
    return {
        place: with_text(blocks[place], _joined(blocks[place].text, gap))
        for place in positions(blocks)
        if "\n" in blocks[place].text
    }


def _joined(text: str, gap: str) -> str:
    def newline(found: re.Match[str]) -> str:
        before = text[: found.start()].rstrip()[-1:]
        return "\n" if before and before in ".!?:;)'\"" else gap

    return _NEWLINE.sub(newline, text)


def long_underscores(blocks: Sequence[Block], context: Context) -> Changes:
    """2: a long run of underscores parts a paragraph in two."""
    run = "_" * context.cfg.underscores
    found: dict[int, tuple[Block, ...]] = {}
    for place in positions(blocks):
        block = blocks[place]
        if run in block.text:
            parts = re.split(f"{run}_*", block.text)
            found[place] = tuple(one for part in parts for one in with_text(block, part))
    return found


def incomplete_sentences(blocks: Sequence[Block], context: Context) -> Changes:
    """4: at both ends of the document, sentences go until one that ends as a sentence does.

    A sentence that another follows in its paragraph ends well, or they would not be two; so at
    the start whole paragraphs go, and at the end the last sentence of each.
    """
    places = positions(blocks)
    first = 0
    while first < len(places) and not _has_whole_sentence(blocks[places[first]].text):
        first += 1
    found: dict[int, tuple[Block, ...]] = dict.fromkeys(places[:first], ())
    for place in reversed(places[first:]):
        text = blocks[place].text.rstrip()
        if text.endswith(SENTENCE_ENDS):
            break
        found[place] = with_text(blocks[place], text.removesuffix(sentences(text)[-1]))
        if found[place]:
            break
    return found


def _has_whole_sentence(text: str) -> bool:
    return text.rstrip().endswith(SENTENCE_ENDS) or len(sentences(text)) > 1


def empty_heading(blocks: Sequence[Block], context: Context) -> Changes:
    """15: a heading that another of its level follows at once."""
    return {
        place: ()
        for place, (one, following) in enumerate(pairwise(blocks))
        if one.kind == following.kind == "header" and one.level == following.level
    }


def irrelevant_images(blocks: Sequence[Block], context: Context) -> Changes:
    """18, first part: an image without a source, or whose source is a page."""
    return {
        place: ()
        for place, block in enumerate(blocks)
        if block.image is not None and (not block.image.url or _PAGE.search(block.image.url))
    }


def irrelevant_captions(blocks: Sequence[Block], context: Context) -> Changes:
    """18: images without a source; beside any, a short text on downloads, credits, sources."""
    found = dict(irrelevant_images(blocks, context))
    last: int | None = None  # the text before
    is_after_image = False  # with no text between
    for place, block in enumerate(blocks):
        if block.image is not None:
            is_after_image = True
            near = last
        elif block.kind in _CAPTIONS:
            near, last = place if is_after_image else None, place
            is_after_image = False
        else:
            continue
        if near is not None and _is_caption(blocks[near].text, context.cfg.caption_words):
            found[near] = ()
    return found


_CAPTIONS: Final = PARAGRAPHS | {"list"}


def _is_caption(text: str, most: int) -> bool:
    if len(text) > 40 * most:
        return False
    tokens = _TOKEN.findall(text.lower())
    return len(tokens) < most and not CAPTION_WORDS.isdisjoint(tokens)


def aberrant_items(blocks: Sequence[Block], context: Context) -> Changes:
    """22: a list item that begins with "Things to do"."""
    return {
        place: ()
        for place, block in enumerate(blocks)
        if block.kind == "list" and block.text.startswith("Things to do")
    }


def numbered_references(blocks: Sequence[Block], context: Context) -> Changes:
    """23a: paragraphs ``[n] text`` go with their marks, if the last of them is near the end."""
    places = positions(blocks)
    listed = [place for place in places if _NUMBERED.match(blocks[place].text)]
    if not listed or listed[-1] not in places[-_LAST_PARAGRAPHS:]:
        return {}
    found: dict[int, tuple[Block, ...]] = dict.fromkeys(listed, ())
    for place in places:
        text = blocks[place].text
        if place not in found and _MARK.search(text):
            found[place] = with_text(blocks[place], _MARK.sub("", text))
    return found


_LAST_PARAGRAPHS: Final = 5


def references_sponsors(blocks: Sequence[Block], context: Context) -> Changes:
    """23b: near the end, a short element on references goes with all after it; so do sponsors."""
    first = 0 if len(blocks) <= _FEW_ELEMENTS else len(blocks) - len(blocks) // 4
    found: dict[int, tuple[Block, ...]] = {}
    for place in range(first, len(blocks)):
        if blocks[place].kind not in NOTES:
            continue
        folded = blocks[place].text.lower()
        if "sponsore" in folded:
            found[place] = ()
        elif "reference" in folded and word_count(blocks[place].text) < context.cfg.note_words:
            return found | dict.fromkeys(range(place, len(blocks)), ())
    return found


_FEW_ELEMENTS: Final = 20


def date_handle(blocks: Sequence[Block], context: Context) -> Changes:
    """23c: a short element with a date, a time, a handle, an address, a number or a URL."""
    return {
        place: ()
        for place, block in enumerate(blocks)
        if block.kind in NOTES
        and len(block.text) <= _NOTE_CHARS
        and word_count(block.text) < context.cfg.note_words
        and _NOTE.search(block.text.lower())
    }


_NOTE_CHARS: Final = 400
"""Longer elements are no notes, whatever they count as words."""


def closing_note(blocks: Sequence[Block], context: Context) -> Changes:
    """23d: the last paragraph, where it stands in brackets as a whole."""
    places = positions(blocks)
    if not places:
        return {}
    text = blocks[places[-1]].text.strip()
    is_note = text.startswith("(") and text.endswith(")") and ")" not in text[:-1]
    return {places[-1]: ()} if is_note else {}


def author_heading(blocks: Sequence[Block], context: Context) -> Changes:
    """25, of headings: an author or the credit of a photo."""
    return {
        place: ()
        for place, block in enumerate(blocks)
        if block.kind == "header"
        and word_count(block.text) < context.cfg.note_words
        and _PHOTO_OR_AUTHOR.match(block.text.lower())
    }
