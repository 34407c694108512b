"""The option ``--upscale`` of commands that read pages, and what they say of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tilewise.errors import ConfigError

if TYPE_CHECKING:
    from tilewise.engine.session import Conversation
    from tilewise.superres.policy import Upscale


class UpscaleType(click.ParamType[Any]):
    """``off``, ``auto`` or a factor."""

    name = "off|auto|FACTOR"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Text to the setting."""
        from tilewise.superres.policy import checked

        if value in ("off", "auto"):
            return value
        try:
            return checked(float(value))
        except (ConfigError, ValueError):
            self.fail(f"{value!r} is none of off, auto and a factor above 0, up to 8.", param, ctx)


def upscale_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--upscale off|auto|FACTOR``."""
    return click.option(
        "--upscale",
        type=UpscaleType(),
        help="Before reading: auto enlarges small sharp print and sharpens blurred print.  "
        "[default: auto for tilewise-nano, off for other models]",
    )(command)


def tell(talk: Conversation, upscale: Upscale | None) -> None:
    """Say on stderr, once a page, what was done to it before it is read, and why.

    Where nothing was asked for, only of pages that were changed.
    """
    from tilewise.superres.prepare import said

    if upscale == "off" or talk.decisions is None:
        return
    for page, decision in zip(talk.pages, talk.decisions, strict=True):
        if not page.is_frame and (upscale is not None or decision.is_changed):
            where = page.name if page.total == 1 else f"{page.name}, page {page.number}"
            click.echo(f"{where}: {said(decision)}.", err=True)
