"""Options for web pages, shared by the commands that open sources."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import click

_OPTIONS: Final = (
    click.option(
        "--width", type=int, default=1280, show_default=True, help="Window of web pages, CSS px."
    ),
    click.option(
        "--scale", type=float, default=1.5, show_default=True, help="Pixels for one CSS px."
    ),
    click.option("--no-javascript", is_flag=True, help="Run no scripts of web pages."),
    click.option("--no-network", is_flag=True, help="Web pages load nothing from other hosts."),
    click.option("--allow-private", is_flag=True, help="Ask private networks and this machine."),
    click.option(
        "--time-limit", type=float, default=60.0, show_default=True, help="Seconds a web page."
    ),
)


def web_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options, and hand them to the command as one argument ``web``."""

    @functools.wraps(command)
    def with_web(
        *args: Any,
        width: int,
        scale: float,
        no_javascript: bool,
        no_network: bool,
        allow_private: bool,
        time_limit: float,
        **rest: Any,
    ) -> None:
        from tilewise.sources.web_options import WebOptions

        web = WebOptions(
            width=width,
            scale=scale,
            javascript=not no_javascript,
            network=not no_network,
            allow_private=allow_private,
            time_limit_s=time_limit,
        )
        command(*args, web=web, **rest)

    wrapped: Callable[..., None] = with_web
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
