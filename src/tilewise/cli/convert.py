"""``tilewise convert``: a model's folder in another format."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, cast

import click

from tilewise.cli.progress import ProgressLine
from tilewise.errors import ConfigError

_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_ENDS: Final = ("SIGTERM", "SIGHUP")
"""Signals, not known to every system, that end a program whose terminal or service ends."""

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)


@click.command()
@click.argument("source")
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "kind",
    type=click.Choice(["safetensors", "pickle", "onnx"]),
    default="safetensors",
    show_default=True,
    help="Format of the copy; onnx for networks of tilewise upscale, TARGET is then a file.",
)
@click.option(
    "--reference",
    "has_reference",
    is_flag=True,
    help="With onnx: a graph that takes a reference to align with, as in training.",
)
@click.option(
    "--layout",
    type=click.Choice(["official", "native"]),
    help="Names and config of the copy: as its authors publish them, or as transformers has them.",
)
@click.option(
    "--shard-size",
    default="5GB",
    show_default=True,
    metavar="SIZE",
    help="Largest file of weights, e.g. 500MB or 2GiB.",
)
@click.option(
    "--quantise",
    "form",
    type=click.Choice(["int8", "int4"]),
    help="Round the weights of linear layers: int8 runs everywhere, int4 on CUDA alone.",
)
@click.option(
    "--progress/--no-progress",
    default=None,
    help="Show progress; default: if stderr is a terminal.",
)
def convert(
    source: str,
    target: Path,
    kind: str,
    has_reference: bool,
    layout: Literal["official", "native"] | None,
    shard_size: str,
    form: Literal["int8", "int4"] | None,
    progress: bool | None,
) -> None:
    """Copy the model SOURCE to the new folder TARGET with its weights in another format.

    SOURCE is a name from `tilewise models`, a folder, or a hub id. Weights saved under this
    program's own names get the published ones; config and tokenizer files are copied along.
    InternVL has two layouts; --layout chooses one, and merges adapters that are not yet.

    With --to onnx SOURCE is a network of `tilewise upscale`, x2, x4 or a folder, and TARGET a new
    file for programs without torch.
    """
    shard_bytes = size_bytes(shard_size)
    if kind == "onnx":
        if layout or form:
            raise ConfigError("--layout and --quantise are for readers; leave them out with onnx.")
        _to_onnx(source, target, has_reference=has_reference)
        return
    if has_reference:
        raise ConfigError("--reference is for --to onnx; leave one out or add the other.")

    from tilewise.models.folders import find
    from tilewise.models.names import renaming_to, weights_to_quantise
    from tilewise.weights.convert import convert as convert_folder

    line = ProgressLine(progress)
    try:
        folder = find(source, line)
        renaming = renaming_to(folder, layout, is_quantised=form is not None)
        with cleaned_up():
            convert_folder(
                folder,
                target,
                kind=cast(Literal["safetensors", "pickle"], kind),
                shard_bytes=shard_bytes,
                renaming=renaming,
                form=form,
                quantised=weights_to_quantise(folder, layout) if form else (),
                progress=line,
            )
    finally:
        line.clear()
    written = [path.stat().st_size for path in target.iterdir()]
    click.echo(f"{target}: {len(written)} files, {sum(written) / 1e6:,.1f} MB.")


def _to_onnx(source: str, target: Path, *, has_reference: bool) -> None:
    """Write a super-resolution network as one file, and say what it takes and gives."""
    if target.suffix.lower() != ".onnx":
        raise ConfigError(f"{target}: the ending is {target.suffix!r}; give the name of a .onnx.")
    if target.exists():
        raise ConfigError(f"{target}: there already; choose another name, or remove it.")

    from tilewise.superres.export import export_onnx
    from tilewise.superres.files import SHIPPED, load

    network = load(source)
    name = f"sdan-{source}" if source in SHIPPED else Path(source).name
    outputs = export_onnx(network, target, name=name, has_reference=has_reference)
    takes = "image, reference" if has_reference else "image"
    click.echo(
        f"{target}: {target.stat().st_size / 1e6:,.1f} MB, takes {takes} of any size, gives "
        f"{', '.join(outputs)}, {network.cfg.scale} times as large."
    )


@contextmanager
def cleaned_up() -> Iterator[None]:
    """While it lasts, signals that end a program raise, so that what was begun is taken away."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may ask for signals
        return

    def leave(number: int, frame: Any) -> None:
        sys.exit(128 + number)  # as shells have it

    before = {n: signal.signal(n, leave) for name in _ENDS if (n := getattr(signal, name, None))}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def size_bytes(text: str, what: str = "shard size") -> int:
    """Bytes of a size such as ``500MB`` (10⁶ each) or ``2GiB`` (2³⁰ each).

    Raises:
        ConfigError: it is no size above 0.
    """
    match = _SIZE.fullmatch(text.strip())
    if match:
        unit = _UNITS[match[2].upper()]
        if match[3]:
            unit = 1024 ** list(_UNITS.values()).index(unit)
        size = int(float(match[1]) * unit)
        if size > 0:
            return size
    raise ConfigError(f"{what} is {text!r}; give a number above 0 with a unit, e.g. 500MB.")
