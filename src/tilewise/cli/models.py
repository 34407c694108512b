"""``tilewise models``: what can be loaded here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click


class _Line(NamedTuple):
    """A model on this machine and what is to be said of it."""

    name: str
    size_bytes: int
    folder: Path
    note: str


@click.command()
def models() -> None:
    """List the models on this machine, those known on the hub, and the families that can be read.

    Models on this machine are the one in the package, those in the user's folder of models, and
    those that the hub's own cache holds; no network is asked.
    """
    from tilewise.models.folders import PUBLISHED, models_folder
    from tilewise.models.load import FAMILIES

    found = list(_lines())
    width = max([len(line.name) for line in found], default=0)
    for name, size_bytes, folder, note in found:
        said = f"  ({note})" if note else ""
        click.echo(f"{name:<{width}}  {size_bytes / 2**20:8.1f} MiB  {folder}{said}")
    if not found:
        click.echo("No model on this machine.")
    here = {line.name for line in found}
    elsewhere = [
        f"{hub_id} ({size / 1e9:.1f} GB)"
        for hub_id, size in PUBLISHED.items()
        if hub_id not in here
    ]
    if elsewhere:
        click.echo(f"\nOn the hub: {', '.join(elsewhere)}.")
    click.echo(f"\nFamilies: {', '.join(FAMILIES)}.")
    click.echo(f"A folder with a config.json in {models_folder()} is known by its name.")


def _lines() -> Iterator[_Line]:
    """The default, the user's own, then those in the hub's cache of a family that can be read."""
    from tilewise.models.folders import DEFAULT, on_disk
    from tilewise.models.load import FAMILIES
    from tilewise.weights.fetch import cached

    for known in on_disk():
        family = _family(known.folder)
        note = "default" if known.name == DEFAULT else ""
        note = note if family in FAMILIES else f"cannot be read: model_type is {family!r}"
        yield _Line(known.name, known.size_bytes, known.folder, note)
    for kept in cached():
        if _family(kept.folder) in FAMILIES:
            note = "" if kept.is_whole else "in part; asking it fetches the rest"
            yield _Line(kept.hub_id, kept.size_bytes, kept.folder, note)


def _family(folder: Path) -> str | None:
    """The ``model_type`` that a folder's config names, if it can be read."""
    from tilewise.errors import WeightsError
    from tilewise.weights.files import read_config

    try:
        family = read_config(folder).get("model_type")
    except WeightsError:
        return None
    return family if isinstance(family, str) else None
