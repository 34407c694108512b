"""``tilewise ask``: questions about pages, answers as a stream."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilewise.cli.asking import AskOptions, open_all, sampling_of, use_threads
from tilewise.cli.cache import cache_config, cache_options
from tilewise.cli.enlarging import tell, upscale_option
from tilewise.cli.files import check_picture_path, numbered, save_picture
from tilewise.cli.folder import ask_many, folder_options, needs_out, taken
from tilewise.cli.progress import ANSWER, ProgressLine
from tilewise.cli.scan import straighten_option
from tilewise.cli.structured import (
    ask_by_schema,
    check_shape,
    print_answer,
    print_head,
    structured_options,
)
from tilewise.cli.video import is_frame_folder, video_options
from tilewise.cli.web import web_options
from tilewise.cli.words import split_words
from tilewise.errors import PromptError
from tilewise.records import Answer

if TYPE_CHECKING:
    from tilewise.engine.generate import Limits
    from tilewise.engine.sampling import SamplingConfig
    from tilewise.engine.session import Conversation
    from tilewise.folder.work import Asking
    from tilewise.sources.source import Source


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="SOURCES... QUESTION")
@click.option("--model", metavar="NAME", help="A name from `tilewise models`, or a folder.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    help="What to keep weights in.  [default: as the model has them]",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="auto takes a GPU where there is one; or cpu, cuda, cuda:1.",
)
@click.option("--max-tiles", type=click.IntRange(min=1), help="Tile budget of all pages together.")
@click.option("--pages", metavar="RANGE", help="Pages of each source, e.g. 1-3,7.  [default: all]")
@click.option("--per-page", is_flag=True, help="Answer for each page on its own.")
@click.option("--no-pages", is_flag=True, help="Ask QUESTION alone, of a model that allows it.")
@click.option("--max-new-tokens", type=click.IntRange(min=1), help="Where to cut the answer.")
@click.option("--temperature", type=float, default=0.0, help="Above 0: draw at random.")
@click.option("--top-p", type=float, default=1.0, help="Draw from this share of probability.")
@click.option("--top-k", type=int, default=0, help="Draw from so many of the most probable.")
@click.option("--repetition-penalty", type=float, default=1.0, help="Above 1: repeat less.")
@click.option("--seed", type=int, default=0, help="The same one draws the same answer.")
@click.option("--beams", type=int, default=1, help="Answers searched side by side.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object an answer.")
@click.option("--chat", is_flag=True, help="Take more questions on the same pages, line by line.")
@click.option("--draw", type=click.Path(path_type=Path), help="Mark the answer on a picture.")
@click.option("--password", metavar="TEXT", help="Opens encrypted PDFs.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads to compute with.")
@click.option("--progress/--no-progress", default=None, help="[default: if a terminal]")
@structured_options
@folder_options
@cache_options
@web_options
@video_options
@straighten_option
@upscale_option
def ask(words: tuple[str, ...], **options: Any) -> None:
    """Answer QUESTION about SOURCES: images, PDFs, videos, office files, web pages, or - for stdin.

    With --chat the question may be left out; more are read from standard input, one a line.
    With --schema there is none: each field is asked for, and a record comes out.
    With --out, SOURCES may be folders and patterns too; with --frames but without --out, a folder
    of pictures is one video.
    """
    folder = taken(options)
    settings = AskOptions(**check_shape(options))
    names = words if settings.schema else words[:-1] or words
    several = [name for name in names if not is_frame_folder(name, settings.video)]
    several = [] if settings.no_pages else several
    if folder.out is not None or folder.question or needs_out(several):
        given: dict[str, object] = {"--chat": settings.chat, "--draw": settings.draw}
        given |= {"--no-pages": settings.no_pages}
        given |= {"--json": settings.as_json, "--format": settings.shape in ("md", "csv")}
        refused = [name for name, value in given.items() if value]
        make = partial(_asking, settings)
        ask_many(words, folder, make, refused, settings.progress, settings.schema)
        return
    if settings.schema is not None:
        if settings.no_pages:
            raise click.UsageError("--schema and --no-pages exclude each other; leave one out.")
        ask_by_schema(words, settings)
        return
    sources, question = split_words(words, settings)
    if settings.draw is not None:
        check_picture_path(settings.draw)
    _run(sources, question, settings)


def _run(names: list[str], question: str | None, settings: AskOptions) -> None:
    """Open the sources, which is quick and may fail; then import what is slow, and ask."""
    with ExitStack() as stack:
        opened = open_all(stack, names, settings)
        is_streamed = sys.stdout.isatty() and settings.shape is None and settings.beams == 1
        progress = ProgressLine(settings.progress, skip=ANSWER if is_streamed else "")
        stack.callback(progress.clear)
        _ask_opened(opened, question, settings, progress)


def _ask_opened(
    opened: list[Source], question: str | None, settings: AskOptions, progress: ProgressLine
) -> None:
    from tilewise.engine.generate import Limits
    from tilewise.engine.session import check_question
    from tilewise.models.folders import DEFAULT
    from tilewise.models.load import load
    from tilewise.pipeline import converse, places

    if question is not None:
        check_question(question)
    sampling = sampling_of(settings)
    limits = Limits()
    if settings.max_new_tokens is not None:
        limits = Limits(max_new_tokens=settings.max_new_tokens)
    use_threads(settings.threads)
    count = len(places(opened, settings.pages)) if settings.per_page else 1
    talks = converse(
        None if settings.no_pages else opened,
        load(
            DEFAULT if settings.model is None else settings.model,
            dtype=settings.dtype,
            device=settings.device,
            progress=progress,
            cache=cache_config(settings.no_cache, settings.cache_size),
        ),
        max_tiles=settings.max_tiles,
        pages=settings.pages,
        per_page=settings.per_page,
        beams=sampling.beams,
        upscale=settings.upscale,
        progress=progress,
    )
    asking = _Asking(limits=limits, sampling=sampling, settings=settings, progress=progress)
    print_head(settings.shape)
    if settings.chat:
        talk = next(talks)
        asking.tell(talk)
        _chat(asking, talk, question)
        return
    assert question is not None  # _split sees to it
    for index, talk in enumerate(talks):
        asking.tell(talk)
        label = _page_label(talk) if count > 1 else ""
        asking.answer(talk, question, _picture(settings, index, count), label)


def _asking(settings: AskOptions) -> Asking:
    """The same settings for a run over many files."""
    from tilewise.folder.work import Asking
    from tilewise.models.folders import DEFAULT

    return Asking(
        model=DEFAULT if settings.model is None else settings.model,
        dtype=settings.dtype,
        device=settings.device,
        max_tiles=settings.max_tiles,
        pages=settings.pages,
        per_page=settings.per_page,
        max_new_tokens=settings.max_new_tokens,
        sampling=sampling_of(settings),
        password=settings.password,
        threads=settings.threads,
        web=settings.web,
        cache=cache_config(settings.no_cache, settings.cache_size),
        straighten=settings.straighten,
        video=settings.video,
        upscale=settings.upscale,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """How each question of one command is asked and its answer printed."""

    limits: Limits
    sampling: SamplingConfig
    settings: AskOptions
    progress: ProgressLine

    def tell(self, talk: Conversation) -> None:
        """Say what was done to pages before they are read, where it was asked for."""
        self.progress.clear()
        tell(talk, self.settings.upscale)

    def answer(
        self, talk: Conversation, question: str, picture: Path | None, label: str = ""
    ) -> None:
        """Ask once and print the stream or a JSON object; then draw, if a picture is wanted."""
        answer: Answer | None = None
        for event in talk.ask(question, self.limits, self.progress, self.sampling):
            if isinstance(event, Answer):
                answer = event
            elif self.settings.shape is None:
                self.progress.clear()
                click.echo(label + event.text, nl=False)
                label = ""
        self.progress.clear()
        assert answer is not None  # a conversation ends with one
        if self.settings.shape is None:
            click.echo(label)
        else:
            print_answer(talk, question, answer, self.settings.shape)
        if not answer.is_complete:
            click.echo(
                f"The answer was cut after {answer.new_tokens} tokens; raise --max-new-tokens "
                "or ask for less.",
                err=True,
            )
        if picture is not None:
            _draw(talk, answer, picture)


def _chat(asking: _Asking, talk: Conversation, question: str | None) -> None:
    """Answer line by line until the input ends; a question that fails does not end it.

    Pictures are numbered by the questions, as their number is not known before.
    """
    failed = 0
    for index, line in enumerate(_questions(question)):
        picture = _picture(asking.settings, index)
        try:
            _answer_in_chat(asking, talk, line, picture)
        except PromptError as err:
            failed += 1
            asking.progress.clear()
            click.echo(f"Error: {err}", err=True)
    if failed and not sys.stdin.isatty():
        raise click.exceptions.Exit(1)


def _answer_in_chat(
    asking: _Asking, talk: Conversation, question: str, picture: Path | None
) -> None:
    """Answer; where earlier turns leave no room, drop them, say so, and answer."""
    try:
        asking.answer(talk, question, picture)
    except PromptError:
        if not talk.turns or not talk.fits_alone(question):
            raise
        talk.forget()
        click.echo("The conversation is full; it starts anew on the same pages.", err=True)
        asking.answer(talk, question, picture)


def _questions(first: str | None) -> Iterator[str]:
    """The first question, then the lines of standard input that are not empty."""
    if first is not None:
        yield first
    is_terminal = sys.stdin.isatty()
    while True:
        if is_terminal:
            click.echo("> ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()


def _picture(settings: AskOptions, index: int, count: int | None = None) -> Path | None:
    """Where answer ``index`` of ``count``, None for not known, is to be drawn, if anywhere."""
    return None if settings.draw is None else numbered(settings.draw, index, count)


def _draw(talk: Conversation, answer: Answer, path: Path) -> None:
    """One picture for each page asked about; several are numbered."""
    from tilewise.tiling.draw import draw_evidence

    if not answer.evidence:
        click.echo("The answer names no place on its pages, so nothing is marked.", err=True)
    for index, page in enumerate(talk.pages):
        marks = [item for item in answer.evidence if item.page == index + 1]
        save_picture(draw_evidence(page, marks), numbered(path, index, len(talk.pages)))


def _page_label(talk: Conversation) -> str:
    page = talk.pages[0]
    return f"{page.name}: " if page.total == 1 else f"{page.name}, page {page.number}: "
