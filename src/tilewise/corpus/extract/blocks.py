"""From the chosen part of a page to blocks: texts of their kinds and images, in reading order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import Final

from tilewise.corpus.extract.captions import FIGURES, Captions
from tilewise.corpus.extract.images import absolute, image_url, is_pixel
from tilewise.corpus.extract.prune import Pruned
from tilewise.corpus.extract.tables import data_tables, table_parts
from tilewise.corpus.extract.text import CONTROLS, clean
from tilewise.corpus.extract.tree import BLOCKS, IMAGES
from tilewise.records import Block, BlockKind, WebImage

_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_ITEMS: Final = frozenset(("li", "dt"))  # what a term means is text of its own
_LINES: Final = frozenset(("p", "div", "section", "address", "center"))
_SPECIAL: Final = IMAGES | {"video", "audio", "iframe"}
_ALT: Final = 1000  # characters
_SOURCES: Final = 20  # of a picture, at most

_PLAYERS: Final = re.compile(
    r"(?:youtube(?:-nocookie)?\.com/embed|player\.vimeo\.com/video|player\.bilibili\.com"
    r"|player\.youku\.com/embed|dailymotion\.com/embed|v\.qq\.com/)",
    re.IGNORECASE,
)

_PAID: Final = re.compile(
    r"//(?:[\w-]+\.)*(?:ads?|adserv\w*|adclick|doubleclick|googleadservices|taboola|outbrain)\d*\."
    r"|/(?:adclick|ads?/click|aclk|sponsor)\b",
    re.IGNORECASE,
)
_LOOKED_AT: Final = 500  # characters of a link


@dataclass(slots=True)
class _Open:
    """An open element that changes what text in it is."""

    end: int
    kind: BlockKind
    level: int
    is_item: bool = False


class _Writer:
    """Collects text, and makes a block of it where one ends."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._line: list[str] = []
        self._lines: list[str] = []
        self._waiting: list[WebImage] = []
        self.put: Final = self._line.append  # text in a line

    def break_line(self) -> None:
        """End a line."""
        if self._line:
            text = clean("".join(self._line))
            self._line.clear()
            if text:
                self._lines.append(text)

    def finish(self, kind: BlockKind, level: int) -> None:
        """End a block; images that stood in its sentences follow it."""
        if not (self._line or self._lines or self._waiting):
            return
        self.break_line()
        if self._lines:
            self.blocks.append(Block(kind=kind, text="\n".join(self._lines), level=level))
            self._lines = []
        for image in self._waiting:
            self._add(image)
        self._waiting.clear()

    @property
    def is_line_empty(self) -> bool:
        """Whether nothing stands in the line."""
        return not any(part and not part.isspace() for part in self._line)

    @property
    def has_image_last(self) -> bool:
        """Whether an image was met last."""
        if self._waiting or not self.is_line_empty or self._lines:
            return bool(self._waiting)
        return bool(self.blocks) and self.blocks[-1].image is not None

    def wait(self, image: WebImage) -> None:
        """An image inside a sentence."""
        self._waiting.append(image)

    def _add(self, image: WebImage) -> None:
        last = self.blocks[-1].image if self.blocks else None
        if last is None or last.url != image.url:  # one that follows itself is shown once
            self.blocks.append(Block(kind="image", image=image))


def write_blocks(pruned: Pruned, nodes: list[int], base: str) -> tuple[Block, ...]:
    """Make blocks of parts of a page.

    Code and preformatted text stay as they are; a list's item, a paragraph, a heading is a block
    each; a table of data is one, its rows lines and its cells parted by tabs, while a table that
    only places things is read through. A caption goes with its image and is no block of its own.
    An image between sentences stands between their blocks; one inside a sentence follows it.

    Args:
        pruned: the page.
        nodes: the parts, in reading order.
        base: address that others start from.
    """
    walk = _Walk(pruned, base)
    for node in nodes:
        walk.run(node)
    return tuple(walk.writer.blocks)


class _Walk:
    """One way through the nodes, in reading order, without recursion."""

    def __init__(self, pruned: Pruned, base: str) -> None:
        self._tree, self._gone = pruned.tree, pruned.is_gone
        self._base = base
        self.writer = _Writer()
        self._tables = data_tables(pruned)
        self._open: list[_Open] = []
        self._items = 0
        self._ends: list[int] = []  # where open blocks end
        self._captions = Captions(pruned)

    def run(self, node: int) -> None:
        """Write a node and all that lies in it."""
        tags, ends, texts, gone = self._tree.tags, self._tree.ends, self._tree.texts, self._gone
        at, end, opened = node, ends[node], self._ends
        put, skipped = self.writer.put, self._captions.skipped
        while at < end:
            while opened and at >= opened[-1]:
                self._close(opened.pop())
            tag = tags[at]
            if not tag:
                put(texts[at])
                at += 1
            elif gone[at] or at in skipped:
                at = ends[at]
            elif tag in BLOCKS:
                at = self._block(at, tag)
            elif tag in _SPECIAL:
                self._special(at, tag)
                at = ends[at]
            else:
                at += 1
        while opened:
            self._close(opened.pop())
        self._finish()

    def _finish(self) -> None:
        if self._open:
            last = self._open[-1]
            self.writer.finish(last.kind, last.level)
        else:
            self.writer.finish("text", 0)

    def _close(self, end: int) -> None:
        """A block ends: its text is done, and what it opened is over."""
        if self._open and self._open[-1].is_item and self._open[-1].end != end:
            self.writer.break_line()
            return
        self._finish()
        while self._open and self._open[-1].end == end:
            self._items -= self._open.pop().is_item

    def _block(self, at: int, tag: str) -> int:
        """Begin a block; gives the node to go on with."""
        end = self._tree.ends[at]
        if tag == "br":
            if self.writer.is_line_empty or self.writer.has_image_last:
                self._finish()  # the second of two parts paragraphs
            else:
                self.writer.break_line()
            return end
        if self._open and self._open[-1].is_item and tag in _LINES:
            self.writer.break_line()  # paragraphs of an item are its lines
        else:
            self._finish()
        if tag == "pre":
            self._code(at)
            return end
        if at in self._tables:
            self._table(at)
            return end
        self._enter(at, tag, end)
        self._ends.append(end)
        return at + 1

    def _enter(self, at: int, tag: str, end: int) -> None:
        """Note what an element makes of the text in it."""
        if tag in _HEADINGS:
            self._open.append(_Open(end, "header", _HEADINGS[tag]))
        elif tag in _ITEMS:
            self._items += 1
            self._open.append(_Open(end, "list", self._items, is_item=True))
        elif tag == "blockquote":
            self._open.append(_Open(end, "quote", 0))
        elif tag in ("details", "summary"):
            self._open.append(_Open(end, "detail", 0))
        elif tag in FIGURES:
            self._captions.look(at)

    def _code(self, at: int) -> None:
        """Preformatted text as it is."""
        tree, parts, images = self._tree, [], []
        node, end = at + 1, tree.ends[at]
        while node < end:
            tag = tree.tags[node]
            if tag and self._gone[node]:
                node = tree.ends[node]
                continue
            if tag == "br":
                parts.append("\n")
            elif tag == "img":
                images.append(node)
            else:
                parts.append(tree.texts[node])
            node += 1
        text = "".join(parts).replace("\r\n", "\n").replace("\r", "\n").strip("\n").rstrip()
        if text.strip():
            self.writer.blocks.append(Block(kind="code", text=text.translate(CONTROLS)))
        for node in images:
            self._image(node)
        self._finish()

    def _table(self, at: int) -> None:
        """Rows of a table, parted where an image stands."""
        for part in table_parts(self._tree, self._gone, at):
            if isinstance(part, int):
                self._image(part)
                self._finish()
            else:
                rows = ["\t".join(clean(cell) for cell in row) for row in part]
                text = "\n".join(row for row in rows if row.strip())
                if text:
                    self.writer.blocks.append(Block(kind="table", text=text))

    def _special(self, at: int, tag: str) -> None:
        """An image, a video, a sound."""
        if tag in IMAGES:
            if tag == "noscript-img" and self.writer.has_image_last:
                return  # the same image, for browsers without scripts
            if self.writer.is_line_empty:
                self._finish()
            self._image(at)
            if self.writer.is_line_empty:
                self._finish()
            return
        tree = self._tree
        address = tree.attributes[at].get("src", "")
        for child in islice(tree.children(at), 20):
            address = address or tree.attributes[child].get("src", "")
        kind: BlockKind = "audio" if tag == "audio" else "video"
        address = absolute(address, self._base) if address else ""
        if address and (tag != "iframe" or _PLAYERS.search(address)):
            self._finish()
            self.writer.blocks.append(Block(kind=kind, text=address))

    def _image(self, at: int) -> None:
        """Put an image where it stands, unless it is a counter of visits or an advertisement."""
        tree = self._tree
        attributes = tree.attributes[at]
        url = image_url(attributes, self._base, self._sources(at))
        if not url or is_pixel(attributes) or self._is_advertised(at):
            return
        alt = clean(attributes.get("alt") or attributes.get("title") or "")[:_ALT]
        self.writer.wait(WebImage(url=url, alt=alt, caption=self._captions.of(at)))

    def _sources(self, at: int) -> tuple[str, ...]:
        """Sets of sizes of an image's ``picture``.

        The parser takes a ``source`` that is not closed for an element around what follows.
        """
        tree = self._tree
        sets: list[str] = []
        outer = tree.parents[at]
        while tree.tags[outer] == "source" and len(sets) < _SOURCES:
            sets.append(tree.attributes[outer].get("srcset", ""))
            outer = tree.parents[outer]
        if tree.tags[outer] == "picture" and not sets:
            inside = islice(tree.children(outer), _SOURCES)
            sets = [tree.attributes[one].get("srcset", "") for one in inside]
        return tuple(sets)

    def _is_advertised(self, at: int) -> bool:
        """Whether an image is a link that was paid for."""
        tree = self._tree
        for _ in range(3):
            at = tree.parents[at]
            if at < 0:
                return False
            if tree.tags[at] == "a":
                link = tree.attributes[at]
                return "sponsored" in link.get("rel", "") or bool(
                    _PAID.search(link.get("href", "")[:_LOOKED_AT])
                )
        return False
