"""``tilewise show``: how a page will be read, and what that will cost."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tilewise.cli.asking import open_named, use_threads
from tilewise.cli.enlarging import upscale_option
from tilewise.cli.files import check_picture_path, numbered, save_picture
from tilewise.cli.scan import straighten_option
from tilewise.cli.video import video_options
from tilewise.cli.web import web_options

if TYPE_CHECKING:
    from tilewise.engine.cost import Cost
    from tilewise.engine.session import Conversation
    from tilewise.models.load import Dtype
    from tilewise.records import Plan
    from tilewise.sources.video_options import VideoOptions
    from tilewise.sources.web_options import WebOptions
    from tilewise.superres.policy import Upscale


@click.command()
@click.argument("source")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("tiles.png"),
    show_default=True,
    help="Picture to write; several pages are numbered.",
)
@click.option("--model", metavar="NAME", help="A name from `tilewise models`, or a folder.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    help="What to keep weights in.  [default: as the model has them]",
)
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="As for ask.")
@click.option("--max-tiles", type=click.IntRange(min=1), help="Tile budget of each page.")
@click.option("--pages", metavar="RANGE", default="1", show_default=True, help="E.g. 1-3,7.")
@click.option(
    "--long-side",
    type=click.IntRange(min=200),
    metavar="PX",
    help="A smaller picture, in 256 colours.  [default: up to 2000 px, all colours]",
)
@click.option(
    "--estimate/--no-estimate",
    default=True,
    help="Say seconds and memory, for which the reader is run.  [default: estimate]",
)
@click.option("--password", metavar="TEXT", help="Opens an encrypted PDF.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads to compute with.")
@web_options
@video_options
@straighten_option
@upscale_option
def show(
    source: str,
    output: Path,
    model: str | None,
    dtype: Dtype | None,
    device: str,
    max_tiles: int | None,
    pages: str,
    long_side: int | None,
    estimate: bool,
    password: str | None,
    threads: int | None,
    web: WebOptions,
    straighten: bool,
    video: VideoOptions | None,
    upscale: Upscale | None,
) -> None:
    """Draw the tiles, padding and global view of SOURCE, and say what asking will cost.

    Seconds and memory are estimates: a line through two short runs of the reader on this machine.
    """
    check_picture_path(output)

    from tilewise.engine.cost import measure
    from tilewise.models.folders import DEFAULT
    from tilewise.models.load import load
    from tilewise.pipeline import converse, places

    use_threads(threads)
    with ExitStack() as stack:
        opened = stack.enter_context(open_named(source, password, web, straighten, video))
        count = len(places([opened], pages))
        reader = load(DEFAULT if model is None else model, dtype=dtype, device=device)
        cost = measure(reader) if estimate else None
        talks = converse(
            [opened], reader, max_tiles=max_tiles, pages=pages, per_page=True, upscale=upscale
        )
        for index, talk in enumerate(talks):
            _show_page(talk, cost, numbered(output, index, count), long_side)


def _show_page(talk: Conversation, cost: Cost | None, path: Path, long_side: int | None) -> None:
    """Print the table of one page and write its picture."""
    from tilewise.tiling.draw import draw_tiles, made_small, read_at

    (page,), (tiles,), (limit,) = talk.pages, talk.tiles, talk.max_tiles
    fit = tiles.fit
    plan = talk.reader.plan(*talk.shown_sizes[0], limit)
    right = fit.canvas_width - fit.width - fit.left
    bottom = fit.canvas_height - fit.height - fit.top
    is_padded = any((fit.left, fit.top, right, bottom))
    padding = f"left {fit.left}, top {fit.top}, right {right}, bottom {bottom} px"
    estimates = _estimates(talk, cost, plan) if cost else ()
    table = (
        ("Page", f"{page.name}, {page.number} of {page.total}, {page.width} x {page.height} px"),
        *_upscaled(talk),
        ("Read at", read_at(page, fit)),
        ("Grid", f"{fit.grid.cols} x {fit.grid.rows} = {fit.grid.tiles} tiles of {fit.tile} px"),
        ("Padding", padding if is_padded else "none"),
        ("Tokens", f"{len(plan):,}, the context holds {talk.reader.context:,}"),
        *estimates,
        ("Model", talk.reader.name),
    )
    for name, value in table:
        click.echo(f"{name:<8} {value}")
    picture = draw_tiles(page, tiles, plan, estimates)
    save_picture(picture if long_side is None else made_small(picture, long_side), path)
    click.echo(f"{'Picture':<8} {path}\n")


def _upscaled(talk: Conversation) -> tuple[tuple[str, str], ...]:
    """What is done to the page before it is read, where that was asked for."""
    from tilewise.superres.prepare import said

    return tuple(("Upscale", said(decision)) for decision in talk.decisions or ())


def _estimates(talk: Conversation, cost: Cost, plan: Plan) -> tuple[tuple[str, str], ...]:
    """Seconds and memory of one page, as (name, value)."""
    from tilewise.engine.memory import needed_bytes

    (tiles,) = talk.tiles
    fit, kept, tokens = tiles.fit, talk.reader.footprint(), len(plan)
    views = fit.grid.tiles + plan.has_global
    memory_bytes = max(
        # with what Python and torch take themselves
        cost.memory_bytes(tokens, fit.canvas_width * fit.canvas_height),
        kept.weights_bytes + needed_bytes(kept, tokens, views),
    )
    return (
        ("Seconds", f"about {cost.seconds(tokens):.1f} to the first character"),
        ("Memory", f"about {memory_bytes / 2**20:,.0f} MiB"),
    )
