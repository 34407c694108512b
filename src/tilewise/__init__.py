"""Ask questions about high-resolution pages.

``ask``, ``ask_schema`` and ``load`` arrive on first use, so that importing this package, and with
it ``tilewise --help``, needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewise.errors import (
    ConfigError,
    MissingExtraError,
    PromptError,
    SourceError,
    TilewiseError,
    WeightsError,
)
from tilewise.records import Answer, Box, Evidence, Grid, Page, Turn
from tilewise.sources.video_options import VideoOptions
from tilewise.sources.web_options import WebOptions
from tilewise.structured.record import FieldAnswer, Record

if TYPE_CHECKING:
    from tilewise.models.load import load
    from tilewise.pipeline import ask, ask_schema

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "Box",
    "ConfigError",
    "Evidence",
    "FieldAnswer",
    "Grid",
    "MissingExtraError",
    "Page",
    "PromptError",
    "Record",
    "SourceError",
    "TilewiseError",
    "Turn",
    "VideoOptions",
    "WebOptions",
    "WeightsError",
    "__version__",
    "ask",
    "ask_schema",
    "load",
]


def __getattr__(name: str) -> object:
    """Import a public name that needs torch when it is first used."""
    if name == "ask":
        from tilewise.pipeline import ask

        return ask
    if name == "ask_schema":
        from tilewise.pipeline import ask_schema

        return ask_schema
    if name == "load":
        from tilewise.models.load import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
