"""Rules of the detailed filter that look at one paragraph; numbers are those of the paper's list.

Source: OmniCorpus (arXiv 2406.08418), appendix on human-feedback filtering, and its release.
"""

from __future__ import annotations

import re
from typing import Final

from tilewise.corpus.filters.edits import Context, Paragraph
from tilewise.corpus.filters.paragraphs import sentences
from tilewise.corpus.filters.phrases import FOOTER_PHRASES, READ_MORE, READ_MORE_TITLES

DATE: Final = (
    r"\b(?:\d{1,2}[/.-]\d{1,2}[/.-](?:19|20)?\d{2}|(?:19|20)\d{2}[/.-]\d{1,2}[/.-]\d{1,2}"
    r"|(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?\s+\d{1,2}(?:st|nd|rd|th)?"
    r"(?:,?\s+(?:19|20)\d{2})?"
    r"|\d{1,2}(?:st|nd|rd|th)?\s+(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?"
    r"|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b)"
)
CLOCK: Final = r"(?<![\d:])(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?(?![\d:])"
PHONE: Final = r"(?<![\d-])(?:\+?\d{1,3}[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\d-])"

_DATE_OR_CLOCK = re.compile(f"{DATE}|{CLOCK}")
_PHONE = re.compile(PHONE)
_NO_DIGITS = re.compile(r"\D+")
_LETTERS = re.compile(r"[^\W\d_]+")
_CAPITALS = re.compile(r"[^\W\d_a-z]+")
_EDGES: Final = ".,;:!?()[]\"'“”‘’*-"
_HOSTS = "com|org|net|edu|gov|info|biz|io|co|uk|de|fr|eu|us|ca|au|ru|cn|jp|tv|me"
# A full stop after a URL is not its own.
_IN_URL = r"[^\s<>\"”’）】、，。]*[^\s<>\"”’）】、，。.,;:!?()\[\]]"
_URL = (
    rf"(?:\b(?:https?|ftp)://{_IN_URL}|\bwww\.{_IN_URL}"
    rf"|(?<![@\w./-])(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+(?:{_HOSTS})\b(?![\w@-])(?:/{_IN_URL})?/?)"
)
_URL_AND_GAP = re.compile(
    rf"(?P<gap>[^\S\n]{{0,4}})(?:[(\[<]\s?{_URL}\s?[)\]>]|{_URL})(?P<next>[^\S\n]*)"
    r"(?=(?P<after>.?))",
    re.IGNORECASE,
)
_URL_HINT = re.compile(rf"://|www\.|\.(?:{_HOSTS})(?!\w)", re.IGNORECASE)
_COUNTER = re.compile(r"\b(?:likes|followers|subscribes|share|comments:?|dislikes|comment ?\.?)$")
_LABEL: Final = 24
"""Longer than any label at the end of a paragraph."""
_SHORT_PATTERN = re.compile(r"\bsign-in\b|\bsign in\b|\bsign up\b|\bread more\b|\bitems? in cart\b")
_CREDIT_AT_END = re.compile(r"\(cf\. [^()]*\)\.?$|\([A-Z][^()\d]{1,60}, (?:19|20)\d{2}\)\.?$")
_QUIZ = re.compile(r"word of the day|test your|keep scrolling for more|take the quiz")
_SOCIAL_END = re.compile(
    r"\b(?:references|likes?|shares?|comments?|reviews?|reviews about|call us at|email us at"
    r"|more images|users online|copyright|subscribes?) ?:?$"
)
_SOCIAL = re.compile(
    r"\bfor more (?:info|detail)\b|\btop threads\b|\bmost (?:read|viewed|shared|liked)\b"
    r"|\bmore here\b"
)
_PHOTO = re.compile(r"\(photo: ?[^()]*\)")


def video_field(p: Paragraph, context: Context) -> str | None:
    """3: the literal ``[Video]`` goes."""
    return p.text.replace("[Video]", "") if "[Video]" in p.text else p.text


def download_hints(p: Paragraph, context: Context) -> str | None:
    """5: a paragraph that points elsewhere."""
    return None if "for details on the" in p.folded or "the link is" in p.folded else p.text


def source_references(p: Paragraph, context: Context) -> str | None:
    """6: thanks, publishers, credits, and citations at the end."""
    is_source = (
        p.folded.startswith("special thanks")
        or "published by" in p.folded
        or "all photo credits and copyright" in p.folded
        or (p.text.endswith((")", ").")) and _CREDIT_AT_END.search(p.text) is not None)
    )
    return None if is_source else p.text


def upper_case(p: Paragraph, context: Context) -> str | None:
    """7: nearly all letters are capitals, and no image is near."""
    if p.is_near_image or p.text == p.folded:
        return p.text
    capitals = sum(map(str.isupper, "".join(_CAPITALS.findall(p.text))))
    if capitals <= context.cfg.upper_case_max * len(p.text) / 2:  # white space is less than half
        return p.text
    share = capitals / len("".join(p.text.split()))
    return None if share > context.cfg.upper_case_max else p.text


def numbers(p: Paragraph, context: Context) -> str | None:
    """8: nearly all is digits, or nothing is there, and no image is near."""
    if p.is_near_image:
        return p.text
    digits = len(_NO_DIGITS.sub("", p.text))
    is_numbers = not p.text.strip() or digits / len(p.text) > context.cfg.numbers_max
    return None if is_numbers else p.text


def social_counters(p: Paragraph, context: Context) -> str | None:
    """9: ends in likes, followers, comments and their like."""
    return None if _COUNTER.search(p.folded.rstrip()[-_LABEL:]) else p.text


def one_word(p: Paragraph, context: Context) -> str | None:
    """10: a single word, and no image is near."""
    return None if p.words == 1 and not p.is_near_image else p.text


def short_pattern(p: Paragraph, context: Context) -> str | None:
    """11: a short paragraph that asks to sign in, to read more, or counts a cart."""
    is_short = p.words <= context.cfg.short_pattern_words
    return None if is_short and _SHORT_PATTERN.search(p.folded) else p.text


def flagged_paragraph(p: Paragraph, context: Context) -> str | None:
    """12: too many of its words are flagged."""
    share = flagged_share(p.folded, context.flagged)
    return None if share >= context.cfg.flagged_paragraph_min else p.text


def flagged_share(folded: str, flagged: frozenset[str]) -> float:
    """Flagged words among the words of a text in lower case, 0 to 1."""
    if flagged.isdisjoint(_LETTERS.findall(folded)):  # nearly always
        return 0.0
    words = folded.split()
    return sum(word.strip(_EDGES) in flagged for word in words) / len(words)


def header_footer(p: Paragraph, context: Context) -> str | None:
    """14: a phrase of headers and footers, or hardly a character."""
    if len(p.text) < context.cfg.footer_chars:
        return None
    return None if any(phrase in p.text for phrase in FOOTER_PHRASES) else p.text


def read_more(p: Paragraph, context: Context) -> str | None:
    """16: the last sentence sends the reader on; it goes, with the paragraph if that is all."""
    if p.text.rstrip()[-1:] in {"", ".", "!", "?"}:
        return p.text
    # The released code lower-cases the text and not its phrases: those in capitals never match.
    titles = () if context.is_compat else READ_MORE_TITLES
    last = sentences(p.text)[-1]
    if not last.lower().rstrip(" :»>…→").endswith((*READ_MORE, *titles)):
        return p.text
    return p.text[: len(p.text.rstrip()) - len(last)].rstrip() or None


def urls(p: Paragraph, context: Context) -> str | None:
    """17: URLs and names of hosts go, with brackets around them."""
    # The released code edits a copy and returns the original.
    if context.is_compat or _URL_HINT.search(p.text) is None:
        return p.text
    return _URL_AND_GAP.sub(_gap, p.text)


def _gap(found: re.Match[str]) -> str:
    """The space that stays where a URL was: none at an end of a line, none before punctuation."""
    if found["after"] in ("", "\n", *".,;:!?)，。；：！？、）"):
        return ""
    return " " if found.start() and (found["gap"] or found["next"]) else ""


def advertisement_line(p: Paragraph, context: Context) -> str | None:
    """19: the word advertisement alone; on dictionary sites, what comes from a quiz on."""
    if p.folded.strip(" .:-—*[]()") == "advertisement":
        return None
    found = _QUIZ.search(p.folded)
    if found is None or not context.host.endswith(context.cfg.quiz_hosts):
        return p.text
    return p.text[: found.start()] or None


def very_short(p: Paragraph, context: Context) -> str | None:
    """20: hardly a word."""
    return None if p.words <= context.cfg.very_short_words else p.text


def too_short(p: Paragraph, context: Context) -> str | None:
    """21: a few words."""
    return None if p.words <= context.cfg.too_short_words else p.text


def social_media(p: Paragraph, context: Context) -> str | None:
    """24: ends in a label of social media, or sends the reader to lists of other pages."""
    if _SOCIAL_END.search(p.folded.rstrip()[-_LABEL:]):
        return None
    has_hint = any(hint in p.folded for hint in ("for more", "top threads", "most ", "more here"))
    return None if has_hint and _SOCIAL.search(p.folded) else p.text


def phone_time_author(p: Paragraph, context: Context) -> str | None:
    """25: a short paragraph with a phone number, a date or a time, or an author."""
    cfg = context.cfg
    if p.words < cfg.note_words and (p.folded.startswith("by ") or _PHOTO.search(p.folded)):
        return None
    if p.words < cfg.dated_words and _DATE_OR_CLOCK.search(p.folded):
        return None
    return None if p.words < cfg.phone_words and _PHONE.search(p.text) else p.text
