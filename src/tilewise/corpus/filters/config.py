"""Settings of the detailed text filters."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal

from tilewise.errors import ConfigError

NAMES: Final = frozenset(
    """abnormal_newlines long_underscores video_field incomplete_sentences download_hints
    source_references upper_case numbers social_counters one_word short_pattern flagged_paragraph
    header_footer empty_heading read_more urls irrelevant_captions irrelevant_images
    advertisement_line very_short too_short aberrant_items numbered_references
    references_sponsors date_handle closing_note social_media phone_time_author author_heading
    zh_encyclopedia_format zh_duplicate_lines zh_duplicate_images zh_credits zh_turn_page
    zh_keyword_line zh_strange_suffix zh_video_line zh_thanks zh_disclaimer zh_fraud zh_flagged
    newspaper_source adult_words text_empty too_few_words too_many_words mean_word_length
    low_alpha_words few_stop_words text_image_ratio paragraph_lengths
    fluency_prob advertisement porn_prob toxic_prob""".split()
)
"""Every rule, gate and cut-off that ``off`` may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FullFilterConfig:
    """Settings of the detailed text filters.

    ``off`` names rules and gates by id. ``passes``: the rules are applied so often, or until
    nothing changes. ``compat="omnicorpus"`` does what the released code does where that differs
    from its own description. ``near_blocks``: an image among so many blocks before or after is
    near. Counts and lengths are of words by the language's rule, times ``ideographs_per_word``
    in Chinese, Japanese and Thai. Cut-offs of scores: ``_min`` for those that are good when
    high, ``_max`` for those that are good when low.
    """

    off: frozenset[str] = frozenset()
    compat: Literal["", "omnicorpus"] = ""
    passes: int = 3
    near_blocks: int = 2
    underscores: int = 15
    upper_case_max: float = 0.8
    numbers_max: float = 0.8
    short_pattern_words: int = 10
    flagged_paragraph_min: float = 0.02
    footer_chars: int = 10
    very_short_words: int = 2
    too_short_words: int = 4
    caption_words: int = 8
    note_words: int = 10
    dated_words: int = 20
    phone_words: int = 80
    quiz_hosts: tuple[str, ...] = ("merriam-webster.com", "dictionary.com")
    newspaper_hosts: tuple[str, ...] = ()
    ideographs_per_word: int = 2
    words_min: int = 50
    words_max: int = 100_000
    mean_word_length_min: float = 3.0
    mean_word_length_max: float = 10.0
    alpha_words_min: float = 0.8
    stop_words_min: int = 2
    flagged_max: float = 0.02
    many_images: int = 2
    words_per_image_min: float = 50.0
    longest_paragraph_min: int = 35
    mean_paragraph_min: float = 12.0
    fluency_min: float = 0.3
    non_advertisement_min: float = 0.3
    porn_max: float = 0.5
    toxic_max: float = 0.5

    def __post_init__(self) -> None:
        for name in sorted(self.off - NAMES):
            near = get_close_matches(name, NAMES, 1)
            told = f"did you mean {near[0]}?" if near else "tilewise corpus rules list names all."
            raise ConfigError(f"off names the rule {name!r}, which is unknown; {told}")
        if self.compat not in ("", "omnicorpus"):
            raise ConfigError(f"compat is {self.compat!r}; 'omnicorpus' or '' is allowed.")
        for name in ("passes", "near_blocks", "ideographs_per_word"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; 1 or more is allowed.")
        if not 0 <= self.words_min <= self.words_max:
            raise ConfigError(
                f"words_min is {self.words_min} and words_max is {self.words_max}; "
                "0 <= words_min <= words_max must hold."
            )
