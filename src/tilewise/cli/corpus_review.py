"""``tilewise corpus review`` and ``rules``: people judge rules, and labels judge them."""

from __future__ import annotations

from pathlib import Path

import click

from tilewise.cli.files import shown

_RUN = click.argument("run", type=click.Path(path_type=Path))
_SEED = click.option(
    "--seed", type=int, default=0, show_default=True, help="Another one draws other documents."
)
_LABELS = click.option(
    "--labels",
    type=click.Path(path_type=Path),
    help="File of labels, JSON Lines.  [default: RUN/review/labels.jsonl]",
)


@click.command()
@_RUN
@click.option(
    "--documents",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="How many are drawn.",
)
@_SEED
@click.option(
    "--dropped",
    type=click.FloatRange(0, 1),
    default=0.25,
    show_default=True,
    metavar="SHARE",
    help="Share of documents that stages before the detailed filter dropped.",
)
@_LABELS
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8_765,
    show_default=True,
    help="Of this machine; 0 takes a free one.",
)
def review(
    run: Path, documents: int, seed: int, dropped: float, labels: Path | None, port: int
) -> None:
    """Show documents drawn from RUN in the browser, and store what people say of the rules.

    The page shows what each rule did to a document, and why documents were dropped. It is served
    to this machine alone until Ctrl-C; labels are appended to a file.
    """
    from datetime import UTC, datetime

    from tilewise.corpus.plan import load_run
    from tilewise.corpus.review.samples import pictures, sample
    from tilewise.corpus.review.server import Review, serve

    opened = load_run(run)
    drawn = Review(
        run=opened,
        documents=tuple(sample(opened, documents, seed, dropped)),
        picture=pictures(opened),
        labels=_labels_file(run, labels),
        clock=lambda: datetime.now(UTC).isoformat(timespec="seconds"),
    )

    def told(address: str) -> None:
        click.echo(f"{len(drawn.documents):,} documents at {address}; Ctrl-C ends.")

    serve(drawn, port, told)


@click.group()
def rules() -> None:
    """List the rules of the detailed text filter, and say how good they are."""


@rules.command("list")
@click.option("--lang", default="en", show_default=True, help="Rules of this language.")
def list_rules(lang: str) -> None:
    """Print the rules and gates in their order: number, name, what each does."""
    from tilewise.corpus.filters.detailed import rules_of
    from tilewise.corpus.filters.gates import GATES

    for rule in rules_of(lang):
        click.echo(f"{rule.number:<6} {rule.id:<24} {rule.says}")
    for name, (number, gate) in GATES.items():
        says = (gate.__doc__ or "").split("\n")[0].rpartition(": ")[2]
        click.echo(f"{number:<6} {name:<24} gate: {says}")


@rules.command("eval")
@_RUN
@_LABELS
@click.option(
    "--documents",
    type=click.IntRange(min=0),
    default=1_000,
    show_default=True,
    help="Drawn to count how often rules act; 0 leaves that out.",
)
@_SEED
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def evaluate(run: Path, labels: Path | None, documents: int, seed: int, as_json: bool) -> None:
    """Say how good the rules of RUN are by the labels of people.

    Precision: right among what a rule did. False positives: wrong among what should have stayed.
    Missed: among what should have gone. All with 95 % intervals (Wilson), and in how many documents
    of each year of capture a rule acts.
    """
    import json
    from dataclasses import asdict

    from tilewise.corpus.filters.detailed import RULES
    from tilewise.corpus.filters.gates import GATES
    from tilewise.corpus.plan import load_run
    from tilewise.corpus.review.labels import Label, read_labels
    from tilewise.corpus.review.rules_eval import evaluate as evaluate_all
    from tilewise.corpus.review.rules_eval import table, trigger_ratios
    from tilewise.corpus.review.samples import acted, sample

    opened = load_run(run)
    file, given, bad = _labels_file(run, labels), list[Label](), 0
    if labels is not None or file.exists():
        given, bad = read_labels(file)
    else:  # how often rules act is known without labels
        click.echo(f"No labels yet; tilewise corpus review {run} collects them.", err=True)
    drawn = sample(opened, documents, seed, dropped_share=0.0) if documents else []
    names = [*dict.fromkeys(rule.id for found in RULES.values() for rule in found), *GATES]
    found = evaluate_all(given, names, trigger_ratios(acted(opened, drawn)))
    said = [one for one in found if one.right + one.wrong + one.missed + one.spared or one.triggers]
    if as_json:
        click.echo(json.dumps([asdict(one) for one in said], indent=1, ensure_ascii=False))
    else:
        for line in table(said):
            click.echo(shown(line))
    if bad:
        click.echo(f"Lines of the file that are no labels, left out: {bad:,}.", err=True)


def _labels_file(run: Path, labels: Path | None) -> Path:
    return labels if labels is not None else run / "review" / "labels.jsonl"
