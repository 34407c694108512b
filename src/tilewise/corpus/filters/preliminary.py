"""The preliminary text filters: is this prose, of a length and kind worth keeping?

Every filter has a name (the reason of a dropped document), can be turned off by that name, and
compares one measured value with a setting. Values go into ``Document.scores``.

Source: OmniCorpus (arXiv 2406.08418), section on preliminary text filtering, which names the
kinds of filter; numbers are those of Gopher (arXiv 2112.11446), C4 (arXiv 1910.10683) and FineWeb
(arXiv 2406.17557) where the paper gives none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, NamedTuple

from tilewise.corpus.filters.languages import UNSPACED, LanguageConfig, word_rule
from tilewise.corpus.filters.measures import measure, plain_text, tell_language
from tilewise.errors import ConfigError
from tilewise.records import Block, Document, Dropped

STAGE: Final = "prelim_text"

LINE_FILTERS: Final = ("javascript", "policy_lines")
"""Filters that drop lines and keep the document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFilterConfig:
    """Thresholds of the preliminary text filters, and which are off.

    Counts are in words of the language's rule (``languages.WORD_RULES``); ``words_min`` and
    ``words_max`` are times ``ideographs_per_word`` in Chinese, Japanese and Thai. The rest are
    shares, 0 to 1. A document is dropped *above* a ``_max`` and *below* a ``_min``, at
    ``alpha_words_min`` and ``ideograph_share_min``, too. ``top_word_ratio_short_max`` holds for
    fewer than ``short_words`` words. ``languages`` are wanted, empty for all. Technical prose in
    Chinese lies at 0.43 of ``ideograph_share`` and more, for the names of programs in it.
    """

    off: frozenset[str] = frozenset({"curly_bracket"})
    words_min: int = 50
    words_max: int = 100_000
    ideographs_per_word: int = 2
    mean_word_length_min: float = 3.0
    mean_word_length_max: float = 10.0
    symbol_ratio_max: float = 0.1
    bullet_lines_max: float = 0.9
    ellipsis_lines_max: float = 0.3
    alpha_words_min: float = 0.8
    ideograph_share_min: float = 0.4
    stop_words_min: int = 2
    digit_ratio_max: float = 0.2
    newline_run_max: int = 20
    newline_ratio_max: float = 0.3
    top_word_ratio_max: float = 0.1
    top_word_ratio_short_max: float = 0.3
    short_words: int = 200
    sentences_min: int = 3
    dup_lines_max: float = 0.3
    dup_paragraphs_max: float = 0.3
    dup_line_chars_max: float = 0.2
    dup_paragraph_chars_max: float = 0.2
    top_ngrams_max: tuple[float, float, float] = (0.20, 0.18, 0.16)
    repeated_ngrams_max: tuple[float, float, float, float, float, float] = (
        0.15,
        0.14,
        0.13,
        0.12,
        0.11,
        0.10,
    )
    languages: tuple[str, ...] = ("en", "zh", "ja", "ru", "de", "fr", "it", "es", "pt")
    language_score_min: float = 0.65
    identify: LanguageConfig = field(default_factory=LanguageConfig)

    def __post_init__(self) -> None:
        known = (*FILTERS, *LINE_FILTERS)
        for name in sorted(self.off):
            if name not in known:
                near = get_close_matches(name, known, 1)
                told = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."
                raise ConfigError(f"off names the text filter {name!r}, which is unknown; {told}")
        if not 0 <= self.words_min <= self.words_max:
            raise ConfigError(
                f"words_min is {self.words_min} and words_max is {self.words_max}; "
                "0 <= words_min <= words_max must hold."
            )
        if self.ideographs_per_word < 1:
            raise ConfigError(
                f"ideographs_per_word is {self.ideographs_per_word}; 1 or more is allowed."
            )


class Broken(NamedTuple):
    """A filter that a document does not pass: the value, and the limit it broke."""

    reason: str
    value: float | str
    threshold: float | str


Scores = Mapping[str, float | None]
Filter = Callable[[Scores, str, TextFilterConfig], tuple[float | str, float | str] | None]
"""Measured values and the language → (value, limit) where the limit is broken."""


def filter_text(document: Document, cfg: TextFilterConfig) -> Document | Dropped:
    """Drop boilerplate lines, measure what is left, and keep or drop the document.

    Returns:
        The document with its language and its measured values, or ``Dropped`` with the first
        filter it does not pass and the document as measured.
    """
    measured = measure_text(document, cfg)
    for name in FILTERS:
        if name not in cfg.off and (broken := _test(name, measured, cfg)) is not None:
            return dropped(measured, STAGE, broken)
    return measured


def all_reasons(document: Document, cfg: TextFilterConfig) -> tuple[Broken, ...]:
    """Every filter that a document does not pass, in the order of ``FILTERS``."""
    measured = measure_text(document, cfg)
    tests = (_test(name, measured, cfg) for name in FILTERS if name not in cfg.off)
    return tuple(broken for broken in tests if broken is not None)


def measure_text(document: Document, cfg: TextFilterConfig) -> Document:
    """The document without boilerplate lines, with its language and every measured value."""
    blocks, lines = document.blocks, Counter[str]()
    plain = plain_text(blocks)
    if _may_have_hint(plain.folded):  # few documents do
        blocks, lines = drop_lines(blocks, cfg)
        plain = plain_text(blocks)
    language, scripts = tell_language(blocks, plain, cfg.identify)
    per_word = cfg.ideographs_per_word
    most = cfg.words_max * (per_word if language.code in UNSPACED else 1)
    scores = measure(plain, language, scripts, most, per_word)
    scores["language_score"] = (
        language.wanted_score(cfg.languages) if cfg.languages else language.score
    )
    scores |= {f"{name}_dropped": lines[name] for name in LINE_FILTERS if name not in cfg.off}
    rounded = {k: v if v is None else round(v, 6) for k, v in scores.items()}
    return replace(
        document,
        blocks=blocks,
        lang=language.code,
        lang_score=language.score,
        scores={**document.scores, **rounded},
    )


def dropped(document: Document, stage: str, broken: Broken) -> Dropped:
    """A dropped document with the filter's name, its value and the limit it broke."""
    return Dropped(
        id=document.id,
        url=document.url,
        stage=stage,
        reason=broken.reason,
        value=broken.value,
        threshold=broken.threshold,
        document=document,
    )


def thresholds(cfg: TextFilterConfig) -> Mapping[str, tuple[float | None, float | None]]:
    """Score → (least, most) that pass; filters that are off have no line."""
    grams = {f"ngram_{n + 2}": limit for n, limit in enumerate(cfg.top_ngrams_max)}
    grams |= {f"ngram_{n + 5}": limit for n, limit in enumerate(cfg.repeated_ngrams_max)}
    lines: dict[str, dict[str, tuple[float | None, float | None]]] = {
        "too_few_words": {"words": (cfg.words_min, None)},
        "too_many_words": {"words": (None, cfg.words_max)},
        "mean_word_length": {
            "mean_word_length": (cfg.mean_word_length_min, cfg.mean_word_length_max)
        },
        "symbol_ratio": {"symbol_ratio": (None, cfg.symbol_ratio_max)},
        "bullet_lines": {"bullet_lines": (None, cfg.bullet_lines_max)},
        "ellipsis_lines": {"ellipsis_lines": (None, cfg.ellipsis_lines_max)},
        "low_alpha_words": {"alpha_words": (cfg.alpha_words_min, None)},
        "few_ideographs": {"ideograph_share": (cfg.ideograph_share_min, None)},
        "few_stop_words": {"stop_words": (cfg.stop_words_min, None)},
        "lorem_ipsum": {"lorem_ipsum": (None, 0)},
        "too_many_numbers": {"digit_ratio": (None, cfg.digit_ratio_max)},
        "line_breaks": {
            "newline_run": (None, cfg.newline_run_max),
            "newline_ratio": (None, cfg.newline_ratio_max),
        },
        "word_frequency": {"top_word_ratio": (None, cfg.top_word_ratio_max)},
        "curly_bracket": {"curly_bracket": (None, 0)},
        "too_few_sentences": {"sentences": (cfg.sentences_min, None)},
        "dup_lines": {name: (None, limit) for name, limit in _dup_limits(cfg)},
        "repetition": {name: (None, limit) for name, limit in grams.items()},
        "language": {"language_score": (cfg.language_score_min, None)},
    }
    found: dict[str, tuple[float | None, float | None]] = {}
    for name, scores in lines.items():
        for score, (least, most) in scores.items() if name not in cfg.off else ():
            known = found.get(score, (None, None))
            found[score] = (
                least if least is not None else known[0],
                most if most is not None else known[1],
            )
    return found


def said(cfg: TextFilterConfig) -> dict[str, str]:
    """What fixes the numbers beside the settings, for the metadata of an output."""
    return {f"words_{lang}": word_rule(lang) for lang in cfg.languages or ("",)}


_JAVASCRIPT = re.compile("javascript")
_POLICY = re.compile(
    "terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies"
)
_HINTS: Final = ("javascript", "cookie", "privacy policy", "terms of use")
_HINTS_SPELLED: Final = tuple(hint.encode() for hint in (*_HINTS, "\u212a"))
"""And the sign for kelvin, which becomes a small ASCII k."""
_LINES: Final = MappingProxyType({"javascript": _JAVASCRIPT, "policy_lines": _POLICY})


def drop_lines(
    blocks: Sequence[Block], cfg: TextFilterConfig
) -> tuple[tuple[Block, ...], Counter[str]]:
    """Blocks without the lines of prose that a line filter names, and how many each dropped.

    Headers, tables and code stay as they are; a block that is left with no line goes.
    """
    counts: Counter[str] = Counter()
    kept: list[Block] = []
    for block in blocks:
        if block.kind not in _PROSE or not _has_hint(block.text):
            kept.append(block)
            continue
        lines = []
        for line in block.text.split("\n"):
            name = _line_filter(line.lower(), cfg)
            if name is None:
                lines.append(line)
            else:
                counts[name] += 1
        if "".join(lines).strip():
            kept.append(replace(block, text="\n".join(lines)))
    return tuple(kept), counts


def _may_have_hint(data: bytes) -> bool:
    """Whether a line filter may name a line of a text in UTF-8 with small ASCII letters."""
    return any(hint in data for hint in _HINTS_SPELLED)


def _has_hint(text: str) -> bool:
    """Whether a line filter may name a line of a text."""
    folded = text.lower()
    return any(hint in folded for hint in _HINTS)


def _line_filter(line: str, cfg: TextFilterConfig) -> str | None:
    """The first line filter that is on and names a line in lower case."""
    active = (name for name in LINE_FILTERS if name not in cfg.off)
    return next((name for name in active if _LINES[name].search(line)), None)


_PROSE: Final = frozenset({"text", "list", "quote", "detail"})


def _test(name: str, document: Document, cfg: TextFilterConfig) -> Broken | None:
    found = FILTERS[name](document.scores, document.lang, cfg)
    return None if found is None else Broken(name, *found)


def _above(name: str, setting: str) -> Filter:
    """Drop above a setting; a value that was not measured passes."""

    def test(scores: Scores, lang: str, cfg: TextFilterConfig) -> tuple[float, float] | None:
        value, limit = scores.get(name), getattr(cfg, setting)
        return (value, limit) if value is not None and value > limit else None

    return test


def _below(name: str, setting: str, *, drop_equal: bool = False) -> Filter:
    def test(scores: Scores, lang: str, cfg: TextFilterConfig) -> tuple[float, float] | None:
        value, limit = scores.get(name), getattr(cfg, setting)
        if value is None or value > limit or (value == limit and not drop_equal):
            return None
        return value, limit

    return test


def _few_words(scores: Scores, lang: str, cfg: TextFilterConfig) -> tuple[float, float] | None:
    limit = cfg.words_min * (cfg.ideographs_per_word if lang in UNSPACED else 1)
    words = scores["words"] or 0
    return (words, limit) if words < limit else None


def _many_words(scores: Scores, lang: str, cfg: TextFilterConfig) -> tuple[float, float] | None:
    limit = cfg.words_max * (cfg.ideographs_per_word if lang in UNSPACED else 1)
    words = scores["words"] or 0
    return (words, limit) if words > limit else None


def _mean_length(scores: Scores, lang: str, cfg: TextFilterConfig) -> tuple[float, float] | None:
    value = scores.get("mean_word_length")
    if value is None:
        return None
    if value < cfg.mean_word_length_min:
        return value, cfg.mean_word_length_min
    return (value, cfg.mean_word_length_max) if value > cfg.mean_word_length_max else None


def _present(name: str) -> Filter:
    def test(scores: Scores, lang: str, cfg: TextFilterConfig) -> tuple[float, float] | None:
        value = scores.get(name)
        return (value, 0) if value else None

    return test


def _line_breaks(scores: Scores, lang: str, cfg: TextFilterConfig) -> tuple[float, float] | None:
    limits = (("newline_run", cfg.newline_run_max), ("newline_ratio", cfg.newline_ratio_max))
    return _first_above(scores, limits)


def _top_word(scores: Scores, lang: str, cfg: TextFilterConfig) -> tuple[float, float] | None:
    is_short = (scores["words"] or 0) < cfg.short_words
    limit = cfg.top_word_ratio_short_max if is_short else cfg.top_word_ratio_max
    return _first_above(scores, (("top_word_ratio", limit),))


def _dup_limits(cfg: TextFilterConfig) -> tuple[tuple[str, float], ...]:
    return (
        ("dup_lines", cfg.dup_lines_max),
        ("dup_paragraphs", cfg.dup_paragraphs_max),
        ("dup_line_chars", cfg.dup_line_chars_max),
        ("dup_paragraph_chars", cfg.dup_paragraph_chars_max),
    )


def _dup_lines(scores: Scores, lang: str, cfg: TextFilterConfig) -> tuple[float, float] | None:
    return _first_above(scores, _dup_limits(cfg))


def _repetition(scores: Scores, lang: str, cfg: TextFilterConfig) -> tuple[float, float] | None:
    sizes = (*cfg.top_ngrams_max, *cfg.repeated_ngrams_max)
    return _first_above(scores, [(f"ngram_{n + 2}", limit) for n, limit in enumerate(sizes)])


def _first_above(scores: Scores, limits: Sequence[tuple[str, float]]) -> tuple[float, float] | None:
    for name, limit in limits:
        value = scores.get(name)
        if value is not None and value > limit:
            return value, limit
    return None


def _language(
    scores: Scores, lang: str, cfg: TextFilterConfig
) -> tuple[float | str, float | str] | None:
    if cfg.languages and lang not in cfg.languages:
        return lang, " ".join(cfg.languages)
    return _below("language_score", "language_score_min")(scores, lang, cfg)


FILTERS: Final[Mapping[str, Filter]] = MappingProxyType(
    {
        "too_few_words": _few_words,
        "too_many_words": _many_words,
        "mean_word_length": _mean_length,
        "symbol_ratio": _above("symbol_ratio", "symbol_ratio_max"),
        "bullet_lines": _above("bullet_lines", "bullet_lines_max"),
        "ellipsis_lines": _above("ellipsis_lines", "ellipsis_lines_max"),
        "low_alpha_words": _below("alpha_words", "alpha_words_min", drop_equal=True),
        "few_ideographs": _below("ideograph_share", "ideograph_share_min", drop_equal=True),
        "few_stop_words": _below("stop_words", "stop_words_min"),
        "lorem_ipsum": _present("lorem_ipsum"),
        "too_many_numbers": _above("digit_ratio", "digit_ratio_max"),
        "line_breaks": _line_breaks,
        "word_frequency": _top_word,
        "curly_bracket": _present("curly_bracket"),
        "too_few_sentences": _below("sentences", "sentences_min"),
        "dup_lines": _dup_lines,
        "repetition": _repetition,
        "language": _language,
    }
)
"""Name of a filter (the reason it gives) → its test, in the order in which they are asked."""
