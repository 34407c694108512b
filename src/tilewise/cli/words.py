"""Telling sources from the question among the words of a command."""

from __future__ import annotations

from pathlib import Path

import click

from tilewise.cli.asking import STDIN, AskOptions
from tilewise.cli.video import is_frame_folder


def split_words(words: tuple[str, ...], settings: AskOptions) -> tuple[list[str], str | None]:
    """Sources, and the question, which is the last word; None where --chat is to give it."""
    *names, last = words
    if settings.no_pages:
        if names:
            raise click.UsageError(
                f"--no-pages goes with a question alone; leave it out, or {', '.join(names)}."
            )
        if settings.per_page:
            raise click.UsageError("--no-pages and --per-page exclude each other; leave one out.")
        return [], last
    is_source = last == STDIN or _exists(last) or _is_url(last)
    is_source = is_source or is_frame_folder(last, settings.video)
    if settings.chat and (not names or is_source):
        names, question = list(words), None
    else:
        question = last
    if not names:
        raise click.UsageError(
            f"There is one argument, {last!r}; give SOURCES and a QUESTION, or --no-pages."
        )
    if question is not None and is_source:
        raise click.UsageError(
            f"The last argument, {last!r}, is a source; put a QUESTION after it."
        )
    if settings.chat and settings.per_page:
        raise click.UsageError("--chat and --per-page exclude each other; leave one out.")
    if names.count(STDIN) > 1 or (settings.chat and STDIN in names):
        raise click.UsageError("Standard input can be read once: as one source or by --chat.")
    return names, question


def _exists(name: str) -> bool:
    """Whether there is a file, pipe or device of that name."""
    try:
        return Path(name).exists() and not Path(name).is_dir()
    except (OSError, ValueError):  # longer than a path may be, or with a zero byte
        return False


def _is_url(name: str) -> bool:
    """Whether it is a web address and no question."""
    return name.startswith(("http://", "https://", "data:")) and " " not in name
