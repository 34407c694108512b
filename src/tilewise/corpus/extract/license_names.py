"""SPDX ids of licences, by their addresses and by their names in running text."""

from __future__ import annotations

import re
from typing import Final

_CC_ADDRESS: Final = re.compile(
    r"creativecommons\.org/(?:licenses|publicdomain|choose)/(zero|mark|cc0|(?:by|nc|nd|sa)"
    r"(?:-(?:by|nc|nd|sa)){0,3})(?:/(\d\.\d))?",
    re.IGNORECASE,
)
_GNU_ADDRESS: Final = re.compile(
    r"gnu\.org/(?:licenses/(?:old-licenses/)?|copyleft/)(fdl|a?gpl|lgpl)(?:-?(\d\.\d))?",
    re.IGNORECASE,
)
_ADDRESSES: Final = (
    # (what stands in an address, id)
    (re.compile(r"opensource\.org/licen[sc]es?/mit\b|opensource\.org/licen[sc]e/mit", re.I), "MIT"),
    (re.compile(r"opensource\.org/licen[sc]es?/bsd-2", re.I), "BSD-2-Clause"),
    (re.compile(r"opensource\.org/licen[sc]es?/bsd", re.I), "BSD-3-Clause"),
    (re.compile(r"opensource\.org/licen[sc]es?/isc", re.I), "ISC"),
    (re.compile(r"(?:apache\.org/licenses/license-2|opensource\.org/licen[sc]es?/apache)", re.I),
     "Apache-2.0"),
    (re.compile(r"mozilla\.org/(?:[\w-]+/)?mpl/2|opensource\.org/licen[sc]es?/mpl-2", re.I),
     "MPL-2.0"),
    (re.compile(r"mozilla\.org/(?:[\w-]+/)?mpl", re.I), "MPL-1.1"),
    (re.compile(r"opensource\.org/licen[sc]es?/gpl-2", re.I), "GPL-2.0-only"),
    (re.compile(r"opensource\.org/licen[sc]es?/gpl", re.I), "GPL-3.0-only"),
    (re.compile(r"//unlicense\.org", re.I), "Unlicense"),
)  # fmt: skip

_HOSTS: Final = re.compile(
    r"(?:creativecommons|gnu|opensource|apache|mozilla|unlicense)\.org", re.IGNORECASE
)

_LATEST: Final = {"FDL": "1.3", "GPL": "3.0", "LGPL": "3.0", "AGPL": "3.0"}
"""The version at the address that names none."""

_CC_SHORT: Final = re.compile(
    r"\bCC[ -]?(BY(?:[ -](?:NC|ND|SA)){0,2})(?![a-z])(?:[ -]?(\d\.\d))?", re.IGNORECASE
)
_CC_LONG: Final = re.compile(
    r"(?:creative commons|知识共享|創用)[ ]?(?:CC )?(?:licen[sc]e )?[-– ]*"
    r"(attribution|署名|姓名標示)((?:[-–— ,/]*(?:non-?commercial|no-?deriv\w*|share-?alike"
    r"|非商业性使用|非商業性|禁止演绎|禁止改作|相同方式共享|相同方式分享)){0,2})"
    r"(?:[-– ,]*(?:international |unported |public )?(?:licen[sc]e)?[ ,]*(?:version )?(\d\.\d))?",
    re.IGNORECASE,
)
_PARTS: Final = (
    ("NC", ("commercial", "非商")),
    ("ND", ("deriv", "禁止")),
    ("SA", ("alike", "相同方式")),
)
_ZERO: Final = re.compile(r"\bCC0\b|\bCC Zero\b|creative commons zero", re.IGNORECASE)
_GNU_TEXT: Final = re.compile(
    r"GNU (Free Documentation|(?:Lesser |Affero )?General Public) Licen[sc]e"
    r"(?:[ ,]{0,3}(?:\(\w+\)[ ,]{0,2})?(?:as published by the Free Software Foundation[;,]? )?"
    r"(?:either )?v(?:ersion )?[ ]?(\d(?:\.\d)?))?(.{0,60})",
    re.IGNORECASE,
)
_GNU_NAMES: Final = {
    "free documentation": ("GFDL", "1.3"),
    "general public": ("GPL", "3.0"),
    "lesser general public": ("LGPL", "3.0"),
    "affero general public": ("AGPL", "3.0"),
}
_LATER: Final = re.compile(r"any later|or later|或更高|或以后|或任何后续", re.IGNORECASE)
_TEXTS: Final = (
    (re.compile(r"\bMIT licen[sc]e\b", re.I), "MIT"),
    (re.compile(r"\bApache licen[sc]e,? (?:version )?2|\bApache-2\.0\b", re.I), "Apache-2.0"),
    (re.compile(r"\bMozilla public licen[sc]e,? (?:version |v)?2|\bMPL-?2\.0\b", re.I), "MPL-2.0"),
    (re.compile(r"\b(?:3-clause|new|modified) BSD\b|\bBSD-3-Clause\b", re.I), "BSD-3-Clause"),
    (re.compile(r"\b(?:2-clause|simplified) BSD\b|\bBSD-2-Clause\b", re.I), "BSD-2-Clause"),
)


def by_address(text: str) -> str:
    """The SPDX id of the licence that an address leads to, "" if it leads to none."""
    if not _HOSTS.search(text):
        return ""
    if match := _CC_ADDRESS.search(text):
        return _creative_commons(match[1].upper(), match[2] or "")
    if match := _GNU_ADDRESS.search(text):
        name = match[1].upper()
        version = match[2] or _LATEST[name]
        return f"{'GFDL' if name == 'FDL' else name}-{version}-only"
    return next((name for pattern, name in _ADDRESSES if pattern.search(text)), "")


def by_text(text: str) -> str:
    """The SPDX id of the licence that a sentence names first, "" if it names none."""
    if match := _CC_SHORT.search(text):
        return _creative_commons(match[1].upper().replace(" ", "-"), match[2] or "")
    if match := _CC_LONG.search(text):
        told = match[2].lower()
        parts = ["BY", *(name for name, words in _PARTS if any(word in told for word in words))]
        return _creative_commons("-".join(parts), match[3] or "")
    if _ZERO.search(text):
        return "CC0-1.0"
    if match := _GNU_TEXT.search(text):
        name, latest = _GNU_NAMES[match[1].lower()]
        version = match[2] or latest
        version = version if "." in version else f"{version}.0"
        return f"{name}-{version}-{'or-later' if _LATER.search(match[3]) else 'only'}"
    return next((name for pattern, name in _TEXTS if pattern.search(text)), "")


def _creative_commons(kind: str, version: str) -> str:
    """The id of a Creative Commons licence; one without a version gets a reference of ours."""
    if kind in ("ZERO", "CC0"):
        return "CC0-1.0"
    if kind == "MARK":
        return "CC-PDM-1.0"
    parts = set(kind.split("-"))
    name = "-".join(["CC", *(part for part in ("BY", "NC", "ND", "SA") if part in parts)])
    if not version:
        return f"LicenseRef-{name}"
    return f"{name}-{version}"
