"""``tilewise ask --schema`` and ``--format``: answers as records and tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tilewise.cli.asking import STDIN, AskOptions, open_all, sampling_of, use_threads
from tilewise.cli.cache import cache_config
from tilewise.cli.enlarging import tell
from tilewise.cli.files import check_picture_path, numbered, save_picture
from tilewise.cli.progress import ProgressLine
from tilewise.records import Answer, Evidence

if TYPE_CHECKING:
    from tilewise.engine.session import Conversation
    from tilewise.sources.source import Source
    from tilewise.structured.form import Form
    from tilewise.structured.formats import Format
    from tilewise.structured.record import Record

Command = TypeVar("Command", bound=Callable[..., Any])


def structured_options(command: Command) -> Command:
    """Add ``--schema`` and ``--format`` to a command."""
    schema = click.option(
        "--schema",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Ask for each field of this JSON Schema; takes no QUESTION.",
    )
    shape = click.option(
        "--format",
        "shape",
        type=click.Choice(["json", "md", "csv"]),
        help="Print records or tables.  [default: text; json with --schema]",
    )
    return schema(shape(command))


def check_shape(options: dict[str, Any]) -> dict[str, Any]:
    """Take ``--json`` as what it is short for, ``--format json``."""
    if options["as_json"]:
        if options["shape"] not in (None, "json"):
            raise click.UsageError(f"--json and --format {options['shape']} exclude each other.")
        options["shape"] = "json"
    return options


def print_head(shape: Format | None) -> None:
    """What stands before the first answer to a question, such as the names of columns."""
    if shape is not None:
        from tilewise.structured.formats import answer_head

        click.echo(answer_head(shape), nl=False)


def print_answer(talk: Conversation, question: str, answer: Answer, shape: Format) -> None:
    """One answer to a question as a line of JSON or a row of a table."""
    from tilewise.structured.formats import answer_text

    click.echo(answer_text(answer_json(talk, question, answer), shape), nl=False)


def answer_json(talk: Conversation, question: str, answer: Answer) -> dict[str, Any]:
    """What ``--json`` prints of an answer.

    Boxes are [left, top, right, bottom] in pixels of the page of that number, whose size in
    pixels ``pages`` gives; numbers count from 1 in their source. A page put straight was
    "turned" anticlockwise about its centre, in degrees; its boxes are in the turned page.
    "upscale" says what was done to a page before it was read, None where that was off; boxes are
    in the page as it came.
    """
    from tilewise.superres.prepare import as_json

    pages, decisions = talk.pages, talk.decisions or [None] * len(talk.pages)
    return {
        "question": question,
        "answer": answer.text,
        "found": answer.is_found,
        "confidence": answer.confidence,
        "complete": answer.is_complete,
        "boxes": [
            {
                "source": pages[item.page - 1].name,
                "page": pages[item.page - 1].number,
                "box": [round(edge, 1) for edge in item.box],
                "text": item.text,
            }
            for item in answer.evidence
        ],
        "pages": [
            {
                "source": page.name,
                "page": page.number,
                "width": page.width,
                "height": page.height,
                "turned": round(page.turned_deg, 2),
                "grid": list(tiles.fit.grid),
                "upscale": decision and as_json(decision),
            }
            for page, tiles, decision in zip(pages, talk.tiles, decisions, strict=True)
        ],
        "tokens": {"prompt": answer.prompt_tokens, "answer": answer.new_tokens},
        "seconds": {"first": round(answer.first_s, 3), "total": round(answer.total_s, 3)},
        "model": talk.reader.name,
    }


def ask_by_schema(words: Sequence[str], settings: AskOptions) -> None:
    """Print one record for each source, or with ``--per-page`` for each page.

    Ends with exit status 1 if a record is not valid for the schema; what is missing is told on
    stderr, and the records are printed all the same.
    """
    from tilewise.structured.form import read_form

    assert settings.schema is not None
    if settings.chat:
        raise click.UsageError("--schema and --chat exclude each other; leave one out.")
    _check_sources(words)
    if list(words).count(STDIN) > 1:
        raise click.UsageError("Standard input can be read once.")
    if settings.draw is not None:
        check_picture_path(settings.draw)
    form = read_form(settings.schema)
    with ExitStack() as stack:
        opened = open_all(stack, words, settings)
        progress = ProgressLine(settings.progress)
        stack.callback(progress.clear)
        invalid = _ask_opened(opened, form, settings, progress)
    if invalid:
        raise click.exceptions.Exit(1)


def _check_sources(words: Sequence[str]) -> None:
    """With a schema all words are sources; a question among them is a slip."""
    last = words[-1]
    if last != STDIN and ":" not in last and " " in last and not _exists(last):
        raise click.UsageError(
            f"{last!r} is no file; with --schema the fields are the questions, give SOURCES only."
        )


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # longer than a path may be, or with a zero byte
        return False


def _ask_opened(
    opened: Sequence[Source], form: Form, settings: AskOptions, progress: ProgressLine
) -> int:
    """Ask, print and draw; returns how many records are not valid."""
    from tilewise.engine.generate import Limits
    from tilewise.models.folders import DEFAULT
    from tilewise.models.load import load
    from tilewise.pipeline import converse, places
    from tilewise.structured.asking import fill
    from tilewise.structured.formats import record_head, record_text

    sampling = sampling_of(settings)
    limits = None
    if settings.max_new_tokens is not None:
        limits = Limits(max_new_tokens=settings.max_new_tokens)
    use_threads(settings.threads)
    chosen = places(opened, settings.pages)  # sees that all pages are there
    count = len(chosen) if settings.per_page else len(opened)
    reader = load(
        DEFAULT if settings.model is None else settings.model,
        dtype=settings.dtype,
        device=settings.device,
        progress=progress,
        cache=cache_config(settings.no_cache, settings.cache_size),
    )
    shape = settings.shape or "json"
    done = invalid = 0
    for source in opened:
        talks = converse(
            [source],
            reader,
            max_tiles=settings.max_tiles,
            pages=settings.pages,
            per_page=settings.per_page,
            beams=sampling.beams,
            upscale=settings.upscale,
            progress=progress,
        )
        for talk in talks:
            progress.clear()
            tell(talk, settings.upscale)
            record = fill(form, talk, limits, progress, sampling)
            progress.clear()
            head = record_head(form, shape) if done == 0 else ""
            click.echo(head + record_text(record, shape), nl=False)
            for problem in record.problems:
                click.echo(f"{_label(record)}: {problem}", err=True)
            if settings.draw is not None:
                _draw(talk, record, numbered(settings.draw, done, count))
            done, invalid = done + 1, invalid + (not record.is_valid)
    return invalid


def _label(record: Record) -> str:
    pages = ", ".join(map(str, record.pages))
    return f"{record.source}, {'page' if len(record.pages) == 1 else 'pages'} {pages}"


def _draw(talk: Conversation, record: Record, path: Path) -> None:
    """Mark all values on their pages; several pages are numbered."""
    from tilewise.tiling.draw import draw_evidence

    for index, page in enumerate(talk.pages):
        marks = [
            Evidence(page=1, box=answer.box, text=answer.text)
            for answer in record.answers
            if answer.box is not None and answer.page == page.number
        ]
        save_picture(draw_evidence(page, marks), numbered(path, index, len(talk.pages)))
