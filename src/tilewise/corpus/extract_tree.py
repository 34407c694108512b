"""A page as flat lists: its elements and texts in reading order, with sizes that add up.

lxml's parser is used event by event (measured on the golden pages: 0.15 ms a page with callbacks;
lexbor, in selectolax, needs 0.10 ms to parse and as long again to be walked). No tree of objects
is made, libxml2 takes time linear in the page where HTML5 parsers do not (deep nesting, unclosed
formatting), and limits on depth and elements end the parsing itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

Attributes = Mapping[str, str]

_FEED: Final = 1 << 16  # bytes between looks at how much work end tags make
_WORK: Final = 2 * 10**8  # end tags times depth: libxml2 looks through all open elements for each

_NO_ATTRIBUTES: Final[Attributes] = {}

HIDDEN: Final = frozenset(
    """applet area blink button canvas datalist dialog embed frame frameset head iframe input link
    map marquee menu noframes noscript object optgroup option output param script select style svg
    template textarea title meta base""".split()
)
"""Elements whose content is never part of the text (spec: deleted before anything else)."""

BLOCKS: Final = frozenset(
    """address article aside blockquote body br caption center dd details dialog dir div dl dt
    fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li main
    nav ol p pre section summary table tbody td tfoot th thead tr ul""".split()
)
"""Elements that begin on a line of their own; spaces beside them mean nothing."""

_CJK: Final = re.compile("[\u0620-\u06ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]")
"""Arabic letters, kana, ideographs, hangul: each counts as one, as words do."""


class TooMuchError(Exception):
    """A page beyond a limit: its reason, the value, and the limit."""

    def __init__(self, reason: str, value: float, limit: float) -> None:
        super().__init__(reason)
        self.reason, self.value, self.limit = reason, value, limit


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
    ``linked`` those inside links, ``signs`` characters; each 0 but for texts.
    """

    tags: list[str]
    attributes: list[Attributes]
    texts: list[str]
    parents: list[int]
    ends: list[int]
    units: list[int]
    linked: list[int]
    signs: list[int]
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
        units, linked = self.of(node)
        return units - linked

    def characters(self, node: int) -> int:
        """Characters of a node."""
        return self.signs[self._ends[node]] - self.signs[node]


def parse(html: bytes, max_elements: int, max_depth: int) -> Tree:
    """Parse a page.

    Args:
        html: in UTF-8.
        max_elements: elements and texts at most.
        max_depth: elements open at the same time at most.

    Raises:
        TooMuchError: it has more; reasons ``too_many_elements``, ``too_deep``.
    """
    from lxml import etree  # noqa: PLC0415 - an extra

    target = _Target(max_elements, max_depth)
    parser = etree.HTMLParser(target=target, encoding="utf-8")
    work = 0
    for at in range(0, len(html), _FEED):
        part = html[at : at + _FEED]
        parser.feed(part)
        work += part.count(b"</") * len(target.stack)
        if work > _WORK:
            raise TooMuchError("too_deep", len(target.stack), max_depth)
    with suppress(etree.XMLSyntaxError):  # nothing that looks like a page
        parser.close()
    return target.tree()


class _Target:
    """Takes the parser's events."""

    def __init__(self, max_elements: int, max_depth: int) -> None:
        self._max_elements, self._max_depth = max_elements, max_depth
        self.stack = [0]
        self._tags: list[str] = ["html"]
        self._attributes: list[Attributes] = [_NO_ATTRIBUTES]
        self._texts, self._parents, self._ends = [""], [-1], [0]
        self._units, self._linked, self._signs = [0], [0], [0]
        self._pieces: list[str] = []
        self._after_block = True
        self._links = self._verbatim = 0
        self._hidden: list[str] = []
        self._kept: list[str] | None = None  # text inside a hidden element that is wanted
        self.head = Head()

    def start(self, tag: str, attributes: Attributes) -> None:
        """An element begins."""
        if len(self.stack) + len(self._hidden) > self._max_depth:
            raise TooMuchError("too_deep", len(self.stack) + len(self._hidden), self._max_depth)
        if self._hidden or tag in HIDDEN:
            self._start_hidden(tag, attributes)
            return
        is_block = tag in BLOCKS
        if self._pieces:
            self._flush(is_block)
        if is_block:
            self._after_block = True
            if tag == "pre":
                self._verbatim += 1
        elif tag == "a":
            self._links += 1
            self._note(tag, attributes)
        elif tag == "html":
            self._attributes[0] = attributes
            self.head.lang = attributes.get("lang") or attributes.get("xml:lang") or ""
            return
        self.stack.append(self._add(tag, attributes))

    def end(self, tag: str) -> None:
        """An element ends."""
        if self._hidden:
            self._end_hidden(tag)
            return
        is_block = tag in BLOCKS
        if self._pieces:
            self._flush(is_block)
        if is_block:
            self._after_block = True
            if tag == "pre":
                self._verbatim -= 1
        elif tag == "a":
            self._links -= 1
        elif tag == "html":
            return
        if len(self.stack) > 1:
            self._ends[self.stack.pop()] = len(self._tags)

    def data(self, text: str) -> None:
        """Text, in pieces."""
        if not self._hidden:
            self._pieces.append(text)
        elif self._kept is not None:
            self._kept.append(text)

    def close(self) -> None:
        """The page ends."""

    def tree(self) -> Tree:
        """What was met."""
        if self._pieces:
            self._flush(is_block=True)
        for node in self.stack:
            self._ends[node] = len(self._tags)
        return Tree(
            tags=self._tags,
            attributes=self._attributes,
            texts=self._texts,
            parents=self._parents,
            ends=self._ends,
            units=self._units,
            linked=self._linked,
            signs=self._signs,
            head=self.head,
        )

    def _add(self, tag: str, attributes: Attributes, text: str = "") -> int:
        node = len(self._tags)
        if node >= self._max_elements:
            raise TooMuchError("too_many_elements", node + 1, self._max_elements)
        self._tags.append(tag)
        self._attributes.append(attributes)
        self._texts.append(text)
        self._parents.append(self.stack[-1])
        self._ends.append(node + 1)
        units = count_units(text) if text else 0
        self._units.append(units)
        self._linked.append(units if self._links > 0 else 0)
        self._signs.append(len(text.strip()) if text else 0)
        return node

    def _flush(self, is_block: bool) -> None:
        """Make a text of the pieces, unless they are spaces that mean nothing."""
        text = "".join(self._pieces) if len(self._pieces) > 1 else self._pieces[0]
        self._pieces.clear()
        if self._verbatim <= 0 and text.isspace():
            if self._after_block or is_block:
                return
            text = " "
        self._after_block = False
        self._add("", _NO_ATTRIBUTES, text)

    def _start_hidden(self, tag: str, attributes: Attributes) -> None:
        self._hidden.append(tag)
        if tag == "img" and self._hidden[0] == "noscript":
            if self._pieces:
                self._flush(is_block=False)
            self._add("noscript-img", attributes)
        elif tag == "iframe" and len(self._hidden) == 1:
            if self._pieces:
                self._flush(is_block=True)
            self._add(tag, attributes)
        elif tag in _NOTED:
            self._note(tag, attributes)
            is_title = tag == "title" and "svg" not in self._hidden and not self.head.title
            kind = attributes.get("type", "").lower() if tag == "script" else ""
            if is_title or "ld+json" in kind or kind.startswith("math/tex"):
                self._kept = [kind]

    def _end_hidden(self, tag: str) -> None:
        self._hidden.pop()
        if self._kept is None or tag not in ("title", "script"):
            return
        kind, text = self._kept[0], "".join(self._kept[1:])
        self._kept = None
        if tag == "title":
            self.head.title = " ".join(text.split())
        elif "ld+json" in kind:
            self.head.scripts.append(text)
        elif not self._hidden and text.strip():
            self._pieces.append(f" ${text.strip()}$ ")

    def _note(self, tag: str, attributes: Attributes) -> None:
        """Keep what an element says about the page."""
        head = self.head
        if tag == "meta":
            name = attributes.get("name") or attributes.get("property") or ""
            name = name or attributes.get("itemprop") or ""
            if name and "content" in attributes:
                head.metas.append((name.lower(), attributes["content"]))
        elif tag == "base":
            head.base = head.base or attributes.get("href", "")
        elif tag in ("link", "a") and "href" in attributes:
            relation, address = attributes.get("rel", ""), attributes["href"]
            if tag == "link" or "license" in relation or _LICENCE.search(address):
                head.links.append((relation.lower(), address))


_NOTED: Final = frozenset(("title", "meta", "link", "base", "script"))

_LICENCE: Final = re.compile(
    r"creativecommons\.org/|gnu\.org/(?:licenses|copyleft)|opensource\.org/licen|apache\.org/licen"
    r"|mozilla\.org/(?:\w+-\w+/)?MPL",
    re.IGNORECASE,
)


def count_units(text: str) -> int:
    """Words between spaces, plus letters of scripts that put no spaces."""
    words = len(text.split())
    return words if text.isascii() else words + len(_CJK.findall(text))
