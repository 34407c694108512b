"""``tilewise upscale``: pictures enlarged, in bounded memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tilewise import __version__
from tilewise.cli.convert import cleaned_up, size_bytes
from tilewise.cli.files import shown
from tilewise.cli.progress import ProgressLine
from tilewise.errors import ConfigError, MissingExtraError, SourceError

if TYPE_CHECKING:
    from tilewise.superres.batch import Job, Record
    from tilewise.superres.enlargers import Enlarger
    from tilewise.superres.upscale import Upscaling


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="IN...")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="File for one picture, else a folder, made if it is not there.",
)
@click.option(
    "--scale",
    type=float,
    default=2.0,
    show_default=True,
    help="How many times as large, 0.01 to 64; need not be whole.",
)
@click.option(
    "--method",
    type=click.Choice(["auto", "ours", "bicubic", "lanczos"]),
    default="auto",
    show_default=True,
    help="What enlarges: the trained network, or interpolation. auto takes what measured best.",
)
@click.option(
    "--model",
    metavar="NAME|FOLDER",
    help="Trained network to use: x2, x4, or a folder of tilewise train.",
)
@click.option(
    "--memory",
    metavar="SIZE",
    help="Most that the program may hold, e.g. 1GB.  [default: half of what is free]",
)
@click.option(
    "--tile",
    type=int,
    default=0,
    metavar="PX",
    help="Side of tiles; the result does not depend on it.  [default: what the memory holds]",
)
@click.option("--suffix", default="", metavar="TEXT", help="Put after the names in a folder.")
@click.option(
    "--format",
    "ending",
    type=click.Choice(["png", "jpg", "webp", "tif"]),
    help="Format of files in a folder.  [default: that of each picture, else png]",
)
@click.option(
    "--quality", type=int, default=95, show_default=True, help="Of JPEG and WebP, 1 to 100."
)
@click.option(
    "--strip",
    is_flag=True,
    help="Leave out EXIF and XMP; the colour profile stays, as colours depend on it.",
)
@click.option("--first", is_flag=True, help="Take the first frame of animated pictures.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@click.option(
    "--progress/--no-progress",
    default=None,
    help="Show tiles done and time left on stderr.  [default: if it is a terminal]",
)
def upscale(
    inputs: tuple[str, ...],
    output: str,
    scale: float,
    method: str,
    model: str | None,
    memory: str | None,
    tile: int,
    suffix: str,
    ending: str | None,
    quality: int,
    strip: bool,
    first: bool,
    overwrite: bool,
    progress: bool | None,
) -> None:
    """Enlarge pictures IN, files or folders or patterns such as 'scans/*.png', into OUT.

    Depth, transparency, grey, profile, EXIF and XMP stay. A folder that was interrupted goes on
    with what is missing when the same command is run again.
    """
    if model is not None and method in ("bicubic", "lanczos"):
        raise ConfigError(f"--model is given and --method is {method}; leave one of them out.")
    for word in (*inputs, output):
        if word == "-" or "://" in word:
            raise ConfigError(f"{word} is no file; pictures are read from and written to files.")
    memory_bytes = None if memory is None else size_bytes(memory, "memory")

    from tilewise.superres.batch import Record
    from tilewise.superres.enlarge import chosen_enlarger
    from tilewise.superres.upscale import Upscaling, default_memory

    settings = Upscaling(
        factor=scale,
        memory_bytes=memory_bytes or default_memory(),
        tile=tile,
        quality=quality,
        is_stripped=strip,
        is_first_enough=first,
        made_by=f"tilewise {__version__} upscale",
    )
    enlarger = chosen_enlarger(method, model, scale)
    work, is_folder, others = _jobs(inputs, output, suffix, ending)
    record = Record(Path(output) if is_folder else None, enlarger, settings)
    if not overwrite:
        record.check_free(work)
    if others:
        click.echo(f"Left out, as they are no pictures: {others} in folders.", err=True)
    _run(work, record, enlarger, settings, ProgressLine(progress))


def _jobs(
    words: tuple[str, ...], output: str, suffix: str, ending: str | None
) -> tuple[tuple[Job, ...], bool, int]:
    """What is to be done, whether the output is a folder, and how many files are no pictures."""
    from tilewise.folder.walk import is_many
    from tilewise.superres.batch import check_name, folder_jobs, single_job
    from tilewise.superres.output import ENDINGS

    target = Path(output)
    is_named = target.suffix.lower() in ENDINGS and not output.endswith(("/", os.sep))
    check_name(target)
    is_folder = target.is_dir() and not is_named
    is_folder = is_folder or output.endswith(("/", os.sep)) or len(words) > 1
    if not is_folder and not is_many(words[0]):
        return (single_job(Path(words[0]), target, ending),), False, 0
    if is_named and not target.is_dir():
        raise ConfigError(
            f"{output}: is the name of a file and several pictures need a folder; leave out "
            f"{target.suffix}, or end it with / if a folder is to have that name."
        )
    found, others = _pictures(words, target)
    return folder_jobs(found, target, suffix, ending), True, others


def _pictures(words: tuple[str, ...], output: Path) -> tuple[list[tuple[Path, Path]], int]:
    """Pictures that words name, each once, with their names below a folder; results left out.

    And how many files in folders are of other kinds.

    Raises:
        SourceError: there is none.
    """
    from tilewise.folder.walk import find_files, is_many
    from tilewise.superres.batch import results_in

    found: dict[Path, Path] = {}
    results = results_in(output)
    others = 0
    for word in words:
        base = Path(word) if Path(word).is_dir() else None
        there = find_files([word])
        others += sum(there.left_out.values())
        for name in there.names:
            path = Path(name)
            if is_many(word):
                if path.resolve() in results:
                    continue
                if not _may_be_picture(path):
                    others += 1
                    continue
            found[path] = path.relative_to(base) if base else Path(path.name)
    if not found:
        raise SourceError(f"{', '.join(words)}: no picture there; check the path.")
    return list(found.items()), others


def _may_be_picture(path: Path) -> bool:
    """False for other kinds of files; what cannot be read is there to be reported."""
    from tilewise.sources.content import HEAD_BYTES, kind_of
    from tilewise.superres.pictures import KINDS

    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return True
    return not head or kind_of(head) in KINDS


def _run(
    work: tuple[Job, ...],
    record: Record,
    enlarger: Enlarger,
    settings: Upscaling,
    line: ProgressLine,
) -> None:
    """Enlarge one after the other; a picture that cannot be read does not stop the others.

    Raises:
        SourceError: some could not.
    """
    from tilewise.superres.upscale import upscale as upscale_file

    failed: list[str] = []
    before = 0
    for index, job in enumerate(work, 1):
        if record.has(job):
            before += 1
            continue
        stage = f"{shown(str(job.source))} ({index} of {len(work)}), tiles"
        try:
            with cleaned_up():
                made = upscale_file(
                    job.source,
                    job.target,
                    job.kind,
                    enlarger,
                    settings,
                    progress=lambda at, total, stage=stage: line(stage, at, total),  # type: ignore[misc]
                    before=lambda size, job=job: record.add(job, size),  # type: ignore[misc]
                )
        except (SourceError, ConfigError, MissingExtraError) as err:
            if len(work) == 1:
                raise
            line.clear()
            failed.append(str(job.source))
            click.echo(f"Error: {shown(str(err))}", err=True)
            continue
        finally:
            line.clear()
        notes = f" ({'; '.join(made.notes)})" if made.notes else ""
        click.echo(
            shown(
                f"{job.target}: {made.width}x{made.height} to {made.new_width}x{made.new_height} "
                f"px, {enlarger.name}{notes}"
            )
        )
    if before:
        click.echo(f"{before} of {len(work)} were there already.")
    if failed:
        raise SourceError(f"{len(failed)} of {len(work)} pictures could not be enlarged.")
