"""Gates of the detailed filter: what a document must be after its edits.

Source: OmniCorpus (arXiv 2406.08418), appendix on human-feedback filtering, and its release.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from tilewise.corpus.filters.config import FullFilterConfig
from tilewise.corpus.filters.edits import Context
from tilewise.corpus.filters.languages import UNSPACED, split_words
from tilewise.corpus.filters.paragraphs import PARAGRAPHS
from tilewise.corpus.filters.preliminary import Broken
from tilewise.corpus.filters.rules_text import flagged_share
from tilewise.corpus.filters.words import GOPHER_STOP_WORDS, PROOF_WORDS
from tilewise.records import Block

RELEASED_STOP_WORDS: Final = frozenset("the is are am to of and that have with".split())
"""What the released gate counts, where its own description names Gopher's list."""

Scores = dict[str, float | None]

_LETTER = re.compile(r"[^\W\d_]")
_TOKEN = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
_EDGES: Final = "\"'“”‘’()[]{}<>.,;:!?…*"


def measure_gates(blocks: Sequence[Block], images: int, context: Context) -> Scores:
    """The numbers that the gates compare.

    Args:
        blocks: the document after its edits.
        images: images it had before them.
        context: settings and language.

    Returns:
        Name → value; None where a measure says nothing in this language.
    """
    texts = [block.text for block in blocks if block.text]
    lang, text = context.lang, "\n".join(texts)
    unspaced = lang in UNSPACED
    words = _TOKEN.findall(text) if context.is_compat else split_words(text, lang)
    paragraphs = _lengths(blocks, lang)
    counts = Counter(words)
    unsure = [word for word in counts if not word.isalpha()]
    with_letter = len(words) - sum(counts[one] for one in unsure if not _LETTER.search(one))
    per_word = context.cfg.ideographs_per_word if unspaced else 1
    scores: Scores = {
        "full_left": sum(block.kind != "header" for block in blocks if block.text),
        "full_words": len(words),
        "full_alpha_words": with_letter / len(words) if words else 0.0,
        "full_stop_words": _stop_words(counts, context),
        "full_flagged": flagged_in(text, context),
        "words_per_image": len(words) / per_word / images if images else None,
        "longest_paragraph": max(paragraphs, default=0),
        "mean_paragraph": sum(paragraphs) / len(paragraphs) if paragraphs else 0.0,
    }
    chars = sum(map(len, words))
    scores["full_mean_word_length"] = None if unspaced or not words else chars / len(words)
    return scores


def _lengths(blocks: Sequence[Block], lang: str) -> list[int]:
    """Words of each paragraph; of each list item where a page is all items."""
    kinds = PARAGRAPHS if any(block.kind in PARAGRAPHS for block in blocks) else {"list"}
    return [len(split_words(block.text, lang)) for block in blocks if block.kind in kinds]


def _stop_words(counts: Counter[str], context: Context) -> float | None:
    """Stop words, each as often as it stands there; None in a language without a list."""
    if context.is_compat:
        return sum(counts[word] for word in RELEASED_STOP_WORDS)
    proof = GOPHER_STOP_WORDS if context.lang == "en" else PROOF_WORDS.get(context.lang)
    if proof is None:
        return None
    return sum(n for word, n in counts.items() if word.strip(_EDGES).lower() in proof)


def flagged_in(text: str, context: Context) -> float:
    """Flagged words among the words of a text, 0 to 1; in Chinese, ideographs of flagged words."""
    if context.lang not in UNSPACED:
        return flagged_share(text.lower(), context.flagged)
    total = len(split_words(text, context.lang))
    found = sum(text.count(word) * len(word) for word in context.flagged)
    return found / total if total else 0.0


Found = tuple[float | str, float | str] | None
Gate = Callable[[Scores, int, Context], Found]
"""Measured values and the images before the edits → (value, limit) where the gate is shut."""


def newspaper_source(scores: Scores, images: int, context: Context) -> Found:
    """Chinese 9: a page of a source that is dropped as a whole, by its host."""
    host = context.host
    for source in context.cfg.newspaper_hosts:
        if host == source or host.endswith(f".{source}"):
            return host, source
    return None


def text_empty(scores: Scores, images: int, context: Context) -> Found:
    """No paragraph, item, table or code is left."""
    return (0, 1) if not scores["full_left"] else None


def too_few_words(scores: Scores, images: int, context: Context) -> Found:
    """26: too few words."""
    limit = context.cfg.words_min * _per_word(context)
    words = scores["full_words"] or 0
    return (words, limit) if words < limit else None


def too_many_words(scores: Scores, images: int, context: Context) -> Found:
    """26: too many words."""
    limit = context.cfg.words_max * _per_word(context)
    words = scores["full_words"] or 0
    return (words, limit) if words > limit else None


def mean_word_length(scores: Scores, images: int, context: Context) -> Found:
    """26: words too short or too long on average."""
    value, cfg = scores["full_mean_word_length"], context.cfg
    if value is None or cfg.mean_word_length_min <= value <= cfg.mean_word_length_max:
        return None
    too_low = value < cfg.mean_word_length_min
    return value, cfg.mean_word_length_min if too_low else cfg.mean_word_length_max


def low_alpha_words(scores: Scores, images: int, context: Context) -> Found:
    """27: too few words hold a letter."""
    value, limit = scores["full_alpha_words"] or 0.0, context.cfg.alpha_words_min
    return None if value > limit else (value, limit)


def few_stop_words(scores: Scores, images: int, context: Context) -> Found:
    """28: too few stop words, whether different or not."""
    value, limit = scores["full_stop_words"], context.cfg.stop_words_min
    return None if value is None or value >= limit else (value, limit)


def adult_words(scores: Scores, images: int, context: Context) -> Found:
    """29: too many flagged words."""
    value, limit = scores["full_flagged"] or 0.0, context.cfg.flagged_max
    return (value, limit) if value > limit else None


def text_image_ratio(scores: Scores, images: int, context: Context) -> Found:
    """30: many images and few words to each."""
    value, cfg = scores["words_per_image"], context.cfg
    if value is None or images <= cfg.many_images or value >= cfg.words_per_image_min:
        return None
    return value, cfg.words_per_image_min


def paragraph_lengths(scores: Scores, images: int, context: Context) -> Found:
    """31: the longest paragraph is short, and they are short on average."""
    cfg, per_word = context.cfg, _per_word(context)
    longest = (scores["longest_paragraph"] or 0) < cfg.longest_paragraph_min * per_word
    mean, limit = scores["mean_paragraph"] or 0.0, cfg.mean_paragraph_min * per_word
    return (mean, limit) if longest and mean < limit else None


def _per_word(context: Context) -> int:
    return context.cfg.ideographs_per_word if context.lang in UNSPACED else 1


GATES: Final[Mapping[str, tuple[str, Gate]]] = MappingProxyType(
    {
        "newspaper_source": ("zh 9", newspaper_source),
        "adult_words": ("29", adult_words),  # before those that hold where rule 12 took all
        "text_empty": ("", text_empty),
        "too_few_words": ("26", too_few_words),
        "too_many_words": ("26", too_many_words),
        "mean_word_length": ("26", mean_word_length),
        "low_alpha_words": ("27", low_alpha_words),
        "few_stop_words": ("28", few_stop_words),
        "text_image_ratio": ("30", text_image_ratio),
        "paragraph_lengths": ("31", paragraph_lengths),
    }
)
"""Reason of a dropped document → number in the published list, and the test, in order."""


def shut(scores: Scores, images: int, context: Context) -> tuple[Broken, ...]:
    """Every gate that is on and shut, in order."""
    return tuple(
        Broken(name, *found)
        for name, (_, gate) in GATES.items()
        if name not in context.cfg.off and (found := gate(scores, images, context)) is not None
    )


def gate_lines(cfg: FullFilterConfig) -> dict[str, tuple[float | None, float | None]]:
    """Score of a gate → (least, most) that pass."""
    return {
        "full_words": (cfg.words_min, cfg.words_max),
        "full_mean_word_length": (cfg.mean_word_length_min, cfg.mean_word_length_max),
        "full_alpha_words": (cfg.alpha_words_min, None),
        "full_stop_words": (cfg.stop_words_min, None),
        "full_flagged": (None, cfg.flagged_max),
        "words_per_image": (cfg.words_per_image_min, None),
        "mean_paragraph": (cfg.mean_paragraph_min, None),
    }
