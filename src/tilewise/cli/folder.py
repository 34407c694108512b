"""``tilewise ask --out``: questions about many files, one JSON line an answer."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from tilewise.cli.files import shown
from tilewise.cli.progress import ProgressLine
from tilewise.errors import ConfigError

if TYPE_CHECKING:
    from tilewise.folder.answers import Answers
    from tilewise.folder.run import Summary
    from tilewise.folder.work import Asking
    from tilewise.runners.work import Runner
    from tilewise.structured.form import Form

Command = TypeVar("Command", bound=Callable[..., Any])

STDOUT: Final = "-"
SHOWN: Final = 3
"""Names of failed files that the last line tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderOptions:
    """What the command line says of a run over many files."""

    out: str | None
    question: tuple[str, ...]
    restart: bool
    retry_errors: bool
    runner: str
    address: str | None
    workers: int | None
    batch: int


def folder_options(command: Command) -> Command:
    """Add the options to a command, which passes them on through ``taken``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS: Final = (
    click.option("--out", metavar="FILE", help="Ask each file; one JSON line an answer. - prints."),
    click.option("--question", multiple=True, metavar="TEXT", help="With --out: one more."),
    click.option("--restart", is_flag=True, help="With --out: ask again what FILE holds."),
    click.option("--retry-errors", is_flag=True, help="With --out: ask again what failed."),
    click.option(
        "--runner",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="With --out: where to work.",
    ),
    click.option("--address", metavar="HOST:PORT", help="A Ray cluster.  [default: this machine]"),
    click.option("--workers", type=click.IntRange(min=1), help="With Ray: processes that answer."),
    click.option(
        "--batch",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="With --out: pages answered together.",
    ),
)


def taken(options: dict[str, Any]) -> FolderOptions:
    """Take the options of this module out of all options."""
    return FolderOptions(**{field.name: options.pop(field.name) for field in fields(FolderOptions)})


def needs_out(words: Sequence[str]) -> bool:
    """Whether a word names several files at once."""
    from tilewise.folder.walk import is_many

    return any(map(is_many, words))


def ask_many(
    words: Sequence[str],
    options: FolderOptions,
    asking: Callable[[], Asking],
    refused: Sequence[str],
    progress: bool | None,
    schema: Path | None = None,
) -> None:
    """Ask about many files and say how it went.

    Args:
        words: sources and, unless the last one is a source too, a question.
        options: of the run.
        asking: makes the settings of each question, which takes the import of torch.
        refused: options given that do not go with many files.
        progress: whether to show how far it is; None means on a terminal.
        schema: of the records wanted; then all words are sources.
    """
    if options.out is None:
        raise click.UsageError(
            "A folder, a pattern or --question needs a place for the answers, e.g. "
            "--out answers.jsonl, or --out - to print them."
        )
    if refused:
        raise click.UsageError(f"--out does not go with {' and '.join(refused)}; leave one out.")
    form = None if schema is None else _form(schema, options)
    names, questions = _split(words, options) if form is None else (list(words), [form.mark])
    if STDOUT in names:
        raise click.UsageError("Standard input cannot be asked with --out; save it to a file.")
    from tilewise.engine.session import check_question
    from tilewise.folder.walk import find_files

    for question in questions:
        check_question(question)
    found = find_files(names, None if options.out == STDOUT else Path(options.out))
    if found.left_out:
        kinds = ", ".join(f"{count} x {kind}" for kind, count in found.left_out.items())
        click.echo(f"Left out, as this version does not read it: {kinds}.", err=True)
    _run(
        found.names,
        questions,
        options,
        lambda: replace(asking(), form=form, batch=options.batch),
        ProgressLine(progress),
    )


def _split(words: Sequence[str], options: FolderOptions) -> tuple[list[str], list[str]]:
    """Tell sources from the question, which is the last word if that is no file."""
    names, questions = list(words), list(options.question)
    if not _is_source(names[-1]):
        questions.insert(0, names.pop())
    if not names:
        raise click.UsageError(f"There is one argument, {words[0]!r}; give SOURCES and a QUESTION.")
    if not questions:
        raise click.UsageError(
            f"The last argument, {names[-1]!r}, is a source; put a QUESTION after it."
        )
    return names, questions


def _form(schema: Path, options: FolderOptions) -> Form:
    from tilewise.structured.form import read_form

    if options.question:
        raise click.UsageError("--schema and --question exclude each other; leave one out.")
    return read_form(schema)


def _is_source(word: str) -> bool:
    from tilewise.folder.walk import is_many
    from tilewise.sources.addresses import is_address

    try:
        return word == STDOUT or is_address(word) or Path(word).exists() or is_many(word)
    except (OSError, ValueError):  # longer than a path may be, or with a zero byte
        return False


def _run(
    names: Sequence[str],
    questions: Sequence[str],
    options: FolderOptions,
    make: Callable[[], Asking],
    progress: ProgressLine,
) -> None:
    from tilewise.folder.run import ask_files

    ended = [0, len(names)]

    def told(done: int, total: int) -> None:
        ended[:] = done, total
        progress("files", done, total)

    answers = _answers(options)
    try:
        asking = make()
        runner = _runner(options, asking)
        summary = ask_files(
            names,
            questions,
            asking,
            answers,
            retry_errors=options.retry_errors,
            runner=runner,
            told=told,
        )
    except KeyboardInterrupt:
        progress.clear()
        again = "" if options.out == STDOUT else "; run the same command again to go on"
        click.echo(f"Stopped after {ended[0]} of {ended[1]} files{again}.", err=True)
        raise
    finally:
        progress.clear()
        answers.close()
    _say(summary, options)


def _answers(options: FolderOptions) -> Answers:
    from tilewise.folder.answers import AnswersFile, Printed

    assert options.out is not None  # seen to in ask_many
    if options.out == STDOUT:
        return Printed(sys.stdout.buffer)
    return AnswersFile(Path(options.out), restart=options.restart)


def _runner(options: FolderOptions, asking: Asking) -> Runner:
    from tilewise.runners import local

    if options.runner == "local":
        if options.address is not None or options.workers is not None:
            raise ConfigError("--address and --workers belong to Ray; add --runner ray.")
        return local.run
    from tilewise.runners.ray_pool import CHUNK, RayPool

    return RayPool(
        address=options.address,
        workers=options.workers,
        threads=asking.threads,
        chunk=max(CHUNK, options.batch),
    )


def _say(summary: Summary, options: FolderOptions) -> None:
    """The last line on stderr; exit status 1 if files failed."""
    before = f", {summary.answered_before} of them asked before" if summary.answered_before else ""
    said = f"{summary.files} {'file' if summary.files == 1 else 'files'}{before}"
    if not summary.failed:
        click.echo(f"{said}, all answered.", err=True)
        return
    names = ", ".join(shown(shlex.quote(name)) for name in summary.failed[:SHOWN])
    more = ", …" if len(summary.failed) > SHOWN else ""
    click.echo(
        f"{said}; {len(summary.failed)} with an error: {names}{more}. What is wrong stands in "
        "their lines; --retry-errors asks them again.",
        err=True,
    )
    raise click.exceptions.Exit(1)
