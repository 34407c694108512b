"""``tilewise demo``: the bundled pages, asked."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from tilewise.cli.asking import use_threads
from tilewise.cli.progress import ANSWER, ProgressLine
from tilewise.errors import MissingExtraError, SourceError
from tilewise.records import Answer

if TYPE_CHECKING:
    from tilewise.engine.session import Conversation
    from tilewise.models.reader import Reader


@click.command()
@click.option("--model", metavar="NAME", help="A name from `tilewise models`, or a folder.")
@click.option("--max-tiles", type=click.IntRange(min=1), help="Tile budget of each page.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads to compute with.")
def demo(model: str | None, max_tiles: int | None, threads: int | None) -> None:
    """Ask the bundled pages and check the answers.

    A page whose program (LibreOffice, Chromium) is not on this machine is passed over by name.
    """
    from tilewise.models.folders import DEFAULT
    from tilewise.models.load import load

    use_threads(threads)
    began = perf_counter()
    pages = questions(demo_folder())
    reader = load(DEFAULT if model is None else model)
    right = asked = 0
    for entry in pages:
        try:
            marks = _ask_page(reader, demo_folder() / entry["file"], entry["questions"], max_tiles)
        except MissingExtraError as err:
            click.echo(f"{entry['file']}: not asked, as {err}\n")
            continue
        right, asked = right + sum(marks), asked + len(marks)
    click.echo(f"{right} of {asked} answers as expected, {perf_counter() - began:.1f} s in all.")


def demo_folder() -> Path:
    """Folder of the bundled pages."""
    from importlib import resources

    return Path(str(resources.files("tilewise"))) / "assets" / "demo"


def questions(folder: Path) -> list[dict[str, Any]]:
    """Read ``questions.json``: [{file, questions: [{question, answer}]}].

    Raises:
        SourceError: the bundled file is not there or damaged.
    """
    path = folder / "questions.json"
    try:
        pages = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise SourceError(f"{path}: cannot be read; install tilewise again.") from err
    assert isinstance(pages, list)
    return pages


def _ask_page(
    reader: Reader, path: Path, asked: list[dict[str, str]], max_tiles: int | None
) -> list[bool]:
    """Ask all questions of one file; whether each answer is the expected one."""
    from tilewise.pipeline import converse
    from tilewise.sources.pages import open_source

    marks = []
    progress = ProgressLine(skip=ANSWER)
    with ExitStack() as stack:
        stack.callback(progress.clear)
        began = perf_counter()
        source = stack.enter_context(open_source(path, name=path.name))
        talk = next(converse([source], reader, max_tiles=max_tiles, pages="1", progress=progress))
        sizes = [f"{page.width} x {page.height} px" for page in talk.pages]
        grids = [f"{tiles.fit.grid.cols} x {tiles.fit.grid.rows}" for tiles in talk.tiles]
        progress.clear()
        click.echo(
            f"{path.name}: {', '.join(sizes)}, tiles {', '.join(grids)}, "
            f"decoded and cut in {perf_counter() - began:.2f} s"
        )
        for item in asked:
            marks.append(_ask_one(talk, item["question"], item["answer"], progress))
            talk.forget()
    click.echo()
    return marks


def _ask_one(talk: Conversation, question: str, expected: str, progress: ProgressLine) -> bool:
    """Print one question and its streamed answer."""
    click.echo(f"  {question}\n    ", nl=False)
    answer: Answer | None = None
    for event in talk.ask(question, progress=progress):
        progress.clear()
        if isinstance(event, Answer):
            answer = event
        else:
            click.echo(event.text, nl=False)
    assert answer is not None
    is_right = " ".join(answer.text.split()) == " ".join(expected.split())
    mark = "✓" if is_right else f"✗ expected: {expected}"
    click.echo(
        f"  {mark}\n    {answer.prompt_tokens} tokens, {answer.first_s:.2f} s to the first "
        f"character, {answer.total_s:.2f} s in all"
    )
    return is_right
