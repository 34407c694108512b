"""Bytes of a page to text: which charset they are in.

Asked in this order: the HTTP header, a byte order mark, ``meta`` (or the XML declaration) within
the first 1,024 bytes, detection. Text that is valid UTF-8 beyond ASCII is taken as UTF-8 whatever
it claims: other charsets hardly ever look so by chance, and detectors take short UTF-8 for cp1252.
"""

from __future__ import annotations

import codecs
import importlib.util
import re
from typing import Final, Literal, NamedTuple

from tilewise.errors import MissingExtraError

Said = Literal["http", "bom", "meta", "utf-8", "detected", "none"]


class Decoded(NamedTuple):
    """A page's text, the charset it was in, and what told so."""

    text: str
    charset: str
    said: Said


_META_BYTES: Final = 1024
_DETECT_BYTES: Final = 1 << 17
_META: Final = re.compile(
    rb"<(?:meta\b|\?xml\b)[^<>]{0,500}?\b(?:charset|encoding)\s*=\s*[\"']?\s*([a-z0-9_:.+-]{2,40})",
    re.IGNORECASE,
)
_COMMENT: Final = re.compile(rb"<!--.*?-->", re.DOTALL)
_HTTP: Final = re.compile(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.+-]{2,40})", re.IGNORECASE)
_LANG: Final = re.compile(rb"<html\b[^<>]{0,300}?\blang\s*=\s*[\"']?([a-z]{2})", re.IGNORECASE)

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_MEANT: Final = {
    # What browsers take a label for (WHATWG Encoding Standard), where Python's name says less.
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "johab": "cp949",
    # A page that names itself in ASCII is not in these.
    "utf-16": "utf-8",
    "utf-16-le": "utf-8",
    "utf-16-be": "utf-8",
    "utf-32": "utf-8",
}
_LABELS: Final = {
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "ks_c_5601-1987": "cp949",
    "x-gbk": "gb18030",
    "x-x-big5": "big5hkscs",
    "x-euc-jp": "euc_jp",
    "x-mac-roman": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
    "windows-874": "cp874",
    "unicode": "utf-8",
}
_KNOWN: Final = re.compile(
    r"utf-8|cp(125\d|437|85\d|86\d|874|932|949)|iso8859-\d+|koi8-[rut]|gb18030|hz"
    r"|big5hkscs|euc_jp|iso2022_jp|mac-\w+|cp1006"
)
"""Python's names of charsets for text on the web; its other codecs are for other things."""

_OF_LANGUAGE: Final = {
    "ja": ("euc_jp", "cp932"),
    "zh": ("gb18030", "big5hkscs"),
    "ko": ("cp949",),
    "ru": ("cp1251", "koi8-r"),
    "uk": ("cp1251", "koi8-u"),
}


def decode(data: bytes, content_type: str = "") -> Decoded:
    """Decode a page.

    A charset that is claimed and does not fit is passed over; if nothing fits, what is not text
    becomes U+FFFD.

    Args:
        data: the page's bytes.
        content_type: the HTTP header, as ``text/html; charset=big5``.

    Raises:
        MissingExtraError: resiliparse, which detects charsets, is not installed.

    Source: OmniCorpus (arXiv 2406.08418), main body extraction; WHATWG Encoding Standard.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):  # a BOM overrules a header for browsers too
            return Decoded(data[len(mark) :].decode(name, "replace"), name, "bom")
    if name := _wide(data[:_META_BYTES]):
        return Decoded(data.decode(name, "replace"), name, "detected")
    claims: list[tuple[str, Said]] = []
    if match := _HTTP.search(content_type):
        claims.append((match[1], "http"))
    if found := _META.search(_COMMENT.sub(b"", data[:_META_BYTES])):
        claims.append((found[1].decode("ascii"), "meta"))
    known = [(name, said) for label, said in claims if (name := python_name(label))]
    if (text := _as_utf8(data)) is not None:
        default: tuple[str, Said] = ("utf-8", "utf-8")
        _, by = next((claim for claim in known if claim[0] == "utf-8"), default)
        return Decoded(text, "utf-8", by)
    for name, said in known:
        if _fits(data, name):
            return Decoded(data.decode(name, "replace"), name, said)
    return _detected(data, known)


def python_name(label: str) -> str:
    """Python's name of the charset that a label stands for on the web, "" for none."""
    label = label.strip().lower()
    if label in _LABELS:
        return _LABELS[label]
    try:
        name = codecs.lookup(label).name
    except (LookupError, ValueError):
        return ""
    name = _MEANT.get(name, name)
    return name if _KNOWN.fullmatch(name) else ""


def _wide(head: bytes) -> str:
    """The kind of UTF-16 that a page without a mark is in: every second byte of markup is zero."""
    first, second = head[::2].count(0), head[1::2].count(0)
    if (first + second) * 3 < len(head) or min(first, second) * 4 > max(first, second) or not head:
        return ""
    return "utf-16-le" if second > first else "utf-16-be"


def _as_utf8(data: bytes) -> str | None:
    """The text, if all of it is UTF-8, but for a last letter that was cut."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as err:
        if err.start >= len(data) - 3 and err.reason == "unexpected end of data":
            return data[: err.start].decode("utf-8")
        return None


def _fits(data: bytes, name: str) -> bool:
    """Whether nearly all of the bytes are text in a charset: one letter in a hundred may be bad."""
    bad = data.decode(name, "replace").count("\ufffd")
    return bad == 0 or bad * 100 < sum(1 for _ in _HIGH.finditer(data))


_HIGH: Final = re.compile(rb"[\x80-\xff]")


def _detected(data: bytes, claimed: list[tuple[str, Said]]) -> Decoded:
    part = data[:_DETECT_BYTES]
    name = _by_language(part) or _by_statistics(part)
    if name and _fits(data, name):
        return Decoded(data.decode(name, "replace"), name, "detected")
    name, said = claimed[0] if claimed else ("utf-8", "none")
    return Decoded(data.decode(name, "replace"), name, said)


def _by_language(data: bytes) -> str:
    """The charset in which a page reads as the language it says it is in."""
    match = _LANG.search(data[:_META_BYTES])
    best, most = "", 0.5
    for name in _OF_LANGUAGE.get(match[1].decode().lower(), ()) if match else ():
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            continue
        letters = [sign for sign in text if sign > "\x7f"]
        # small Cyrillic letters, kana, common ideographs and hangul; a wrong charset gives few
        common = sum(
            "\u0430" <= s <= "\u0457" or "\u3040" <= s <= "\u30ff" or s in _COMMON_HAN
            or "\uac00" <= s <= "\ud7a3"
            for s in letters
        )  # fmt: skip
        share = common / max(len(letters), 1)
        if name in ("gb18030", "big5hkscs"):
            share *= 4  # a dozen common ideographs make up an eighth of a text or more
        if share > most:
            best, most = name, share
    return best


_COMMON_HAN: Final = frozenset("的一是在不了有和人这這中大为為上个個我以要他来來时時用们們可也")


def _by_statistics(data: bytes) -> str:
    if importlib.util.find_spec("resiliparse") is None:
        raise MissingExtraError(
            "telling the charset of pages that do not name it needs resiliparse; install it with: "
            'pip install "tilewise[corpus]"'
        )
    from resiliparse.parse.encoding import detect_encoding  # noqa: PLC0415 - an extra

    return python_name(detect_encoding(data) or "")
