"""What every kind of source gives: a name, a number of pages, their sizes, and the pages."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, Self

from tilewise.errors import SourceError
from tilewise.records import Page

RasterSize = Callable[[float, float], tuple[int, int]]
"""(width, height) of a vector page in points -> (width, height) in pixels to render it at."""


class PageSize(NamedTuple):
    """Size of a page as a viewer shows it: pixels of an image, points (1/72 inch) of a PDF."""

    width: float
    height: float
    unit: Literal["px", "pt"]


class Source(Protocol):
    """An open source. Pages are numbered from 1; nothing is decoded before it is asked for."""

    @property
    def name(self) -> str:
        """What messages call it: the path as it was given, or what kind of value it was."""

    @property
    def count(self) -> int:
        """Number of pages, at least 1."""

    def size(self, number: int) -> PageSize:
        """Size of page ``number``, without decoding or rendering it."""

    def page(self, number: int, raster_size: RasterSize | None = None) -> Page:
        """Decode or render page ``number``; ``raster_size`` matters to vector pages only."""

    def close(self) -> None:
        """Let go of the file; the source is of no use afterwards."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Closes:
    """For what a ``with`` block closes at its end, whatever happens in it."""

    def close(self) -> None:
        """Let go of what is held open; nothing, unless a class says otherwise."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_number(name: str, number: int, count: int) -> None:
    """Raise SourceError unless ``1 <= number <= count``."""
    if not 1 <= number <= count:
        raise SourceError(f"{name}: page {number} was asked for; pages 1 to {count} exist.")
