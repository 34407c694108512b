"""Put a trained default reader into the package, with where it comes from.

    tilewise train default_reader_encoder --out runs/encoder --set data.real=REAL_PAGES
    tilewise train default_reader_proof --model runs/encoder --out runs/proof --set data.real=...
    tilewise train default_reader_decoder --model runs/proof --out runs/decoder
    tilewise train default_reader_joint --model runs/decoder --out runs/joint --set data.real=...
    python scripts/build_default_model.py runs/joint

Real pages are made by ``scripts/build_real_pages.py``.
"""

from __future__ import annotations

from pathlib import Path

import click

from tilewise.errors import TilewiseError
from tilewise.models.nano.parts import read_parts, write_parts
from tilewise.train.nano.history import HISTORY, read_history, write_history

ASSETS = Path(__file__).resolve().parent.parent / "src" / "tilewise" / "assets" / "default"


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path), default=ASSETS, help="Not the package.")
def build(run: Path, out: Path) -> None:
    """Write the reader in RUN, the folder of its last stage, into the package."""
    try:
        parts, history = read_parts(run), read_history(run)
        if not history:
            raise click.ClickException(
                f"{run}: has no {HISTORY}; give the folder that a stage of training left."
            )
        write_parts(parts, out, {"seed": history[-1].seed})
        write_history(out, history)
    except (TilewiseError, OSError) as err:
        raise click.ClickException(str(err)) from err
    stages = ", ".join(dict.fromkeys(one.stage for one in history))
    click.echo(f"{out}: has the reader of {run}, trained in the stages {stages}.")


if __name__ == "__main__":
    build()
