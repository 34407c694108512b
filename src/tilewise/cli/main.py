"""``tilewise``: the group of commands, and how every one of them ends."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from tilewise import __version__
from tilewise.cli.adapt import adapt
from tilewise.cli.ask import ask
from tilewise.cli.cache import cache
from tilewise.cli.convert import convert
from tilewise.cli.corpus import corpus
from tilewise.cli.data import data
from tilewise.cli.demo import demo
from tilewise.cli.files import shown
from tilewise.cli.models import models
from tilewise.cli.show import show
from tilewise.cli.train import train
from tilewise.cli.upscale import upscale
from tilewise.errors import TilewiseError

FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of writing that are the disk's."""

INTERRUPTED: Final = 130
"""Exit status after Ctrl-C, as shells have it: 128 and the number of the signal."""


class Program(click.Group):
    """Turns errors raised on purpose into one line and exit status 1, Ctrl-C into status 130."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Read the options; --help and --version print here."""
        with _output_errors():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command."""
        try:
            with _output_errors():
                return super().invoke(ctx)
        except TilewiseError as err:
            raise click.ClickException(shown(str(err))) from err
        except KeyboardInterrupt:
            click.echo(err=True)
            ctx.exit(INTERRUPTED)


@contextmanager
def _output_errors() -> Iterator[None]:
    """Say in one line that standard output takes no more."""
    try:
        yield
    except OSError as err:
        if err.errno not in FULL or err.filename is not None:
            raise
        raise click.ClickException(
            f"the output cannot be written ({err.strerror}); make room, or send it elsewhere."
        ) from err


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tilewise")
def main() -> None:
    """Ask questions about pages: images and PDFs, read tile by tile."""


for command in (ask, show, demo, models, cache, convert, train, adapt, data, corpus, upscale):
    main.add_command(command)
