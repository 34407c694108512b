"""The option for scanned pages, shared by the commands that open sources."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click


def straighten_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--straighten auto|off``, and hand it to the command as one bool ``straighten``."""

    @functools.wraps(command)
    def with_straighten(*args: Any, straighten: str, **rest: Any) -> None:
        command(*args, straighten=straighten == "auto", **rest)

    wrapped: Callable[..., None] = with_straighten
    return click.option(
        "--straighten",
        type=click.Choice(["auto", "off"]),
        default="auto",
        show_default=True,
        help="Undo skew and quarter turns of scans where they are sure.",
    )(wrapped)
