"""``tilewise cache``: what is kept of pages that were read, and the options of ``ask`` for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from tilewise.models.vision_cache import CacheConfig

Command = TypeVar("Command", bound=Callable[..., Any])

_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)


class Size(click.ParamType[int]):
    """Bytes, as ``500M`` or ``2GiB``; a unit is 1024 of the one before."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Text to bytes."""
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no size; write bytes with K, M, G or T, e.g. 500M.", param)
        return int(float(match[1]) * _UNITS[match[2].upper()])


def cache_options(command: Command) -> Command:
    """Add ``--no-cache`` and ``--cache-size`` to a command."""
    off = click.option("--no-cache", is_flag=True, help="Neither use nor keep what pages gave.")
    size = click.option(
        "--cache-size",
        type=Size(),
        envvar="TILEWISE_CACHE_SIZE",
        metavar="SIZE",
        help="Most to keep on disk, e.g. 500M.  [default: 2G]",
    )
    return off(size(command))


def cache_config(no_cache: bool, cache_size: int | None) -> CacheConfig | None:
    """What the options say; None for no cache."""
    from tilewise.models.vision_cache import CacheConfig

    if no_cache or cache_size == 0:
        return None
    return CacheConfig() if cache_size is None else CacheConfig(limit_bytes=cache_size)


@click.command()
@click.option("--clear", is_flag=True, help="Remove everything that is kept.")
def cache(clear: bool) -> None:
    """Tell what is kept of pages that were read, so that asking again needs no look at them."""
    from tilewise.models.vision_cache import CacheConfig, entries, shrink

    place = CacheConfig().place
    found = list(entries(place))
    held = sum(size for _, _, size in found)
    if clear and found:
        shrink(place, -1)
    said = f"{len(found)} {'page' if len(found) == 1 else 'pages'}, {held / 2**20:.1f} MiB"
    click.echo(f"{said}{' removed' if clear else ''}  {place}")
