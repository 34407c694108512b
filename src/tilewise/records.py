"""Frozen values passed between stages.

Sizes are ``(width, height)`` in pixels, arrays are ``(rows, cols, ...)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tilewise.errors import SourceError

Pixels = NDArray[np.uint8]

NEWLINE = -1
"""Plan entry of the learned separator at the end of a row of visual tokens."""

VIEW_SEPARATOR = -2
"""Plan entry of the learned separator between the global and the local view."""

IMAGE_START = -3
"""Plan entry of the vocabulary token before an image sequence."""

IMAGE_END = -4
"""Plan entry of the vocabulary token after an image sequence."""


class Box(NamedTuple):
    """A rectangle in pixels of a page; right and bottom are exclusive."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Page:
    """One image to be read: uint8 RGB ``(height, width, 3)``.

    ``turned_deg``: the source's picture was turned anticlockwise by so much about its centre to
    put the page straight; boxes are in pixels of the page as it is here. ``is_frame``: it is one
    frame of a video, which gets one tile and no share of the pages' tile budget.
    """

    pixels: Pixels
    name: str
    number: int = 1
    total: int = 1
    turned_deg: float = 0.0
    is_frame: bool = False

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise SourceError(
                f"{self.name}: a page is {self.pixels.dtype} {shape}; "
                "uint8 (height, width, 3) with at least one pixel is allowed."
            )

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])


class Grid(NamedTuple):
    """Columns × rows of tiles."""

    cols: int
    rows: int

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return self.cols * self.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Where a page of ``page_width`` × ``page_height`` lies on its canvas of tiles.

    The page is resized to ``width`` × ``height`` and padded by ``left``, ``top`` and
    what is missing on the right and at the bottom.
    """

    grid: Grid
    tile: int
    page_width: int
    page_height: int
    width: int
    height: int
    left: int
    top: int

    @property
    def canvas_width(self) -> int:
        """Width of the padded canvas in pixels."""
        return self.grid.cols * self.tile

    @property
    def canvas_height(self) -> int:
        """Height of the padded canvas in pixels."""
        return self.grid.rows * self.tile

    def to_page(self, box: Box) -> Box:
        """Carry a box from canvas pixels to page pixels, cut to the page."""
        sx, sy = self.page_width / self.width, self.page_height / self.height
        return Box(
            min(max((box.left - self.left) * sx, 0.0), self.page_width),
            min(max((box.top - self.top) * sy, 0.0), self.page_height),
            min(max((box.right - self.left) * sx, 0.0), self.page_width),
            min(max((box.bottom - self.top) * sy, 0.0), self.page_height),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tiles:
    """The canvas of one page, cut.

    ``local`` is uint8 ``(rows * cols, tile, tile, 3)``, row by row; ``canvas`` is the padded
    page ``(canvas_height, canvas_width, 3)`` from which a family makes its global view, unless
    it makes that from the page's own pixels: then ``whole`` is it, ``(tile, tile, 3)``, and None
    where the page has no such view. ``is_frame`` is the page's.
    """

    local: Pixels
    canvas: Pixels
    fit: Fit
    whole: Pixels | None = None
    is_frame: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """The image sequence of one page as integers, before it is a tensor.

    ``entries`` is int32 ``(length,)``: ``NEWLINE``, ``VIEW_SEPARATOR``, ``IMAGE_START``,
    ``IMAGE_END``, or the index of a visual token in encoder order: tiles row by row, each tile's
    tokens row by row, and the global view, if there is one, before or after all tiles as the
    family has it. ``has_global`` is False where this page has no such view.
    """

    entries: NDArray[np.int32]
    tokens_per_tile: int
    has_global: bool

    def __len__(self) -> int:
        return len(self.entries)


Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message of a conversation."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Where an answer stands: a box in pixels of page ``page`` (1-based among the pages asked)."""

    page: int
    box: Box
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A piece of a streamed answer; ``text`` never ends inside a character."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer with what it cost.

    ``first_s`` is seconds to the first character, ``total_s`` to the last; ``confidence`` is the
    product of the probabilities of the chosen ids, or None where a reader gives none.
    ``is_complete`` is False where a limit cut the answer before the reader ended it.
    """

    text: str
    evidence: tuple[Evidence, ...]
    is_found: bool
    confidence: float | None
    prompt_tokens: int
    new_tokens: int
    first_s: float
    total_s: float
    is_complete: bool = True


BlockKind = Literal[
    "text", "header", "list", "table", "code", "quote", "detail", "image", "video", "audio"
]
"""Kinds of elements of a web document; a block of kind ``list`` is one item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebImage:
    """An image of a document: where it is, and what is known of it once it was fetched.

    ``width`` and ``height`` in pixels, ``size_bytes`` of the file, ``p_hash`` and ``d_hash`` 64
    bits in hex, ``p_count`` and ``d_count`` the documents each hash was seen in, ``aesthetic`` 0
    to 10, ``unsafe`` 0 to 1; None while not known. ``dropped`` names the filter that removed it.
    """

    url: str
    alt: str = ""
    caption: str = ""
    width: int | None = None
    height: int | None = None
    size_bytes: int | None = None
    p_hash: str | None = None
    d_hash: str | None = None
    p_count: int | None = None
    d_count: int | None = None
    aesthetic: float | None = None
    unsafe: float | None = None
    dropped: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One element of a document, in reading order: text of a kind, or an image.

    ``level`` is 1 to 6 for a header, and the depth for a list item. A table's rows are lines, its
    cells parted by tabs.
    """

    kind: BlockKind
    text: str = ""
    level: int = 0
    image: WebImage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An interleaved document: the main body of one web page.

    ``captured`` is the time of capture, ISO 8601 in UTC, or "". ``archive`` and ``offset`` say
    where the page was read: the file, and the byte at which its record begins (or its line).
    ``scores`` are the filters' measured values by name, None where a scorer was not there.
    """

    id: str
    url: str
    blocks: tuple[Block, ...]
    title: str = ""
    captured: str = ""
    archive: str = ""
    offset: int = 0
    lang: str = ""
    lang_score: float | None = None
    license: str = "unknown"
    license_source: str = ""
    scores: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def images(self) -> tuple[WebImage, ...]:
        """The images in order, also those a filter removed."""
        return tuple(block.image for block in self.blocks if block.image is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A document that a filter of a stage removed: the measured value and the limit it broke."""

    id: str
    url: str
    stage: str
    reason: str
    value: float | str | None = None
    threshold: float | str | None = None
    document: Document | None = None
