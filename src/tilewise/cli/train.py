"""``tilewise train``: a recipe, or a file of one's own, from data to a model that can be asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tilewise.cli.steps import StepLine
    from tilewise.train.job import AnyConfig


@click.command()
@click.argument("recipe", required=False, default="")
@click.option("--model", metavar="MODEL", help="What to begin with: a name, a folder or a hub id.")
@click.option(
    "--data",
    metavar="PATH",
    help="The samples: InternVL's meta JSON, or one file; for SDAN a folder of photographs.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the run, and of the model in the end.",
)
@click.option(
    "--set",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a setting, e.g. optim.lr=2e-5; repeat for several.",
)
@click.option("--steps", type=click.IntRange(1), help="Length of the run (schedule.steps).")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    help="The same in minutes of processor time (schedule.minutes), all processes together.",
)
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint in --out.")
@click.option("--show", is_flag=True, help="Print the settings and train nothing.")
@click.option("--list", "is_list", is_flag=True, help="List the recipes.")
@click.option(
    "--progress/--no-progress",
    default=None,
    help="Show progress; default: if stderr is a terminal, else a line now and then.",
)
@click.option(
    "--launch",
    type=click.Choice(["ray"]),
    help="Start processes that train together; torchrun starts them as well.",
)
@click.option("--workers", type=click.IntRange(1), help="With --launch: how many.")
@click.option("--address", metavar="HOST:PORT", help="A Ray cluster.  [default: this machine]")
def train(
    recipe: str,
    model: str | None,
    data: str | None,
    out: Path | None,
    options: tuple[str, ...],
    steps: int | None,
    minutes: float | None,
    resume: bool,
    show: bool,
    is_list: bool,
    progress: bool | None,
    launch: str | None,
    workers: int | None,
    address: str | None,
) -> None:
    """Train a model by RECIPE, or by FILE.py with a function `recipe()` that returns its settings.

    The folder --out keeps checkpoints, TensorBoard's log, and in the end the model, which
    `tilewise ask --model` reads. Ctrl-C ends the run with a checkpoint; --resume goes on exactly.

    Several processes train together under `torchrun --nproc-per-node N -m tilewise train ...`.
    """
    if is_list:
        _print_recipes()
        return
    if not recipe:
        raise click.UsageError("Give a recipe or a file; --list names the recipes.")
    if steps is not None and minutes is not None:
        raise click.UsageError("--steps and --minutes are both given; leave one out.")
    cfg = _config(recipe, model, data, options, steps, minutes)
    if show:
        _print_settings(cfg)
        return
    if out is None:
        raise click.UsageError("Give a folder for the run (--out).")
    if launch is None and (workers is not None or address is not None):
        raise click.UsageError("--workers and --address go with --launch ray.")
    if launch is None:
        _train(cfg, out, resume, progress)
    else:
        _launch(cfg, out, resume, progress, workers or 1, address)
    # Of several processes the last to end may be any; that of rank 0 has written the model.
    if os.environ.get("RANK", "0") == "0":
        click.echo(f"{out}: trained. {_use(cfg, out)}")
    if launch is None:
        _leave_others()


def _use(cfg: AnyConfig, out: Path) -> str:
    """How to use what a run left."""
    from tilewise.train.superres.config import SuperresConfig

    if isinstance(cfg, SuperresConfig):
        return f"Enlarge with it: tilewise upscale --model {out} PICTURE -o OUT"
    return f"Ask it: tilewise ask --model {out} PAGE QUESTION"


def _config(
    recipe: str,
    model: str | None,
    data: str | None,
    options: tuple[str, ...],
    steps: int | None,
    minutes: float | None,
) -> AnyConfig:
    """The recipe with the command line's changes."""
    from tilewise.recipes.table import find_run
    from tilewise.settings import changed, with_options

    cfg = find_run(recipe)
    if minutes is not None:  # a recipe's steps would be the stronger
        cfg = changed(changed(cfg, "schedule.steps", None), "schedule.minutes", minutes)
    for name, value in (("model.folder", model), ("data.meta", data), ("schedule.steps", steps)):
        if value is not None:
            cfg = changed(cfg, name, value)
    return with_options(cfg, options)


def _leave_others() -> None:
    """End here if this is one process of several."""
    from tilewise.train.ranks import is_launched

    if is_launched():
        from tilewise.train.parallel import leave

        leave()


def _train(cfg: AnyConfig, out: Path, is_resumed: bool, is_shown: bool | None) -> None:
    """Train in this process, and in those that were started with it."""
    from tilewise.cli.steps import StepLine
    from tilewise.train.ranks import is_launched
    from tilewise.train.task import run_training

    line = StepLine(is_shown)
    if not is_launched():
        with _ending(line, out):
            run_training(
                cfg, out, is_resumed=is_resumed, callbacks=[line], say=line.say, note=line.keep
            )
        return
    from tilewise.train.parallel import joined

    with joined(cfg.run) as ranks:
        if ranks.rank:
            run_training(cfg, out, is_resumed=is_resumed, ranks=ranks)
            return
        with _ending(line, out):
            line.say(f"{ranks.world} processes")
            run_training(
                cfg,
                out,
                is_resumed=is_resumed,
                callbacks=[line],
                ranks=ranks,
                say=line.say,
                note=line.keep,
            )


@contextmanager
def _ending(line: StepLine, out: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        line.clear()
        click.echo(f"{out}: stopped with a checkpoint; go on with --resume.", err=True)
        raise
    finally:
        line.clear()


def _launch(
    cfg: AnyConfig,
    out: Path,
    is_resumed: bool,
    is_shown: bool | None,
    workers: int,
    address: str | None,
) -> None:
    """Have Ray start processes that train together."""
    from functools import partial

    from tilewise.runners.ray_launch import launch

    run = partial(_train, cfg, out.absolute(), is_resumed, is_shown)
    launch(
        run,
        workers=workers,
        address=address,
        has_gpus=_wants_gpus(cfg.run.device),
        timeout_s=cfg.run.rank_timeout_s,
    )


def _wants_gpus(device: str) -> bool:
    import torch

    return device != "cpu" and (device != "auto" or torch.cuda.is_available())


def _print_recipes() -> None:
    from tilewise.recipes.table import RECIPES, summary

    width = max(map(len, RECIPES))
    for name in RECIPES:
        click.echo(f"{name:{width}}  {summary(name)}")


def _print_settings(cfg: AnyConfig) -> None:
    import json

    from tilewise.settings import settings

    for name, value in settings(cfg).items():
        click.echo(f"{name} = {json.dumps(value, ensure_ascii=False)}")
