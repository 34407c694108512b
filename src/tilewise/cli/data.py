"""``tilewise data``: look at training data, and make it bilingual."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from tilewise.cli.progress import ProgressLine
from tilewise.errors import DataError

if TYPE_CHECKING:
    from tilewise.shards.listing import Listed

Command = Callable[..., Any]

_FILES = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
_ROOT = click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="Where paths of images start; default: the folder of each file.",
)
_WORKERS = click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Processes that read; 0 reads in this one.",
)


def _max_bad(share: float) -> Callable[[Command], Command]:
    return click.option(
        "--max-bad",
        type=click.FloatRange(0, 1),
        default=share,
        show_default=True,
        metavar="SHARE",
        help="Share of bad samples above which the exit status is 1.",
    )


_PROGRESS = click.option(
    "--progress/--no-progress",
    default=None,
    help="Show progress; default: if stderr is a terminal.",
)


@click.group()
def data() -> None:
    """Check, count and translate samples for training.

    FILES are JSON Lines, JSON lists as LLaVA's, Parquet, tar archives (WebDataset), or meta files
    of InternVL, which list others. What a file is, is told by its content.
    """


@data.command()
@_FILES
@_ROOT
@click.option(
    "--bad",
    "bad_file",
    type=click.Path(path_type=Path),
    default=Path("bad.jsonl"),
    show_default=True,
    help="Where bad samples are listed, a line each.",
)
@_max_bad(0.0)
@_WORKERS
@_PROGRESS
def check(
    files: tuple[Path, ...],
    root: Path | None,
    bad_file: Path,
    max_bad: float,
    workers: int,
    progress: bool | None,
) -> None:
    """Read every sample of FILES and decode every image.

    Says for each dataset how many samples are bad and why. The exit status is 1 where more than
    --max-bad of all are bad, or a file cannot be read.
    """
    from tilewise.shards.bad import BadConfig, BadList
    from tilewise.train.check import check as check_all

    listed = _opened(files, root)
    line = ProgressLine(progress)
    found = BadList(bad_file, BadConfig(most_share=1.0))
    by_source = [BadList(None, BadConfig(most_share=1.0)) for _ in listed]
    images = [0] * len(listed)
    try:
        for part in check_all(listed, workers, lambda done, of: line("samples", done, of)):
            found.add(*part.bad, good=part.good)
            by_source[part.source].add(*part.bad, good=part.good)
            images[part.source] += part.images
    finally:
        line.clear()
        found.close()
    for one, counts, number in zip(listed, by_source, images, strict=True):
        told = f" ({counts.told()})" if counts.bad else ""
        click.echo(
            f"{one.name}: {counts.seen:,} samples, {counts.bad:,} bad{told}, {number:,} images in "
            "good ones"
        )
        if one.declared not in (None, counts.seen):
            click.echo(f"  its length is said to be {one.declared:,}")
    found.cfg = BadConfig(most_share=max_bad)
    found.check()


@data.command()
@_FILES
@_ROOT
@click.option(
    "--model",
    help="Model whose tokens and tiles are counted: a name, a folder or a hub id. No weights are "
    "read. Default: bytes as tokens, tiles as --family cuts them.",
)
@click.option(
    "--family",
    type=click.Choice(["internvl", "ixc2"]),
    default="internvl",
    show_default=True,
    help="How pages are cut where no --model is given.",
)
@click.option(
    "--max-tiles",
    type=click.IntRange(min=1),
    metavar="N",
    help="Tile limit of a sample; default: the model's. A dataset's own limit is the stronger one.",
)
@_WORKERS
@_PROGRESS
def stats(
    files: tuple[Path, ...],
    root: Path | None,
    model: str | None,
    family: Literal["internvl", "ixc2"],
    max_tiles: int | None,
    workers: int,
    progress: bool | None,
) -> None:
    """Count samples, tokens, tiles and missing images of FILES.

    Images are not decoded; their headers say how large they are.
    """
    from tilewise.models.folders import find
    from tilewise.train.family import family_in, plain_family
    from tilewise.train.stats import count, lines

    line = ProgressLine(progress)
    listed = _opened(files, root)
    try:
        made = family_in(find(model, line)) if model else plain_family(family)
        limit = max_tiles or made.tiling.max_tiles
        found = count(listed, made, limit, workers, lambda done, of: line("samples", done, of))
    finally:
        line.clear()
    if not model:
        click.echo(f"Tokens of text are counted as bytes, pages are cut as by {family}.")
    for one, counts in zip(listed, found, strict=True):
        for text in lines(one.name, counts):
            click.echo(text)


@data.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--endpoint", required=True, metavar="URL", help="E.g. http://localhost:8000/v1.")
@click.option("--model", required=True, help="Name of the model at the endpoint.")
@click.option(
    "--to",
    "language",
    default="zh",
    show_default=True,
    help="zh, en, or a language's name in English.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 256),
    default=8,
    show_default=True,
    help="Texts asked about at a time.",
)
@click.option(
    "--key-env",
    default="OPENAI_API_KEY",
    show_default=True,
    metavar="NAME",
    help="Environment variable that holds the key, if one is needed.",
)
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0.1), default=120.0, show_default=True
)
@click.option(
    "--tries",
    type=click.IntRange(1, 20),
    default=6,
    show_default=True,
    help="Times that a request is sent when the server fails.",
)
@_max_bad(0.05)
@_PROGRESS
def translate(
    source: Path,
    out: Path,
    endpoint: str,
    model: str,
    language: str,
    concurrency: int,
    key_env: str,
    timeout_s: float,
    tries: int,
    max_bad: float,
    progress: bool | None,
) -> None:
    """Translate the samples of SOURCE into the JSON Lines file OUT.

    Each text is sent to a language model at an OpenAI-compatible endpoint. <image>, <video>, names
    and boxes stay and are checked; samples in which they get lost are left out and listed in
    OUT.bad.jsonl. After Ctrl-C or a kill the same command goes on.
    """
    from tilewise.shards.bad import BadConfig
    from tilewise.train.endpoint import Endpoint
    from tilewise.train.translate import Options, open_source
    from tilewise.train.translate import translate as translate_all

    asked = Endpoint(
        address=endpoint,
        model=model,
        key=os.environ.get(key_env, ""),
        timeout_s=timeout_s,
        tries=tries,
    )
    line = ProgressLine(progress)
    try:
        found = translate_all(
            open_source(source),
            out,
            asked,
            Options(language=language, concurrency=concurrency),
            lambda done, of: line("samples", done, of),
            BadConfig(most_share=max_bad),
        )
    finally:
        line.clear()
    told = f", {found.bad:,} left out ({found.told()})" if found.bad else ""
    click.echo(f"{out}: {found.seen - found.bad:,} samples{told}.")


def _opened(files: Sequence[Path], root: Path | None) -> tuple[Listed, ...]:
    """All datasets of all files; what cannot be opened is told together."""
    from tilewise.shards.listing import open_data

    listed: list[Listed] = []
    faults = []
    for file in files:
        try:
            listed += open_data(file, root)
        except DataError as err:
            faults.append(str(err))
    if faults:
        raise DataError("\n".join(faults))
    return tuple(listed)
