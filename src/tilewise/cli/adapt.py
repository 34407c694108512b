"""``tilewise adapt``: from the raw files of a domain to a model of it and its scores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tilewise.recipes.adaptation import Adaptation


@click.command()
@click.option(
    "--domain",
    type=click.Choice(["driving", "medical", "remote-sensing"]),
    required=True,
    help="Which published data sets to look for, and whose settings to train with.",
)
@click.option(
    "--raw",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="The published files, as they were unpacked.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="Gets the data, the recipe, the run with its model, and the scores.",
)
@click.option("--model", default="", help="What to begin with; default, InternVL2 of --size.")
@click.option(
    "--size",
    type=click.Choice(["1B", "2B", "4B"]),
    default="2B",
    show_default=True,
    help="Which InternVL2 to begin with.",
)
@click.option(
    "--method",
    type=click.Choice(["full", "lora", "frozen-vit"]),
    default="full",
    show_default=True,
    help="What learns: all parts, adapters, or all but the vision encoder.",
)
@click.option(
    "--general",
    type=click.Path(path_type=Path),
    metavar="META",
    help="InternVL's meta JSON of general data to mix in.",
)
@click.option("--ratio", type=click.FloatRange(0), help="General samples to one of the domain.")
@click.option("--share", type=click.FloatRange(0), help="Of each general data set; not --ratio.")
@click.option(
    "--set",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a setting of the run, e.g. schedule.steps=100; repeat for several.",
)
@click.option("--resume", is_flag=True, help="Go on from the newest checkpoint; converts nothing.")
@click.option("--convert-only", is_flag=True, help="Convert and write the recipe, train nothing.")
@click.option("--score-only", is_flag=True, help="Convert and score --model as it is.")
@click.option("--questions", type=click.IntRange(1), help="Most test questions of a data set.")
@click.option(
    "--bad",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    metavar="SHARE",
    help="How many of the raw records may be bad.",
)
@click.option(
    "--progress/--no-progress",
    default=None,
    help="Show progress; default: if stderr is a terminal.",
)
def adapt(raw: Path, out: Path, progress: bool | None, **given: Any) -> None:
    """Adapt a model to a domain whose published data sets lie in --raw.

    What is converted: DriveLM and BDD-X; PMC-VQA and pictures with captions; GeoChat, RSVQA,
    DIOR-RSVG and FIT-RS. Bad records are listed in OUT/data/bad.jsonl. The recipe in OUT/recipe.py
    can be changed and given to `tilewise train`.
    """
    from tilewise.cli.progress import ProgressLine
    from tilewise.recipes.adaptation import RUN, prepare, score
    from tilewise.shards.bad import BadConfig

    if given["convert_only"] and given["score_only"]:
        raise click.UsageError("--convert-only scores nothing; leave out one of the two.")
    job = _job(given)
    line = ProgressLine(progress)
    try:
        if not given["resume"]:
            made = prepare(job, raw, out, bad=BadConfig(most_share=given["bad"]), progress=line)
            line.clear()
            for one in made:
                click.echo(f"{one.name}: {one.count:,} to {_verb(one.split)}")
        if given["convert_only"]:
            click.echo(f"{out}: converted. Train: tilewise train {out / 'recipe.py'} --out RUN")
            return
        model: str | Path = job.model
        if not given["score_only"]:
            line.clear()
            _train(out, given["resume"], progress)
            model = out / RUN
        scores = score(_reader(model, job, line), out, most=given["questions"], progress=line)
    finally:
        line.clear()
    for name, values in scores.items():
        told = ", ".join(f"{key} {value:.4g}" for key, value in values.items())
        click.echo(f"{name}: {told or 'scored by a server; see answers/'}")


def _job(given: dict[str, Any]) -> Adaptation:
    from tilewise.domains.mixture import Mixing
    from tilewise.recipes.adaptation import Adaptation

    ratio, share = given["ratio"], given["share"]
    is_said = ratio is not None or share is not None
    return Adaptation(
        domain=given["domain"],
        size=given["size"],
        method=given["method"],
        model=given["model"],
        general=given["general"],
        mixing=Mixing(ratio=ratio, share=share) if is_said else None,
        options=given["options"],
    )


def _verb(split: str) -> str:
    return "learn from" if split == "train" else "score"


def _train(out: Path, is_resumed: bool, is_shown: bool | None) -> None:
    from tilewise.cli.steps import StepLine
    from tilewise.recipes.adaptation import RECIPE, RUN
    from tilewise.recipes.table import find_recipe
    from tilewise.train.task import run_training

    line = StepLine(is_shown)
    try:
        cfg = find_recipe(str(out / RECIPE))
        run_training(cfg, out / RUN, is_resumed=is_resumed, callbacks=[line], say=line.say)
    finally:
        line.clear()


def _reader(model: str | Path, job: Adaptation, line: Any) -> Any:
    from tilewise.models.load import load
    from tilewise.recipes.internvl import NEW_FOLDERS

    return load(model or NEW_FOLDERS[job.size], progress=line)
