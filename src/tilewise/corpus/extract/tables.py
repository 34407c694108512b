"""Tables: which hold data and which only place things, and the rows of those that hold data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tilewise.corpus.extract.prune import Pruned
from tilewise.corpus.extract.tree import IMAGES, Tree

_CELLS: Final = ("td", "th")
_LONG_UNITS: Final = 100
"""A cell with more is text that was placed by a table."""

_TEXT: Final = frozenset("h1 h2 h3 h4 h5 h6 pre blockquote article section figure form".split())
"""Elements that do not stand in tables of data."""


@dataclass(slots=True)
class _Seen:
    """What was met in a table so far."""

    node: int
    end: int
    rows: int = 0
    cells: int = 0
    headers: int = 0
    is_layout: bool = False


def data_tables(pruned: Pruned) -> set[int]:
    """The tables of a page that hold data: several cells a row, short, without text elements."""
    tree, gone, sums = pruned.tree, pruned.is_gone, pruned.sums
    if "table" not in tree.tags:
        return set()
    found, opened = set(), list[_Seen]()
    at, size = 0, len(tree)
    while at < size:
        while opened and at >= opened[-1].end:
            if _is_data(seen := opened.pop()):
                found.add(seen.node)
        if gone[at]:
            at = tree.ends[at]
            continue
        tag = tree.tags[at]
        if tag == "table":
            if opened:
                opened[-1].is_layout = True
            seen = _Seen(at, tree.ends[at])
            seen.is_layout = tree.attributes[at].get("role") in ("presentation", "none")
            opened.append(seen)
        elif opened and tag:
            _see(opened[-1], tag, sums.of(at)[0] if tag in _CELLS else 0)
        at += 1
    return found | {seen.node for seen in opened if _is_data(seen)}


def _see(seen: _Seen, tag: str, units: int) -> None:
    if tag == "tr":
        seen.rows += 1
    elif tag in _CELLS:
        seen.cells += 1
        seen.headers += tag == "th"
        seen.is_layout = seen.is_layout or units > _LONG_UNITS
    elif tag in _TEXT:
        seen.is_layout = True


def _is_data(seen: _Seen) -> bool:
    """Two rows of two cells or more."""
    is_regular = seen.rows >= 2 and seen.cells >= 2 * seen.rows - 1
    return not seen.is_layout and is_regular and (seen.cells >= 6 or seen.headers > 1)


def table_parts(tree: Tree, gone: bytearray, table: int) -> Iterator[list[list[str]] | int]:
    """Rows of cells as they are written, and the nodes of images, in reading order."""
    rows: list[list[str]] = []
    pieces: list[str] = []
    at, end = table + 1, tree.ends[table]

    def done() -> None:
        if rows and rows[-1] and pieces:
            rows[-1][-1] = "".join(pieces)
        pieces.clear()

    while at < end:
        tag = tree.tags[at]
        if not tag:
            pieces.append(tree.texts[at])
        elif gone[at]:
            at = tree.ends[at]
            continue
        elif tag in ("tr", "caption"):
            done()
            rows.append([""] if tag == "caption" else [])
        elif tag in _CELLS:
            done()
            if not rows:
                rows.append([])
            rows[-1].append("")
        elif tag in IMAGES:
            done()
            if any(any(cell.strip() for cell in row) for row in rows):
                yield rows
                rows = [[""]]
            yield at
        elif pieces:
            pieces.append(" ")
        at += 1
    done()
    yield rows
