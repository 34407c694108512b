"""``tilewise corpus``: from web crawls to clean, interleaved image-text documents."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import click

from tilewise.cli.corpus_review import review, rules
from tilewise.cli.files import shown
from tilewise.cli.progress import ProgressLine
from tilewise.errors import ConfigError

if TYPE_CHECKING:
    from tilewise.corpus.config import CorpusConfig
    from tilewise.corpus.pipeline import Runners, StageSummary

Command = TypeVar("Command", bound=Callable[..., Any])

STAGES: Final = ("read", "extract", "prelim_text", "dedup", "image", "detailed_text", "final")
"""As ``corpus.stages`` has them; here so that ``--help`` comes at once."""

PROFILES: Final = ("all-languages", "omnicorpus-en", "omnicorpus-zh", "strict", "minimal")

_RUN = click.argument("run", type=click.Path(path_type=Path))
_PROGRESS = click.option(
    "--progress/--no-progress",
    default=None,
    help="Show progress; default: if stderr is a terminal.",
)


@click.group()
def corpus() -> None:
    """Build documents for training from web crawls.

    A run lies in a folder: the result of every stage, the shards in `final`, a report, a card.
    """


def _config_options(command: Command) -> Command:
    for option in reversed(_CONFIG):
        command = option(command)
    return command


_CONFIG: Final = (
    click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        help="Settings in JSON or TOML; `profile` in it names what they begin with.",
    ),
    click.option(
        "--profile", "profile_name", type=click.Choice(PROFILES), help="Settings to begin with."
    ),
    click.option(
        "--set",
        "changes",
        multiple=True,
        metavar="NAME=VALUE",
        help="Change a setting, e.g. dedup.threshold=0.7.",
    ),
    click.option(
        "--fetch/--no-fetch",
        default=None,
        help="Ask the web for images that no archive holds; needs --contact.",
    ),
    click.option("--contact", metavar="ADDRESS", help="Mail or URL that hosts can turn to."),
)


@corpus.command()
@click.argument("inputs", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@_config_options
@click.option("--until", type=click.Choice(STAGES), help="Stop behind this stage.")
@click.option(
    "--stage", "only", type=click.Choice(STAGES), multiple=True, help="Only this; may be repeated."
)
@click.option(
    "--runner",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where to work: processes of this machine, or a Ray cluster.",
)
@click.option("--address", metavar="HOST:PORT", help="A Ray cluster.  [default: this machine]")
@click.option(
    "--workers",
    multiple=True,
    metavar="[STAGE=]N",
    help="Processes, of all stages or of one; may be repeated.  [default: one a processor]",
)
@click.option(
    "--memory",
    "memory_gib",
    type=click.FloatRange(min=0.1),
    default=4.0,
    show_default=True,
    metavar="GIB",
    help="What a process may take; one that takes more is ended, and its shard done anew.",
)
@click.option("--restart", is_flag=True, help="Forget what the folder holds of another run.")
@_PROGRESS
def build(
    inputs: tuple[str, ...],
    out: Path,
    config_file: Path | None,
    profile_name: str | None,
    changes: tuple[str, ...],
    fetch: bool | None,
    contact: str | None,
    until: str | None,
    only: tuple[str, ...],
    runner: str,
    address: str | None,
    workers: tuple[str, ...],
    memory_gib: float,
    restart: bool,
    progress: bool | None,
) -> None:
    """Build documents from INPUTS: WARC files, folders of HTML, JSON Lines of url and html.

    INPUTS may be paths, patterns and URLs that fsspec knows. After Ctrl-C, a kill or a full disk
    the same command goes on. With other settings, what they change is done again.
    """
    if until and only:
        raise click.UsageError("--until and --stage exclude each other; leave one out.")
    cfg = _config(config_file, profile_name, changes, fetch, contact)
    from tilewise.corpus.pipeline import build as build_all
    from tilewise.corpus.plan import find_inputs, open_run

    gc.freeze()  # what is loaded stays; looking for cycles in it at the end takes 50 ms
    opened, differences = open_run(out, find_inputs(inputs), cfg, restart=restart)
    for difference in differences:
        click.echo(f"Setting changed: {difference}", err=True)
    stages = only or STAGES[: STAGES.index(until) + 1 if until else None]
    line = ProgressLine(progress)
    with _runners(runner, address, workers, memory_gib) as runners:
        try:
            done = build_all(opened, runners, stages=stages, told=line, ended=_saying(line))
        except KeyboardInterrupt:
            line.clear()
            click.echo("Stopped; run the same command again to go on.", err=True)
            raise
        finally:
            line.clear()
    if not done[0].counts.taken.documents:
        click.echo("No page was found in the inputs.", err=True)
    elif not done[-1].counts.kept.documents:
        click.echo(
            "No document is left; the lines above say what dropped them, and of one page "
            f"tilewise corpus explain {out} URL.",
            err=True,
        )
    if "final" in stages:
        from tilewise.corpus.report.page import write_report

        click.echo(f"{write_report(opened)}: the report; {out / 'README.md'}: the card.")


def _config(
    file: Path | None,
    profile_name: str | None,
    changes: Sequence[str],
    fetch: bool | None,
    contact: str | None,
) -> CorpusConfig:
    """The settings that the command line asks for."""
    from tilewise.corpus.config import profile, read_config
    from tilewise.settings import with_options, with_values

    if file is not None and profile_name is not None:
        raise click.UsageError("--config and --profile exclude each other; name it in the file.")
    cfg = read_config(file) if file is not None else profile(profile_name or PROFILES[0])
    if fetch and not contact and not (cfg.fetch and cfg.fetch.contact):
        raise click.UsageError("--fetch needs --contact, a mail address or URL for hosts.")
    if contact or fetch:
        cfg = with_values(cfg, {"fetch": {"contact": contact} if contact else {}})
    if fetch is False:
        cfg = with_values(cfg, {"fetch": None})
    return with_options(cfg, changes)


@contextmanager
def _runners(
    kind: str, address: str | None, workers: Sequence[str], memory_gib: float
) -> Iterator[Runners]:
    """The runner of each stage."""
    counts = _workers(workers)
    from tilewise.runners.processes import Processes, ProcessLimits

    limits = ProcessLimits(memory_bytes=int(memory_gib * 2**30))
    if kind == "local":
        if address is not None:
            raise ConfigError("--address belongs to Ray; add --runner ray.")
        with Processes(counts.get(""), limits) as pool:
            yield lambda stage: partial(pool.of, counts.get(stage, pool.workers))
        return
    from tilewise.runners.ray_pool import connected, open_ray
    from tilewise.runners.ray_tasks import RayTasks

    with connected(open_ray(), address):
        yield lambda stage: RayTasks(
            address=address, workers=counts.get(stage, counts.get("")), limits=limits
        )


def _workers(said: Sequence[str]) -> dict[str, int]:
    """Numbers of processes by stage, "" for all others."""
    found = {}
    for text in said:
        stage, sign, number = text.rpartition("=")
        if (sign and stage not in STAGES) or not number.isdecimal() or int(number) < 1:
            raise click.UsageError(
                f"--workers {text}: give a number from 1 up, or STAGE=NUMBER with one of "
                f"{', '.join(STAGES)}."
            )
        found[stage] = int(number)
    return found


def _saying(line: ProgressLine) -> Callable[[StageSummary], None]:
    """Says in a line how a stage ended."""

    def say(summary: StageSummary) -> None:
        line.clear()
        click.echo(summary_line(summary))

    return say


def summary_line(summary: StageSummary) -> str:
    """How a stage ended, in a line."""
    counts = summary.counts
    came, dropped = counts.taken.documents, counts.dropped.documents
    reasons = sorted(counts.reasons.items(), key=lambda one: (-one[1].documents, one[0]))
    told = ", ".join(f"{name} {sums.documents:,}" for name, sums in reasons[:4])
    more = ", ..." if len(reasons) > 4 else ""
    rate = came / summary.cpu_s if summary.cpu_s else 0.0
    broken = sum(counts.broken.values())
    kinds = ", ".join(f"{name} {count:,}" for name, count in counts.broken.most_common())
    return (
        f"{summary.stage:<13} {came:>10,} document{'s' * (came != 1)}, "
        f"{counts.kept.documents:,} kept"
        f"{f', {dropped:,} dropped ({told}{more})' if dropped else ''}"
        f"{f', {broken:,} broken or left out ({kinds})' if broken else ''}; {rate:,.0f}/s of a core"
    )


@corpus.command()
@_RUN
def status(run: Path) -> None:
    """Say how far the run in folder RUN is."""
    from tilewise.corpus.plan import load_run
    from tilewise.corpus.status import stage_states

    opened = load_run(run)
    count = len(opened.shards)
    click.echo(f"{count:,} shard{'s' * (count != 1)}, settings {opened.settings}")
    for state in stage_states(opened):
        click.echo(state.line())


@corpus.command()
@_RUN
def report(run: Path) -> None:
    """Write report.html and the card of the run in folder RUN anew, as far as it is done."""
    from tilewise.corpus.plan import load_run
    from tilewise.corpus.report.page import write_report

    click.echo(str(write_report(load_run(run))))


@corpus.command()
@_RUN
@click.argument("page")
def explain(run: Path, page: str) -> None:
    """Say what each stage of RUN made of PAGE, a URL or the id of a document.

    With the values that were measured and their limits.
    """
    from tilewise.corpus.explain import explain as explain_page
    from tilewise.corpus.explain import lines
    from tilewise.corpus.plan import load_run

    for verdict in explain_page(load_run(run), page):
        for text in lines(verdict):
            click.echo(shown(text))


@corpus.command()
@_RUN
@_PROGRESS
def verify(run: Path, progress: bool | None) -> None:
    """Read everything that RUN holds, and say what is damaged or does not add up.

    RUN may be a folder of shards alone. The exit status is 1 if anything is wrong.
    """
    from tilewise.corpus.plan import RUN_FILE, load_run
    from tilewise.corpus.verify import verify as verify_all
    from tilewise.corpus.verify import verify_shards
    from tilewise.shards.index import NAME

    line, faults = ProgressLine(progress), 0
    is_shards = not (run / RUN_FILE).exists() and (run / NAME).exists()
    for fault in verify_shards(run, line) if is_shards else verify_all(load_run(run), line):
        line.clear()
        click.echo(shown(fault))
        faults += 1
    line.clear()
    if faults:
        click.echo(f"{faults:,} faults; the same tilewise corpus build makes them good.", err=True)
        raise click.exceptions.Exit(1)
    click.echo("All is whole.")


@corpus.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "kind",
    type=click.Choice(["text", "pairs"]),
    required=True,
    help="Texts without images, or each image with the text that belongs to it.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Processes.  [default: one a processor]"
)
def degrade(source: Path, out: Path, kind: Literal["text", "pairs"], workers: int | None) -> None:
    """Make texts or image-text pairs in folder OUT of the documents of SOURCE.

    SOURCE is a run, a folder of shards, one shard, or a file in the form of MMC4.
    """
    from tilewise.corpus.export.degrade_files import degrade as degrade_all
    from tilewise.corpus.over import RunnerMap
    from tilewise.corpus.plan import RUN_FILE
    from tilewise.runners.processes import Processes

    shards = source / "final" if (source / RUN_FILE).is_file() else source
    with Processes(workers) as pool:
        over = RunnerMap(pool)
        found = degrade_all(shards, out, kind, run=lambda work, items: over(work, list(items)))
    bad = "".join(f", {count:,} {reason}" for reason, count in sorted(found.bad.items()))
    click.echo(f"{out}: {found.rows:,} {kind.rstrip('s')}s of {found.documents:,} documents{bad}.")
    if found.bad and not found.documents:
        raise ConfigError(f"{source}: no document in it could be read; give shards of documents.")


@corpus.command()
@_config_options
def config(
    config_file: Path | None,
    profile_name: str | None,
    changes: tuple[str, ...],
    fetch: bool | None,
    contact: str | None,
) -> None:
    """Print all settings as JSON; what is printed can be given as --config."""
    import json

    from tilewise.settings import plain

    cfg = _config(config_file, profile_name, changes, fetch, contact)
    click.echo(json.dumps(plain(cfg), indent=1, ensure_ascii=False))


corpus.add_command(review)
corpus.add_command(rules)
