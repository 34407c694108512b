"""The detailed text filters: rules that edit a document, then gates that keep or drop it.

The rules of a document's language are applied in order, pass after pass until nothing changes.
Source: OmniCorpus (arXiv 2406.08418), section on detailed text filtering; numbers of rules and
gates are those of the published list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, NamedTuple

from tilewise.corpus.filters import chinese, rules_blocks, rules_text
from tilewise.corpus.filters.config import FullFilterConfig
from tilewise.corpus.filters.draft import Draft
from tilewise.corpus.filters.edits import Context, Edit, Rule, paragraph_rule, whole_rule
from tilewise.corpus.filters.gates import flagged_in, gate_lines, measure_gates, shut
from tilewise.corpus.filters.preliminary import Broken, dropped
from tilewise.corpus.filters.scorers import NO_SCORERS, Scorers, cut_offs, score_lines, scored
from tilewise.corpus.filters.words import flagged_words
from tilewise.records import Document, Dropped

STAGE: Final = "detailed_text"


ENGLISH: Final = (
    whole_rule("1", rules_blocks.abnormal_newlines, "abnormal_newlines"),
    whole_rule("2", rules_blocks.long_underscores, "long_underscores"),
    paragraph_rule("3", rules_text.video_field, "video_field"),
    whole_rule("4", rules_blocks.incomplete_sentences, "incomplete_sentences"),
    paragraph_rule("5", rules_text.download_hints, "download_hints"),
    paragraph_rule("6", rules_text.source_references, "source_references"),
    paragraph_rule("7", rules_text.upper_case, "upper_case"),
    paragraph_rule("8", rules_text.numbers, "numbers"),
    paragraph_rule("9", rules_text.social_counters, "social_counters"),
    paragraph_rule("10", rules_text.one_word, "one_word"),
    paragraph_rule("11", rules_text.short_pattern, "short_pattern"),
    paragraph_rule("12", rules_text.flagged_paragraph, "flagged_paragraph"),
    # 13 empties the element of comments, which extraction never puts into a document
    paragraph_rule("14", rules_text.header_footer, "header_footer"),
    whole_rule("15", rules_blocks.empty_heading, "empty_heading"),
    paragraph_rule("16", rules_text.read_more, "read_more"),
    paragraph_rule("17", rules_text.urls, "urls"),
    whole_rule("18", rules_blocks.irrelevant_captions, "irrelevant_captions"),
    paragraph_rule("19", rules_text.advertisement_line, "advertisement_line"),
    paragraph_rule("20", rules_text.very_short, "very_short"),
    paragraph_rule("21", rules_text.too_short, "too_short"),
    whole_rule("22", rules_blocks.aberrant_items, "aberrant_items"),
    whole_rule("23a", rules_blocks.numbered_references, "numbered_references"),
    whole_rule("23b", rules_blocks.references_sponsors, "references_sponsors"),
    whole_rule("23c", rules_blocks.date_handle, "date_handle"),
    whole_rule("23d", rules_blocks.closing_note, "closing_note"),
    paragraph_rule("24", rules_text.social_media, "social_media"),
    paragraph_rule("25", rules_text.phone_time_author, "phone_time_author"),
    whole_rule("25", rules_blocks.author_heading, "author_heading"),
)
"""The rules of English in the order of the published list."""

SHARED: Final = (
    whole_rule("2", rules_blocks.long_underscores, "long_underscores"),
    paragraph_rule("7", rules_text.upper_case, "upper_case"),
    paragraph_rule("8", rules_text.numbers, "numbers"),
    whole_rule("15", rules_blocks.empty_heading, "empty_heading"),
    paragraph_rule("17", rules_text.urls, "urls"),
    whole_rule("18", rules_blocks.irrelevant_images, "irrelevant_images"),
    whole_rule("23a", rules_blocks.numbered_references, "numbered_references"),
)
"""Rules that need no words of a language: all that is applied to the others."""

RULES: Final[Mapping[str, tuple[Rule, ...]]] = MappingProxyType(
    {"en": ENGLISH, "zh": (*chinese.RULES, *SHARED), "": SHARED}
)
"""Language → its rules; the empty name stands for every other language."""


class Edited(NamedTuple):
    """A document after the rules, and what each did to it."""

    document: Document
    edits: tuple[Edit, ...]


def filter_full(
    document: Document,
    cfg: FullFilterConfig,
    scorers: Scorers = NO_SCORERS,
    trace: list[Edit] | None = None,
) -> Document | Dropped:
    """Edit a document by the rules of its language, score it, and keep or drop it.

    Args:
        document: with its language told; no language means English.
        cfg: settings.
        scorers: give the scores that are there; the others are recorded as None.
        trace: gets every edit where it is given.

    Returns:
        The edited document, or ``Dropped`` with the first gate that is shut or cut-off that is
        missed; ``scores`` hold what was measured, and under ``edits_<rule>`` the blocks that
        each rule changed.
    """
    edited, edits = apply_rules(document, cfg)
    if trace is not None:
        trace += edits
    found, broken = _judged(edited, document, cfg, scorers)
    return dropped(found, STAGE, broken[0]) if broken else found


def all_reasons(
    document: Document, cfg: FullFilterConfig, scorers: Scorers = NO_SCORERS
) -> tuple[Broken, ...]:
    """Every gate that is shut and every cut-off that is missed, in order."""
    edited, _ = apply_rules(document, cfg)
    return _judged(edited, document, cfg, scorers)[1]


def apply_rules(document: Document, cfg: FullFilterConfig) -> Edited:
    """Apply the rules of the document's language, at most ``cfg.passes`` times."""
    context = _context(document, cfg)
    rules = [rule for rule in rules_of(document.lang) if rule.id not in cfg.off]
    draft = Draft(document.blocks, context)
    edits: list[Edit] = []
    for number in range(1, cfg.passes + 1):
        made = [edit for rule in rules for edit in draft.apply(rule, number)]
        edits += made
        if not made:
            break
    counts = Counter(edit.rule for edit in edits)
    counted = {f"edits_{rule}": float(n) for rule, n in sorted(counts.items())}
    scores = {**document.scores, **counted}
    return Edited(replace(document, blocks=tuple(draft.blocks), scores=scores), tuple(edits))


def rules_of(lang: str) -> tuple[Rule, ...]:
    """The rules of a language; English where none was told."""
    return RULES.get(lang or "en", RULES[""])


def thresholds(cfg: FullFilterConfig) -> Mapping[str, tuple[float | None, float | None]]:
    """Score → (least, most) that pass."""
    return gate_lines(cfg) | score_lines(cfg)


def _context(document: Document, cfg: FullFilterConfig) -> Context:
    lang = document.lang or "en"
    return Context(cfg=cfg, lang=lang, url=document.url, flagged=flagged_words(lang))


def _judged(
    edited: Document, document: Document, cfg: FullFilterConfig, scorers: Scorers
) -> tuple[Document, tuple[Broken, ...]]:
    """The document with its scores, and what it does not pass."""
    context = _context(document, cfg)
    images = sum(image.dropped is None for image in document.images)
    gates = measure_gates(edited.blocks, images, context)
    gates["empty_images"] = sum(not image.url for image in document.images)
    if not gates["full_left"]:  # what rule 12 has emptied is named for what it was
        before = "\n".join(block.text for block in document.blocks)
        gates["full_flagged"] = flagged_in(before, context)
    given = scored(scorers, edited)
    found = {k: v if v is None else round(v, 6) for k, v in (gates | given).items()}
    broken = shut(found, images, context) + cut_offs(given, cfg)
    return replace(edited, scores={**edited.scores, **found}), broken
