"""The one flow: sources become pages, pages and a question become an answer.

``ask`` is all of it; ``converse`` is what remains when sources are open and a reader is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, cast

from tilewise.engine.budget import check_context, share_tiles
from tilewise.engine.generate import Limits
from tilewise.engine.memory import check_memory
from tilewise.engine.sampling import SamplingConfig
from tilewise.engine.session import Conversation, check_question
from tilewise.errors import ConfigError, PromptError, SourceError
from tilewise.models.folders import DEFAULT
from tilewise.models.load import AUTO, Dtype, load
from tilewise.models.reader import Progress, Reader
from tilewise.records import Page, Piece
from tilewise.sources.pages import SourceLike, open_source
from tilewise.sources.ranges import parse_page_range
from tilewise.sources.source import Source
from tilewise.sources.video import is_video
from tilewise.sources.video_options import VideoOptions
from tilewise.sources.web_options import WebOptions
from tilewise.structured.asking import fill
from tilewise.structured.form import read_form
from tilewise.structured.record import Record
from tilewise.structured.schema import SchemaLike
from tilewise.superres.policy import Upscale, checked
from tilewise.superres.prepare import Prepared, prepared, unenlarged
from tilewise.weights.room import available_bytes

ENLARGED_FOR: Final = (DEFAULT,)
"""Readers that pages are enlarged for unless told otherwise: those it was measured with."""


def ask(
    sources: SourceLike | Sequence[SourceLike] | None,
    question: str,
    *,
    model: str | Path | Reader = DEFAULT,
    dtype: Dtype | None = None,
    device: str = AUTO,
    max_tiles: int | None = None,
    pages: str | None = None,
    per_page: bool = False,
    max_new_tokens: int | None = None,
    sampling: SamplingConfig | None = None,
    password: str | None = None,
    web: WebOptions | None = None,
    straighten: bool = True,
    video: VideoOptions | None = None,
    upscale: Upscale | None = None,
    progress: Progress | None = None,
) -> Iterator[str]:
    """Ask a question about pages and get the answer as it is made.

    Nothing happens before the first piece is taken.

    Args:
        sources: one source or a list of them: paths, web addresses, bytes of files,
            PIL images, arrays. None asks about no page, where the model allows it.
        question: what to ask, in one message.
        model: a name, a folder, or a reader that ``load`` gave.
        dtype, device: what to load the model in and where, as for ``load``.
        max_tiles: tile budget that all pages share, at least one each; default, the reader's own.
            Frames of videos get one tile each besides.
        pages: e.g. ``"1-3,7"``, of each source; default, all.
        per_page: answer for each page on its own, each with the whole tile budget.
        max_new_tokens: where to cut the answer; default 4096.
        sampling: temperature, seed, beams and so on; default, always the most probable.
        password: opens encrypted PDFs.
        web: how addresses are fetched and web pages drawn.
        straighten: put scanned pages of files straight where skew or turn are sure.
        video: which frames of videos are looked at; a folder of pictures is a video where this is
            given.
        upscale: "auto" enlarges pages of small sharp print and sharpens blurred print before
            they are read, a number enlarges every page by it, "off" leaves them; default, "auto"
            for tilewise-nano and "off" for other models; see docs/reading-small-print.md.
        progress: called with (stage, done, total); stages are MiB fetched, weights (in MiB),
            sources, tiles, prefill, answer.

    Yields:
        Text that joins to the answer; with ``per_page`` a newline between two answers.

    Raises:
        SourceError, PromptError, WeightsError, ConfigError: with one sentence for the user.
    """
    check_question(question)
    limits = Limits() if max_new_tokens is None else Limits(max_new_tokens=max_new_tokens)
    with ExitStack() as stack:
        opened = [
            stack.enter_context(
                open_source(item, password=password, web=web, straighten=straighten, video=video)
            )
            for item in ([] if sources is None else _listed(sources))
        ]
        reader = model
        if isinstance(reader, str | Path):
            reader = load(reader, dtype=dtype, device=device, progress=progress)
        talks = converse(
            None if sources is None else opened,
            reader,
            max_tiles=max_tiles,
            pages=pages,
            per_page=per_page,
            beams=sampling.beams if sampling else 1,
            upscale=upscale,
            progress=progress,
        )
        for number, talk in enumerate(talks):
            if number:
                yield "\n"
            for event in talk.ask(question, limits, progress, sampling):
                if isinstance(event, Piece):
                    yield event.text


def ask_schema(
    source: SourceLike,
    schema: SchemaLike,
    *,
    model: str | Path | Reader = DEFAULT,
    dtype: Dtype | None = None,
    device: str = AUTO,
    max_tiles: int | None = None,
    pages: str | None = None,
    max_new_tokens: int | None = None,
    sampling: SamplingConfig | None = None,
    password: str | None = None,
    web: WebOptions | None = None,
    straighten: bool = True,
    video: VideoOptions | None = None,
    upscale: Upscale | None = None,
    progress: Progress | None = None,
) -> Record:
    """Ask for every field of a JSON Schema and get one record with a place for each value.

    Args:
        source: one source, as for ``ask``.
        schema: the path of a JSON Schema, or the schema as a dict; docs/structured-answers.md
            says what of JSON Schema is supported.
        model, dtype, device, max_tiles, pages, max_new_tokens, sampling, password, web, straighten,
            video, upscale, progress: as for ``ask``; an answer is cut after 512 tokens unless
            ``max_new_tokens`` is given.

    Returns:
        A record. ``data`` is valid for the schema if ``problems`` is empty; a value that is not
        on the pages, or cannot be read for sure, is null or left out, never guessed.

    Raises:
        SourceError, PromptError, WeightsError, ConfigError: with one sentence for the user.
        MissingExtraError: the library for JSON Schema is not installed.
    """
    form = read_form(schema)
    limits = None if max_new_tokens is None else Limits(max_new_tokens=max_new_tokens)
    beams = sampling.beams if sampling else 1
    with open_source(
        source, password=password, web=web, straighten=straighten, video=video
    ) as opened:
        reader = model
        if isinstance(reader, str | Path):
            reader = load(reader, dtype=dtype, device=device, progress=progress)
        (talk,) = converse(
            [opened], reader, max_tiles=max_tiles, pages=pages, beams=beams, upscale=upscale,
            progress=progress,
        )  # fmt: skip
        return fill(form, talk, limits, progress, sampling)


def converse(
    sources: Sequence[Source] | None,
    reader: Reader,
    *,
    max_tiles: int | None = None,
    pages: str | None = None,
    per_page: bool = False,
    beams: int = 1,
    upscale: Upscale | None = None,
    progress: Progress | None = None,
) -> Iterator[Conversation]:
    """Start conversations about the pages of open sources.

    Arguments are as in ``ask``; a conversation's ``decisions`` say what ``upscale`` did to each
    page. ``beams`` are those that questions will be asked with, so that
    their memory is counted.

    Yields:
        One conversation about all pages, or about none where ``sources`` is None; with
        ``per_page`` one for each page in turn. Its ``ask`` gives Pieces and an Answer.

    Raises:
        SourceError: no sources, a page that is not there or cannot be decoded.
        PromptError: more pages than the reader's context can hold.
        ConfigError: ``max_tiles`` is below 1, ``upscale`` is none of its values, or pages need
            more memory than there is.
    """
    if upscale is None:
        upscale = "auto" if reader.name in ENLARGED_FOR else "off"
    checked(upscale)
    if sources is None:
        yield Conversation(reader, [], [])
        return
    chosen = places(sources, pages)
    for group in ([place] for place in chosen) if per_page else [chosen]:
        frames = [is_video(source) for source, _ in group]
        most = reader.default_tiles if max_tiles is None else max_tiles
        budget = share_tiles(most, len(group), frames)
        pairs = list(zip(group, budget, strict=True))
        found = (_pixel_size(*place, reader, n) for place, n in pairs)
        check_context(reader, found, budget, frames)
        sizes = [_pixel_size(*place, reader, n) for place, n in pairs]
        left = available_bytes(reader.footprint().devices)
        check_memory(reader, sizes, budget, left, rows=beams, is_frame=frames)
        taken: list[Page] = []
        for (source, number), tiles in pairs:
            taken.append(source.page(number, partial(reader.raster_size, max_tiles=tiles)))
            if progress is not None:
                progress("sources", len(taken), len(pairs))
        yield Conversation(
            reader, taken, budget, prepared=_prepared(taken, pairs, reader, upscale, beams)
        )


def places(sources: Sequence[Source], pages: str | None = None) -> list[tuple[Source, int]]:
    """The pages that a range chooses from each source, as (source, number from 1).

    Raises:
        SourceError: no sources, or a range that one of them does not hold.
    """
    if not sources:
        raise SourceError("no source is given; at least one is needed.")
    return [
        (source, number)
        for source in sources
        for number in (
            range(1, source.count + 1)
            if pages is None
            else parse_page_range(pages, source.count, source.name)
        )
    ]


def _prepared(
    taken: Sequence[Page],
    pairs: Sequence[tuple[tuple[Source, int], int]],
    reader: Reader,
    upscale: Upscale,
    beams: int,
) -> list[Prepared] | None:
    """The pages as the reader shall see them; None where they are to stay as they are.

    Where "auto" would make them too many for the context or memory, they keep their sizes.
    """
    if upscale == "off":
        return None
    made = []
    for page, ((source, number), tiles) in zip(taken, pairs, strict=True):
        is_vector = source.size(number).unit == "pt"
        redraw = partial(_redrawn, source, number, reader, tiles) if is_vector else None
        made.append(prepared(page, upscale, partial(_seen_width, reader, tiles), redraw))
    if all(one.decision.factor == 1.0 for one in made):
        return made
    budget = tuple(tiles for _, tiles in pairs)
    frames = [page.is_frame for page in taken]
    sizes = [(one.page.width, one.page.height) for one in made]
    try:
        check_context(reader, sizes, budget, frames)
        left = available_bytes(reader.footprint().devices)
        check_memory(reader, sizes, budget, left, rows=beams, is_frame=frames)
    except (PromptError, ConfigError) as err:
        if upscale != "auto":
            raise
        return [unenlarged(one, page, str(err)) for one, page in zip(made, taken, strict=True)]
    return made


def _seen_width(reader: Reader, max_tiles: int, width: int, height: int) -> float:
    """Pixels across at which a reader sees a page of a size."""
    return reader.fit(width, height, max_tiles).width


def _redrawn(source: Source, number: int, reader: Reader, max_tiles: int, factor: float) -> Page:
    """A vector page rendered larger than the reader would have it."""

    def size(width_pt: float, height_pt: float) -> tuple[int, int]:
        width, height = reader.raster_size(width_pt, height_pt, max_tiles)
        return max(1, round(width * factor)), max(1, round(height * factor))

    return source.page(number, size)


def _listed(sources: SourceLike | Sequence[SourceLike]) -> Sequence[SourceLike]:
    """One source as a list of one; paths, bytes and arrays are sequences too, but sources here."""
    return sources if isinstance(sources, list | tuple) else [cast(SourceLike, sources)]


def _pixel_size(source: Source, number: int, reader: Reader, max_tiles: int) -> tuple[int, int]:
    width, height, unit = source.size(number)
    if unit == "pt":
        return reader.raster_size(width, height, max_tiles)
    return int(width), int(height)
