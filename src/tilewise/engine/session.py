"""A conversation about some pages, which are encoded and run once however much is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

from tilewise.engine.generate import Limits, decode, start
from tilewise.engine.sampling import SamplingConfig
from tilewise.errors import PromptError
from tilewise.models.reader import Progress, Reader
from tilewise.records import Answer, Page, Piece, Tiles, Turn
from tilewise.superres.policy import Decision
from tilewise.superres.prepare import Prepared
from tilewise.tiling.partition import squeezed


class Conversation:
    """Questions and answers about the same pages.

    It keeps the tiles of its pages and the reader's cache of them, so that a second question
    costs its own tokens only. Earlier turns belong to the prompt until ``forget`` is called.
    One question runs at a time; an answer may be abandoned half-way (close the iterator), then
    its turn does not count.

    Args:
        reader: the model.
        pages: the pages asked about, in order; may be empty for a reader that allows it.
        max_tiles: tile budget of each page, as many as pages.
        prepared: pages that the reader sees in the place of ``pages``, enlarged or sharpened,
            as many; boxes of answers are in pixels of ``pages`` all the same.
        clock: seconds, for ``first_s`` and ``total_s``.
    """

    def __init__(
        self,
        reader: Reader,
        pages: Sequence[Page],
        max_tiles: Sequence[int],
        *,
        prepared: Sequence[Prepared] | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.reader = reader
        self.pages = tuple(pages)
        self.decisions: tuple[Decision, ...] | None = None
        self._shown: tuple[Page, ...] = self.pages
        if prepared is not None:
            self.decisions = tuple(one.decision for one in prepared)
            self._shown = tuple(one.page for one in prepared)
        self.shown_sizes = tuple((page.width, page.height) for page in self._shown)
        self.max_tiles = tuple(max_tiles)
        self.turns: tuple[Turn, ...] = ()
        self._tiles: tuple[Tiles, ...] | None = None
        self._cache: Any | None = None
        self._clock = clock

    @property
    def tiles(self) -> tuple[Tiles, ...]:
        """The pages, cut. Done when first needed, so that a first answer's time includes it."""
        if self._tiles is None:
            every = zip(self.pages, self._shown, self.max_tiles, strict=True)
            self._tiles = tuple(self._cut(*one) for one in every)
            self._shown = ()  # their pixels are in the tiles now
        return self._tiles

    def _cut(self, page: Page, shown: Page, limit: int) -> Tiles:
        """The page as the reader is shown it; places on it and the whole view are the page's."""
        tiles = self.reader.tiles(shown, limit)
        if shown is page:
            return tiles
        fit = replace(tiles.fit, page_width=page.width, page_height=page.height)
        whole = tiles.whole
        if whole is not None:
            whole = squeezed(page.pixels, fit.tile, fit.tile)
        return replace(tiles, fit=fit, whole=whole)

    def ask(
        self,
        question: str,
        limits: Limits | None = None,
        progress: Progress | None = None,
        sampling: SamplingConfig | None = None,
    ) -> Iterator[Piece | Answer]:
        """Ask a question.

        Args:
            question: one message of the user.
            limits: when the answer ends at the latest.
            progress: told ("tiles" | "prefill" | "answer", done, total) as work goes on.
            sampling: how ids are chosen; default, always the most probable.

        Yields:
            Pieces of text as they come (with beams, when the search has ended), then one Answer
            with the whole.

        Raises:
            PromptError: the question is empty or, with pages and earlier turns, too long.
            WeightsError: the reader gives no usable output.
        """
        limits = limits or Limits()
        began = self._clock()
        check_question(question)
        turns = (*self.turns, Turn(role="user", text=question))
        prompt = self.reader.prompt(turns, self.tiles)
        earlier, self._cache = self._cache, None  # interrupted work leaves no cache behind
        run = start(self.reader, [prompt], earlier, progress)
        (draft,), filled = run.drafts, run.cache.length
        for (step,) in decode(self.reader, run, limits, sampling, progress):
            draft.mark(self._clock() - began)
            self._cache = run.cache  # whole at this point: an abandoned answer leaves it usable
            if step is not None and step.text:
                yield Piece(text=step.text)
            self._cache = None
        self._cache = run.cache
        self.turns = (*turns, Turn(role="assistant", text=draft.text))
        yield draft.answer(self.reader, run.cache, 0, filled)

    def fits_alone(self, question: str) -> bool:
        """Whether a question could be put if the turns so far were forgotten."""
        try:
            self.reader.prompt([Turn(role="user", text=question)], self.tiles)
        except PromptError:
            return False
        return True

    def forget(self) -> None:
        """Drop the turns so far; the pages and what was computed from them stay."""
        self.turns = ()


def check_question(question: str) -> None:
    """Raise PromptError for a question without a visible character."""
    if not question.strip():
        raise PromptError('the question is empty; ask something, e.g. "What is the title?".')
