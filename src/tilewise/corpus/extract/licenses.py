"""The licence that a page says it is under, and what that allows. Not legal advice.

What is found is stored with where it was found, so that a user may filter on both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from tilewise.corpus.extract.license_names import by_address, by_text
from tilewise.corpus.extract.tree import Head, Tree
from tilewise.corpus.filters.languages import beyond_ascii

UNKNOWN: Final = "unknown"
ALL_RIGHTS: Final = "LicenseRef-ARR"

Source = Literal["rel-license", "json-ld", "meta", "text", "link", "host", "rights-notice", ""]

CONFIDENCE: Final[dict[str, float]] = {
    "rel-license": 0.95,
    "json-ld": 0.9,
    "meta": 0.85,
    "text": 0.7,
    "host": 0.6,
    "link": 0.5,
    "rights-notice": 0.5,
    "": 0.0,
}
"""How far each source is to be believed: our estimate, in the order in which they are asked."""

HOSTS: Final[dict[str, str]] = {
    "wikipedia.org": "CC-BY-SA-4.0",
    "wikibooks.org": "CC-BY-SA-4.0",
    "wikiversity.org": "CC-BY-SA-4.0",
    "wikivoyage.org": "CC-BY-SA-4.0",
    "wiktionary.org": "CC-BY-SA-4.0",
    "wikinews.org": "CC-BY-4.0",
    "stackexchange.com": "CC-BY-SA-4.0",
    "stackoverflow.com": "CC-BY-SA-4.0",
}
"""Sites whose terms of use put all text under one licence."""


class License(NamedTuple):
    """An SPDX id (or ``unknown``, or a LicenseRef) and where it was found."""

    id: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a licence lets one do with a document.

    ``redistribute`` is ``verbatim`` where changed copies, ``non-commercial`` where paid ones are
    not allowed; ``notice`` asks that the licence's text goes along.
    """

    train: Literal["yes", "no", "unknown"] = "unknown"
    redistribute: Literal["yes", "no", "verbatim", "non-commercial"] = "no"
    attribution: bool = False
    share_alike: bool = False
    notice: bool = False


def find_license(tree: Tree, url: str) -> License:
    """Find a page's licence.

    Asked in this order: links of relation ``license``, JSON-LD, meta, a sentence such as
    "available under", the rule of the host, links to one licence and no other, "all rights
    reserved". Of several from one source the strictest counts.

    Args:
        tree: the page, before it is pruned.
        url: where it lies.
    """
    head = tree.head
    asked: tuple[tuple[Source, Iterable[str]], ...] = (
        ("rel-license", (address for rel, address in head.links if "license" in rel.split())),
        ("json-ld", _of_json(head)),
        ("meta", (content for name, content in head.metas if name in _METAS)),
    )
    for source, said in asked:
        found = {name for text in said if (name := by_address(text) or by_text(text))}
        if found:
            return License(strictest(found), source)
    told = _told(tree)
    return _of_text(told) or _of_host(url) or _of_links(head) or _of_notice(told)


def usage(license_id: str) -> Usage:
    """What a licence allows; nothing is known of one that is not in the table.

    Source: the table of the engine's description: publicdomain, CC, GNU, open-source licences.
    """
    name = license_id.removeprefix("LicenseRef-")
    if name.startswith(("CC0", "CC-PDM", "Unlicense")):
        return Usage(train="yes", redistribute="yes")
    if name.startswith("CC-BY"):
        is_changed = "-ND" in name
        is_paid = "-NC" in name
        return Usage(
            train="unknown" if is_changed or is_paid else "yes",
            redistribute="non-commercial" if is_paid else "verbatim" if is_changed else "yes",
            attribution=True,
            share_alike="-SA" in name,
        )
    if name.startswith("GFDL"):
        return Usage(train="yes", redistribute="yes", share_alike=True, notice=True)
    if name.startswith(("GPL", "LGPL", "AGPL")):
        return Usage(train="yes", redistribute="yes", share_alike=True)
    if name.startswith(("MIT", "BSD", "Apache", "MPL", "ISC")):
        return Usage(train="yes", redistribute="yes", notice=True)
    return Usage()


def strictest(names: Iterable[str]) -> str:
    """The licence that allows least; of equals the first by name."""

    def allows(name: str) -> tuple[int, int, int, int, str]:
        use = usage(name)
        redistribute = ("no", "verbatim", "non-commercial", "yes").index(use.redistribute)
        if "-ND" in name:
            redistribute = 1
        return redistribute, use.train == "yes", not use.share_alike, not use.attribution, name

    return min(names, key=allows)


_METAS: Final = frozenset(
    """license licence rights dc.rights dc.rights.license dcterms.license dcterms.rights dc.license
    copyright og:license article:license""".split()
)
_HINTS: Final = (
    "licen", "creative commons", "rights reserved", "cc by", "cc-by", "cc0", "知识共享", "創用",
    "版权所有", "版權所有", "保留所有权利", "保留一切权利", "無断転載", "许可协议", "許可協議",
)  # fmt: skip
"""One of these stands in every page that says something of rights; looked for first."""

_ASCII_HINTS: Final = tuple(hint.encode() for hint in _HINTS if hint.isascii())
_OTHER_HINTS: Final = tuple(hint for hint in _HINTS if not hint.isascii())

_NAMES: Final = (
    "Commons", "commons", "CC BY", "CC-BY", "CC0", "GNU General", "GNU Free", "GNU Lesser",
    "GNU Affero", "MIT ", "Apache", "Mozilla", "BSD", "知识共享", "創用",
)  # fmt: skip
"""One of these stands in every sentence that names a licence which is known here."""

_UNDER_SMALL: Final = re.compile(
    r"(?:licen[sc]ed|available|released|published|distributed|shared|provided|copied|modify it"
    r"|redistribute it|modify this \w+) +(?:\w+ +){0,4}?under\b|licen[sc]e *:|licen[sc]e +is\b"
    r"|采用|依据|遵循|基于|採用|依據"
)
_UNDER: Final = re.compile(_UNDER_SMALL.pattern, re.IGNORECASE)
_RESERVED: Final = re.compile(
    r"all rights reserved|版权所有|保留所有权利|保留一切权利|版權所有|無断転載を禁", re.IGNORECASE
)
_AROUND: Final = 300  # characters after "available under" in which the licence is named
_MOST_TEXT: Final = 1 << 20
_MOST_JSON: Final = 1 << 19


def _of_text(text: str) -> License | None:
    if not any(name in text for name in _NAMES):
        return None
    found = set()
    is_plain = text.isascii()  # then its small letters stand where its letters do
    under = _UNDER_SMALL.finditer(text.lower()) if is_plain else _UNDER.finditer(text)
    for match in under:
        if name := by_text(text[match.start() : match.end() + _AROUND]):
            found.add(name)
    return License(strictest(found), "text") if found else None


def _told(tree: Tree) -> str:
    """The page's text if it says anything of rights, else "": its last part where it is long."""
    text = " ".join(tree.texts)[-_MOST_TEXT:]
    folded = text.encode("utf-8", "surrogatepass").lower()  # no hint has other capitals
    if not any(map(folded.__contains__, _ASCII_HINTS)):
        beyond = beyond_ascii(text, folded)  # short, and in it hints stay whole
        if not any(hint in beyond and hint in text for hint in _OTHER_HINTS):
            return ""
    return " ".join(text.split())


def _of_host(url: str) -> License | None:
    try:
        host = (urlsplit(url).hostname or "").lower()
    except ValueError:
        return None
    parts = host.split(".")
    name = HOSTS.get(".".join(parts[-2:]))
    return License(name, "host") if name else None


def _of_links(head: Head) -> License | None:
    """The licence that all links to licences mean; links to several say nothing of the page."""
    found = {name for _, address in head.links if (name := by_address(address))}
    return License(found.pop(), "link") if len(found) == 1 else None


def _of_notice(text: str) -> License:
    if _RESERVED.search(text):
        return License(ALL_RIGHTS, "rights-notice")
    return License(UNKNOWN, "")


def _of_json(head: Head) -> Iterator[str]:
    """Values of ``license`` in JSON-LD, but for those of single images and videos."""
    for script in head.scripts:
        if "license" not in script or len(script) > _MOST_JSON:
            continue
        try:
            value = json.loads(script)
        except (ValueError, RecursionError):
            continue
        yield from _licences_in(value)


def _licences_in(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += reversed(one)
        elif isinstance(one, dict):
            if str(one.get("@type")) in ("ImageObject", "VideoObject", "AudioObject"):
                continue
            said = one.get("license")
            if isinstance(said, dict):
                said = said.get("url") or said.get("@id") or said.get("name")
            for text in said if isinstance(said, list) else [said]:
                if isinstance(text, str):
                    yield text
            waiting += [inner for inner in one.values() if isinstance(inner, (dict, list))]
