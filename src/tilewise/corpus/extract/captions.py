"""Captions: which text stands under an image and belongs to it."""

from __future__ import annotations

from typing import Final

from tilewise.corpus.extract.patterns import Sign, sign_of
from tilewise.corpus.extract.prune import Pruned
from tilewise.corpus.extract.text import clean
from tilewise.corpus.extract.tree import count_units

FIGURES: Final = frozenset(("figure", "div", "dl", "li", "td", "table"))
"""Elements that may hold an image with its caption."""

_UNITS: Final = 150
"""What is longer than this beside an image is text and no caption."""

_NODES: Final = 200
"""How far into a figure its caption is looked for."""


class Captions:
    """Captions of the figures that were looked at; ``skipped`` are nodes that are captions."""

    def __init__(self, pruned: Pruned) -> None:
        self._tree, self._gone = pruned.tree, pruned.is_gone
        self.skipped: set[int] = set()
        self._caption, self._end = "", 0

    def of(self, image: int) -> str:
        """The caption of an image, "" if it has none."""
        return self._caption if image < self._end else ""

    def look(self, node: int) -> None:
        """See whether an element is a figure, and find its caption."""
        tree = self._tree
        if node < self._end or not self._tree.images_in(node):
            return
        attributes = tree.attributes[node]
        sign = sign_of(attributes.get("class", ""), "", attributes.get("role", ""))
        if tree.tags[node] != "figure" and not sign & Sign.FIGURE:
            return
        self._caption, self._end = "", tree.ends[node]
        at, end = node + 1, min(tree.ends[node], node + _NODES)
        while at < end:
            if self._gone[at]:
                at = tree.ends[at]
                continue
            if tree.tags[at] and self._is_caption(at):
                text = clean(tree.text(at))
                if text and count_units(text) <= _UNITS:
                    self._caption = text
                    self.skipped.add(at)
                return
            at += 1

    def _is_caption(self, node: int) -> bool:
        if self._tree.images_in(node):
            return False  # a block with an image in it is no caption
        if self._tree.tags[node] == "figcaption":
            return True
        names = self._tree.attributes[node].get("class", "")
        return bool(names) and (names == "title" or bool(sign_of(names, "", "") & Sign.CAPTION))
