"""Every setting of a run as one frozen value, and the profiles that runs begin with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tilewise.corpus.dedup import DedupConfig
from tilewise.corpus.extract import ExtractConfig
from tilewise.corpus.filter_text import TextFilterConfig
from tilewise.corpus.images import ImageConfig
from tilewise.corpus.raw import ReadConfig
from tilewise.corpus.settings import plain
from tilewise.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """How work is cut; it changes no document.

    ``shard_bytes`` and ``shard_pages`` bound a shard: bytes of an archive as stored, files of a
    folder. ``samples`` documents of each verdict are stored by each shard for the report.
    """

    shard_bytes: int = 64 * 2**20
    shard_pages: int = 10_000
    samples: int = 4

    def __post_init__(self) -> None:
        for name in ("shard_bytes", "shard_pages"):
            if getattr(self, name) < 1:
                raise ConfigError(f"run.{name} is {getattr(self, name)}; 1 or more is allowed.")
        if self.samples < 0:
            raise ConfigError(f"run.samples is {self.samples}; 0 or more is allowed.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusConfig:
    """A run: a part for each stage, named like it, and ``run`` for how work is cut."""

    read: ReadConfig = field(default_factory=ReadConfig)
    extract: ExtractConfig = field(default_factory=ExtractConfig)
    prelim_text: TextFilterConfig = field(default_factory=TextFilterConfig)
    dedup: DedupConfig = field(default_factory=DedupConfig)
    image: ImageConfig = field(default_factory=ImageConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def told(self) -> dict[str, Any]:
        """The settings that documents depend on, as they stand in every output."""
        said: dict[str, Any] = plain(self)
        del said["run"]
        return said
