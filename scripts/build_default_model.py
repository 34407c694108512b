"""Train the default reader from nothing and put it into the package.

    python scripts/build_default_model.py all --work runs/default-model

Stages: ``encoder``, then ``proof``; ``decoder`` may run beside them; then ``joint``, then
``export``. Budgets are CPU-minutes; every stage is seeded, says its progress, writes its state
every two minutes and goes on from there when started again (Ctrl-C loses at most that).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from default_model.crew import train_with
from default_model.decoder_stage import train_decoder
from default_model.encoder_stage import train_encoder
from default_model.export import export_states
from default_model.joint_stage import train_joint
from default_model.proof_stage import train_proof

ASSETS = Path(__file__).resolve().parent.parent / "src" / "tilewise" / "assets" / "default"
ENCODER_MIN, PROOF_MIN, DECODER_MIN, JOINT_MIN = 150.0, 30.0, 40.0, 40.0


@click.group()
def build() -> None:
    """Train and export tilewise-nano."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option(
            "--work",
            type=click.Path(path_type=Path),
            default=Path("runs/default-model"),
            help="States.",
        ),
        click.option("--seed", default=1, show_default=True),
        click.option(
            "--real",
            type=click.Path(path_type=Path, exists=True),
            help="Folder of build_real_pages.py.",
        ),
    ):
        command = option(command)
    return command


@build.command()
@_options
@click.option("--minutes", default=ENCODER_MIN, show_default=True, help="CPU-minutes.")
@click.option("--processes", default=1, show_default=True, help="Processes that train together.")
@click.option("--lr-factor", default=1.0, show_default=True, help="Below 1: to train further.")
def encoder(
    work: Path, seed: int, real: Path | None, minutes: float, processes: int, lr_factor: float
) -> None:
    """Stage 1: read characters."""
    train_with(processes, work, train_encoder, work, minutes, seed, real, lr_factor)


@build.command()
@_options
@click.option("--minutes", default=PROOF_MIN, show_default=True, help="CPU-minutes.")
def proof(work: Path, seed: int, real: Path | None, minutes: float) -> None:
    """Stage 2: judge characters in the company of their neighbours."""
    train_proof(work, minutes, seed, real)


@build.command()
@_options
@click.option("--minutes", default=DECODER_MIN, show_default=True, help="CPU-minutes.")
def decoder(work: Path, seed: int, real: Path | None, minutes: float) -> None:
    """Stage 3: understand, point and copy, on oracle pages."""
    train_decoder(work, minutes, seed)


@build.command()
@_options
@click.option("--minutes", default=JOINT_MIN, show_default=True, help="CPU-minutes.")
def joint(work: Path, seed: int, real: Path | None, minutes: float) -> None:
    """Stage 4: the decoder on pages that the encoder has read."""
    train_joint(work, minutes, seed, real)


@build.command()
@_options
@click.option("--out", type=click.Path(path_type=Path), default=ASSETS, show_default=True)
def export(work: Path, seed: int, real: Path | None, out: Path) -> None:
    """Write config, weights and manifest."""
    export_states(work, out, seed, real)


@build.command("all")
@_options
@click.pass_context
def everything(context: click.Context, work: Path, seed: int, real: Path | None) -> None:
    """All stages, one after the other."""
    for stage in (encoder, proof, decoder, joint, export):
        context.invoke(stage, work=work, seed=seed, real=real)


if __name__ == "__main__":
    build()
