"""A page as flat lists: its elements and texts in reading order, with sizes that add up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

Attributes = Mapping[str, str]

BLOCKS: Final = frozenset(
    """address article aside blockquote body br caption center dd details dialog dir div dl dt
    fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li main
    nav ol p pre section summary table tbody td tfoot th thead tr ul""".split()
)
"""Elements that begin on a line of their own; spaces beside them mean nothing."""

HEADINGS: Final = frozenset("h1 h2 h3 h4 h5 h6".split())
IMAGES: Final = frozenset(("img", "amp-img", "noscript-img"))

_CJK: Final = re.compile("[\u0620-\u06ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]")
"""Arabic letters, kana, ideographs, hangul: each counts as one, as words do."""


@dataclass(slots=True)
class Head:
    """What a page says of itself; lists in reading order.

    ``links`` are (relation, address) of ``link`` and of ``a`` with a relation or to a licence,
    ``metas`` (name, content), ``scripts`` texts of JSON-LD.
    """

    title: str = ""
    base: str = ""
    lang: str = ""
    links: list[tuple[str, str]] = field(default_factory=list)
    metas: list[tuple[str, str]] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Tree:
    """Nodes in reading order. Node 0 is the root; what lies in node i are nodes i+1 to ends[i]-1.

    ``tags`` is "" for a text. ``units`` counts words plus letters of scripts without spaces,
    ``linked`` those inside links, ``signs`` characters; each 0 but for texts. ``links``,
    ``images`` and ``headings`` count those that begin before a node, with one entry more at the
    end.
    """

    tags: list[str]
    attributes: list[Attributes]
    texts: list[str]
    parents: list[int]
    ends: list[int]
    units: list[int]
    linked: list[int]
    signs: list[int]
    links: list[int]
    images: list[int]
    headings: list[int]
    head: Head

    def __len__(self) -> int:
        return len(self.tags)

    def children(self, node: int) -> Iterator[int]:
        """Elements directly inside a node."""
        at, end, ends, tags = node + 1, self.ends[node], self.ends, self.tags
        while at < end:
            if tags[at]:
                yield at
            at = ends[at]

    def text(self, node: int) -> str:
        """All text inside a node, spaces folded."""
        return " ".join("".join(self.texts[node : self.ends[node]]).split())

    def links_in(self, node: int) -> int:
        """How many links a node holds, itself counted."""
        return self.links[self.ends[node]] - self.links[node]

    def images_in(self, node: int) -> int:
        """How many images a node holds, itself counted."""
        return self.images[self.ends[node]] - self.images[node]

    def headings_in(self, node: int) -> int:
        """How many headings a node holds, itself counted."""
        return self.headings[self.ends[node]] - self.headings[node]


class Sums:
    """Sizes of any part of a tree in constant time; what was removed counts nothing."""

    def __init__(self, tree: Tree) -> None:
        self.units = [0, *accumulate(tree.units)]
        self.linked = [0, *accumulate(tree.linked)]
        self.signs = [0, *accumulate(tree.signs)]
        self._ends = tree.ends

    def of(self, node: int) -> tuple[int, int]:
        """(units, units inside links) of a node."""
        end = self._ends[node]
        return self.units[end] - self.units[node], self.linked[end] - self.linked[node]

    def plain(self, node: int) -> int:
        """Units outside links of a node."""
        end = self._ends[node]
        units, linked = self.units, self.linked
        return units[end] - units[node] - linked[end] + linked[node]

    def characters(self, node: int) -> int:
        """Characters of a node."""
        return self.signs[self._ends[node]] - self.signs[node]


def count_units(text: str) -> int:
    """Words between spaces, plus letters of scripts that put no spaces."""
    words = len(text.split())
    return words if text.isascii() else words + len(_CJK.findall(text))
