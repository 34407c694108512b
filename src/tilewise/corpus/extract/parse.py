"""From bytes to the flat lists of a page.

lxml's parser is used event by event: on the golden pages it took 0.15 ms a page with all events
delivered, where lexbor (in selectolax) took 0.10 ms to parse and as long again to be walked. No
tree of objects is made, libxml2 takes time linear in the page where HTML5 parsers do not (deep
nesting, unclosed formatting), and limits on depth and elements end the parsing itself.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final

from tilewise.corpus.extract.tree import (
    BLOCKS,
    HEADINGS,
    IMAGES,
    Attributes,
    Head,
    Tree,
    count_units,
)

_FEED: Final = 1 << 16  # bytes between looks at how much work end tags make
_WORK: Final = 2 * 10**8  # end tags times depth: libxml2 looks through all open elements for each

_NO_ATTRIBUTES: Final[Attributes] = {}

_HIDDEN: Final = frozenset(
    """applet area blink button canvas datalist dialog embed frame frameset head iframe input
    label legend link map marquee menu noframes noscript object optgroup option output param script
    select style svg template textarea title meta base""".split()
)
"""Elements whose content is never part of the text (spec: deleted before anything else)."""

_INLINE, _LINK, _BLOCK, _PRE, _ROOT, _OUT = range(6)
_KINDS: Final[dict[str, int]] = {
    **dict.fromkeys(BLOCKS, _BLOCK),
    **dict.fromkeys(_HIDDEN, _OUT),
    "pre": _PRE,
    "a": _LINK,
    "html": _ROOT,
}

_COUNTED: Final = IMAGES | HEADINGS | {"a"}
_NOTED: Final = frozenset(("title", "meta", "link", "base", "script"))

_LICENCE: Final = re.compile(
    r"creativecommons\.org/|gnu\.org/(?:licenses|copyleft)|opensource\.org/licen|apache\.org/licen"
    r"|mozilla\.org/(?:\w+-\w+/)?MPL|//unlicense\.org",
    re.IGNORECASE,
)


class TooMuchError(Exception):
    """A page beyond a limit: its reason, the value, and the limit."""

    def __init__(self, reason: str, value: float, limit: float) -> None:
        super().__init__(reason)
        self.reason, self.value, self.limit = reason, value, limit


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
    with suppress(etree.XMLSyntaxError):  # nothing that looks like a page
        for at in range(0, len(html), _FEED):
            part = html[at : at + _FEED]
            parser.feed(part)
            work += part.count(b"</") * target.depth
            if work > _WORK:
                raise TooMuchError("too_deep", target.depth, max_depth)
        parser.close()
    return target.tree()


class _Target:
    """Takes the parser's events."""

    __slots__ = (
        "_after_block", "_ends", "_head", "_headings", "_hidden", "_images", "_kept", "_links",
        "_max_depth", "_max_elements", "_nodes", "_open_links", "_pieces", "_stack", "_verbatim",
    )  # fmt: skip

    def __init__(self, max_elements: int, max_depth: int) -> None:
        self._max_elements, self._max_depth = max_elements, max_depth
        self._stack = [0]
        # tag, attributes, text, parent, units, linked, signs, and counts before it
        self._nodes: list[tuple[str, Attributes, str, int, int, int, int, int, int, int]] = [
            ("html", _NO_ATTRIBUTES, "", -1, 0, 0, 0, 0, 0, 0)
        ]
        self._ends = [0]
        self._pieces: list[str] = []
        self._after_block = True
        self._open_links = self._verbatim = 0
        self._links = self._images = self._headings = 0
        self._hidden: list[str] = []
        self._kept: list[str] | None = None  # text inside a hidden element that is wanted
        self._head = Head()

    @property
    def depth(self) -> int:
        """How many elements are open."""
        return len(self._stack) + len(self._hidden)

    def start(self, tag: str, attributes: Attributes) -> None:
        """An element begins."""
        kind = _KINDS.get(tag, _INLINE)
        if self._hidden or kind == _OUT:
            self._start_hidden(tag, attributes)
            return
        if kind == _ROOT:
            self._head.lang = attributes.get("lang") or attributes.get("xml:lang") or ""
            return
        is_block = kind >= _BLOCK
        if self._pieces:
            self._flush(is_block)
        if is_block:
            self._after_block = True
            if kind == _PRE:
                self._verbatim += 1
        elif kind == _LINK:
            self._open_links += 1
            if "href" in attributes:
                self._note_link(tag, attributes)
        stack = self._stack
        if len(stack) > self._max_depth:
            raise TooMuchError("too_deep", len(stack), self._max_depth)
        stack.append(self._add(tag, attributes))

    def end(self, tag: str) -> None:
        """An element ends."""
        if self._hidden:
            self._end_hidden(tag)
            return
        kind = _KINDS.get(tag, _INLINE)
        if kind == _ROOT:
            return
        is_block = kind >= _BLOCK
        if self._pieces:
            self._flush(is_block)
        if is_block:
            self._after_block = True
            if kind == _PRE:
                self._verbatim -= 1
        elif kind == _LINK:
            self._open_links -= 1
        if len(self._stack) > 1:
            self._ends[self._stack.pop()] = len(self._ends)

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
        for node in self._stack:
            self._ends[node] = len(self._ends)
        (tags, attributes, texts, parents, units, linked, signs, links, images, headings) = map(
            list, zip(*self._nodes, strict=True)
        )
        links.append(self._links)
        images.append(self._images)
        headings.append(self._headings)
        return Tree(
            tags=tags,
            attributes=attributes,
            texts=texts,
            parents=parents,
            ends=self._ends,
            units=units,
            linked=linked,
            signs=signs,
            links=links,
            images=images,
            headings=headings,
            head=self._head,
        )

    def _add(self, tag: str, attributes: Attributes) -> int:
        """Append an element; it ends where it begins until its end is met."""
        node = len(self._ends)
        if node >= self._max_elements:
            raise TooMuchError("too_many_elements", node + 1, self._max_elements)
        self._nodes.append((
            tag, attributes, "", self._stack[-1], 0, 0, 0,
            self._links, self._images, self._headings,
        ))  # fmt: skip
        self._ends.append(node + 1)
        if tag in _COUNTED:
            self._links += tag == "a"
            self._images += tag in IMAGES
            self._headings += tag in HEADINGS
        return node

    def _flush(self, is_block: bool) -> None:
        """Make a text of the pieces, unless they are spaces that mean nothing."""
        pieces = self._pieces
        text = "".join(pieces) if len(pieces) > 1 else pieces[0]
        pieces.clear()
        units = signs = 0
        if not text.isspace():
            units, signs = count_units(text), len(text.strip())
        elif self._verbatim <= 0:
            if is_block or self._after_block:
                return
            text = " "
        self._after_block = False
        node = len(self._ends)
        if node >= self._max_elements:
            raise TooMuchError("too_many_elements", node + 1, self._max_elements)
        linked = units if self._open_links > 0 else 0
        self._nodes.append((
            "", _NO_ATTRIBUTES, text, self._stack[-1], units, linked, signs,
            self._links, self._images, self._headings,
        ))  # fmt: skip
        self._ends.append(node + 1)

    def _start_hidden(self, tag: str, attributes: Attributes) -> None:
        self._hidden.append(tag)
        if len(self._hidden) > self._max_depth:
            raise TooMuchError("too_deep", len(self._hidden), self._max_depth)
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
            is_title = tag == "title" and "svg" not in self._hidden and not self._head.title
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
            self._head.title = " ".join(text.split())
        elif "ld+json" in kind:
            self._head.scripts.append(text)
        elif not self._hidden and text.strip():
            self._pieces.append(f" ${text.strip()}$ ")

    def _note(self, tag: str, attributes: Attributes) -> None:
        """Keep what an element says about the page."""
        head = self._head
        if tag == "meta":
            name = attributes.get("name") or attributes.get("property") or ""
            name = name or attributes.get("itemprop") or ""
            if name and "content" in attributes:
                head.metas.append((name.lower(), attributes["content"]))
        elif tag == "base":
            head.base = head.base or attributes.get("href", "")
        elif tag == "link" and "href" in attributes:
            self._note_link(tag, attributes)

    def _note_link(self, tag: str, attributes: Attributes) -> None:
        relation, address = attributes.get("rel", ""), attributes["href"]
        if tag == "link" or "license" in relation or _LICENCE.search(address):
            self._head.links.append((relation.lower(), address))
