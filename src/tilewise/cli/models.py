"""``tilewise models``: what can be loaded here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

if TYPE_CHECKING:
    from tilewise.models.releases import Release

_QUESTION_TOKENS: Final = 100
"""Room counted for a question and what stands around it."""


class _Line(NamedTuple):
    """A model on this machine and what is to be said of it."""

    name: str
    size_bytes: int
    folder: Path
    note: str
    family: str | None


@click.command()
@click.option(
    "--max-tiles",
    type=click.IntRange(min=1),
    metavar="N",
    help="Tiles of the page whose memory is told; default: each model's own limit.",
)
def models(max_tiles: int | None) -> None:
    """List the models on this machine, the known releases, and the families that can be read.

    Models on this machine are the one in the package, those in the user's folder of models, and
    those that the hub's own cache holds; no network is asked. Memory is that of the weights, as
    they are published, and of a question about one page.
    """
    from tilewise.models.folders import models_folder
    from tilewise.models.load import FAMILIES

    found = list(_lines())
    width = max([len(line.name) for line in found], default=0)
    for name, size_bytes, folder, note, _ in found:
        said = f"  ({note})" if note else ""
        click.echo(f"{name:<{width}}  {size_bytes / 2**20:8.1f} MiB  {folder}{said}")
    if not found:
        click.echo("No model on this machine.")
    click.echo()
    for line in _releases(found, max_tiles):
        click.echo(line)
    click.echo(f"\nFamilies: {', '.join(FAMILIES)}.")
    click.echo(f"A folder with a config.json in {models_folder()} is known by its name.")


def _releases(found: Sequence[_Line], max_tiles: int | None) -> Iterator[str]:
    """A table of the releases on the hub that can be read, with what is here of each."""
    from tilewise.models.releases import MODEL_TYPES, RELEASES

    here = {line.name.partition("@")[0]: line for line in reversed(found)}
    rows: list[tuple[str, ...]]
    rows = [("On the hub", "parameters", "files", "memory at tiles", "licence", "here")]
    told: dict[tuple[str, str], tuple[str, ...]] = {}
    for release in RELEASES:
        kind = release.family, release.size
        if kind not in told:
            told[kind] = _sizes(release, max_tiles)
        own = here.get(release.hub_id.partition("/")[2])  # a copy in the user's folder of models
        kept = here.get(release.hub_id)
        state = "no" if kept is None else "in part" if kept.note else "yes"
        if own is not None and own.family in MODEL_TYPES[release.family]:
            state = "yes"
        rows.append((release.hub_id, *told[kind], release.licence, state))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _sizes(release: Release, max_tiles: int | None) -> tuple[str, str, str]:
    """Parameters, bytes of the files, and bytes at work on a page of so many tiles, as texts."""
    from tilewise.engine.memory import needed_bytes
    from tilewise.models.memory import footprint
    from tilewise.models.releases import network
    from tilewise.records import Grid
    from tilewise.tiling.layout import tokens

    made = network(release)
    tiles = max_tiles or release.max_tiles
    length = _QUESTION_TOKENS + tokens(Grid(cols=1, rows=tiles), made.cfg.tiling(tiles))
    kept = footprint(made)
    peak = kept.weights_bytes + needed_bytes(kept, length, tiles + 1)
    parameters = sum(weight.numel() for weight in made.state_dict().values())
    return (
        f"{parameters / 1e6:,.1f} M",
        f"{kept.weights_bytes / 1e9:.1f} GB",
        f"{peak / 2**30:.1f} GiB at {tiles}",
    )


def _lines() -> Iterator[_Line]:
    """The default, the user's own, then those in the hub's cache of a family that can be read."""
    from tilewise.models.folders import DEFAULT, on_disk
    from tilewise.models.load import FAMILIES
    from tilewise.weights.fetch import cached

    for known in on_disk():
        family = _family(known.folder)
        note = "default" if known.name == DEFAULT else ""
        note = note if family in FAMILIES else f"cannot be read: model_type is {family!r}"
        yield _Line(known.name, known.size_bytes, known.folder, note, family)
    for kept in cached():
        family = _family(kept.folder)
        if family in FAMILIES:
            note = "" if kept.is_whole else "in part; asking it fetches the rest"
            yield _Line(kept.hub_id, kept.size_bytes, kept.folder, note, family)


def _family(folder: Path) -> str | None:
    """The ``model_type`` that a folder's config names, if it can be read."""
    from tilewise.errors import WeightsError
    from tilewise.weights.files import read_config

    try:
        family = read_config(folder).get("model_type")
    except WeightsError:
        return None
    return family if isinstance(family, str) else None
