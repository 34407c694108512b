"""``tilewise models``: what can be loaded here."""

from __future__ import annotations

import click


@click.command()
def models() -> None:
    """List the models on this machine and the families that can be read."""
    from tilewise.models.folders import DEFAULT, models_folder, on_disk
    from tilewise.models.load import FAMILIES

    found = list(on_disk())
    width = max([len(known.name) for known in found], default=0)
    for known in found:
        mark = "  (default)" if known.name == DEFAULT else ""
        click.echo(
            f"{known.name:<{width}}  {known.size_bytes / 2**20:8.1f} MiB  {known.folder}{mark}"
        )
    if not found:
        click.echo("No model on this machine.")
    click.echo(f"\nFamilies: {', '.join(FAMILIES)}.")
    click.echo(f"A folder with a config.json in {models_folder()} is known by its name.")
