"""Every setting of a run as one frozen value, and the profiles that runs begin with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from tilewise.corpus.crawl.raw import ReadConfig
from tilewise.corpus.dedup.documents import DedupConfig
from tilewise.corpus.dedup.lines import LinesConfig
from tilewise.corpus.extract.page import ExtractConfig
from tilewise.corpus.filters.config import FullFilterConfig
from tilewise.corpus.filters.preliminary import FILTERS, TextFilterConfig
from tilewise.corpus.filters.scorers import ScorerFile
from tilewise.corpus.images.fetch_config import FetchConfig
from tilewise.corpus.images.rules import ImageConfig
from tilewise.errors import ConfigError
from tilewise.settings import plain, read_settings, with_values
from tilewise.shards.index import FORMS, Form


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """How work is cut; it changes no document.

    ``shard_bytes`` and ``shard_pages`` bound a shard: bytes of an archive as stored, files of a
    folder. ``samples`` documents of each verdict are stored by each shard for the report. A page
    that takes more than ``page_seconds`` of the processor in a stage ends its worker. Where
    ``keep_steps`` is off, files that only deduplication and the counting of images needed are
    removed once the last stage has ended; the same command then makes them anew.
    """

    shard_bytes: int = 64 * 2**20
    shard_pages: int = 10_000
    samples: int = 8
    page_seconds: float = 300.0
    keep_steps: bool = True

    def __post_init__(self) -> None:
        for name in ("shard_bytes", "shard_pages"):
            if getattr(self, name) < 1:
                raise ConfigError(f"run.{name} is {getattr(self, name)}; 1 or more is allowed.")
        if self.samples < 0:
            raise ConfigError(f"run.samples is {self.samples}; 0 or more is allowed.")
        if not 0 < self.page_seconds < 1e6:
            raise ConfigError(
                f"run.page_seconds is {self.page_seconds}; above 0 and below 1,000,000 is allowed."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputConfig:
    """What the last stage writes.

    ``forms``: the first in ``final``, others in ``final-FORM``. ``group_bytes`` bounds a row group,
    ``shard_bytes`` a file. ``image_files``: bytes of kept images in ``images``, a file each, by
    which training finds them; archives (``webdataset``) hold them in any case.

    Source: arXiv 2406.08418's released shards are of 0.36 to 0.4 GB.
    """

    forms: tuple[Form, ...] = ("parquet",)
    group_bytes: int = 96 << 20
    shard_bytes: int = 400_000_000
    image_files: bool = True

    def __post_init__(self) -> None:
        if not self.forms or len(set(self.forms)) < len(self.forms):
            raise ConfigError(
                f"output.forms is {list(self.forms)}; one or more of {', '.join(FORMS)}, each once."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusConfig:
    """A run: a part for each stage, named like it, and ``run`` for how work is cut.

    ``lines``: lines that a site repeats are taken out; None leaves them. ``fetch``: images that no
    archive holds are asked for; None asks nobody. ``scorers``: models by slot; empty slots are off.
    """

    read: ReadConfig = field(default_factory=ReadConfig)
    extract: ExtractConfig = field(default_factory=ExtractConfig)
    prelim_text: TextFilterConfig = field(default_factory=TextFilterConfig)
    dedup: DedupConfig = field(default_factory=DedupConfig)
    lines: LinesConfig | None = None
    image: ImageConfig = field(default_factory=ImageConfig)
    fetch: FetchConfig | None = None
    detailed_text: FullFilterConfig = field(default_factory=FullFilterConfig)
    scorers: Mapping[str, ScorerFile] = field(default_factory=dict)
    output: OutputConfig = field(default_factory=OutputConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def told(self) -> dict[str, Any]:
        """The settings that the output depends on, as they stand in it."""
        said: dict[str, Any] = plain(self)
        del said["run"]
        return said


def _english() -> CorpusConfig:
    """English, as the paper's part of Common Crawl: all published thresholds."""
    return CorpusConfig(prelim_text=TextFilterConfig(languages=("en",)))


def _chinese() -> CorpusConfig:
    """Chinese sites: the same stages, with the Chinese rules."""
    return CorpusConfig(prelim_text=TextFilterConfig(languages=("zh",)))


def _strict() -> CorpusConfig:
    """All languages, tighter text filters, lines that a site repeats taken out."""
    prelim = TextFilterConfig(
        words_min=100, sentences_min=5, language_score_min=0.8, digit_ratio_max=0.15
    )
    dedup = DedupConfig(image_set=True)
    return CorpusConfig(prelim_text=prelim, dedup=dedup, lines=LinesConfig())


def _minimal() -> CorpusConfig:
    """Extraction, duplicates and images; text is judged by its length alone and not edited."""
    from tilewise.corpus.filters.detailed import RULES  # noqa: PLC0415 - compiles 100 patterns
    from tilewise.corpus.filters.gates import GATES  # noqa: PLC0415

    judged = {"too_few_words", "too_many_words"}
    rules = {rule.id for rules in RULES.values() for rule in rules}
    return CorpusConfig(
        prelim_text=TextFilterConfig(off=frozenset(FILTERS) - judged),
        detailed_text=FullFilterConfig(off=frozenset(rules | set(GATES))),
    )


PROFILES: Final[Mapping[str, Callable[[], CorpusConfig]]] = {
    "all-languages": CorpusConfig,
    "omnicorpus-en": _english,
    "omnicorpus-zh": _chinese,
    "strict": _strict,
    "minimal": _minimal,
}
"""Configs by the names that the command line knows."""


def profile(name: str) -> CorpusConfig:
    """A config by its name.

    Raises:
        ConfigError: there is no such profile.
    """
    if name not in PROFILES:
        near = get_close_matches(name, PROFILES, 1)
        told = f"did you mean {near[0]}?" if near else f"known are {', '.join(PROFILES)}."
        raise ConfigError(f"profile {name!r} is unknown; {told}")
    return PROFILES[name]()


def read_config(path: Path) -> CorpusConfig:
    """The config of a file: ``profile`` names what it begins with, the rest changes that.

    Raises:
        ConfigError: the file cannot be read, or a setting is unknown or does not fit.
    """
    values = read_settings(path)
    base = values.pop("profile", "all-languages")
    try:
        return with_values(profile(str(base)), values)
    except ConfigError as err:
        raise ConfigError(f"{path}: {err}") from err
