"""What commands that ask have in common: their settings, and how sources and a model are opened."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tilewise.errors import SourceError

if TYPE_CHECKING:
    from tilewise.engine.sampling import SamplingConfig
    from tilewise.models.load import Dtype
    from tilewise.sources.source import Source
    from tilewise.sources.video_options import VideoOptions
    from tilewise.sources.web_options import WebOptions
    from tilewise.structured.formats import Format
    from tilewise.superres.policy import Upscale

STDIN: Final = "-"
"""Standard input, where a source is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOptions:
    """What the command line says, apart from sources and question."""

    model: str | None
    dtype: Dtype | None
    device: str
    max_tiles: int | None
    pages: str | None
    per_page: bool
    no_pages: bool
    max_new_tokens: int | None
    temperature: float
    top_p: float
    top_k: int
    repetition_penalty: float
    seed: int
    beams: int
    as_json: bool
    chat: bool
    draw: Path | None
    password: str | None
    threads: int | None
    progress: bool | None
    web: WebOptions
    straighten: bool
    video: VideoOptions | None
    upscale: Upscale | None
    schema: Path | None
    shape: Format | None
    no_cache: bool
    cache_size: int | None


def sampling_of(settings: AskOptions) -> SamplingConfig:
    """How the command line wants answers to be chosen."""
    from tilewise.engine.sampling import SamplingConfig

    return SamplingConfig(
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        repetition_penalty=settings.repetition_penalty,
        seed=settings.seed,
        beams=settings.beams,
    )


def open_named(
    name: str,
    password: str | None,
    web: WebOptions | None = None,
    straighten: bool = True,
    video: VideoOptions | None = None,
) -> Source:
    """Open a path or a web address, or standard input if it is ``-``."""
    from tilewise.sources.pages import MAX_PIPE_BYTES, open_source

    if name != STDIN:
        return open_source(name, password=password, web=web, straighten=straighten, video=video)
    data = sys.stdin.buffer.read(MAX_PIPE_BYTES + 1)
    if len(data) > MAX_PIPE_BYTES:
        raise SourceError(
            f"standard input holds over {MAX_PIPE_BYTES >> 20} MiB; save it to a file first."
        )
    return open_source(
        data,
        password=password,
        name="standard input",
        web=web,
        straighten=straighten,
        video=video,
    )


def use_threads(threads: int | None) -> None:
    """Set the number of threads that torch computes with, if one is given."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)


def open_all(stack: ExitStack, names: Sequence[str], settings: AskOptions) -> list[Source]:
    """Open sources as the command line says; the stack closes them."""
    return [
        stack.enter_context(
            open_named(name, settings.password, settings.web, settings.straighten, settings.video)
        )
        for name in names
    ]
