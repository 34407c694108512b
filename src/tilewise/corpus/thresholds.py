"""The limits of measured values, by stage and name, as the settings have them."""

from __future__ import annotations

from collections.abc import Mapping

from tilewise.corpus.config import CorpusConfig
from tilewise.corpus.filters import detailed, preliminary
from tilewise.corpus.filters.scorers import from_files
from tilewise.corpus.images import rules as images
from tilewise.corpus.images.measure import filters_off

Limits = tuple[float | None, float | None]
"""The least and the greatest value with which a document is kept; None where there is no limit."""


def limits(cfg: CorpusConfig, stage: str) -> Mapping[str, Limits]:
    """The limits of the values that a stage measures; of values without limits nothing."""
    if stage == preliminary.STAGE:
        return preliminary.thresholds(cfg.prelim_text)
    if stage == detailed.STAGE:
        return detailed.thresholds(cfg.detailed_text)
    if stage == images.STAGE:
        return {"min_images": (cfg.image.min_images, None)}
    return {}


def off(cfg: CorpusConfig) -> dict[str, str]:
    """Filters that were not applied, and why."""
    found = {f"prelim_text.{name}": "switched off" for name in sorted(cfg.prelim_text.off)}
    found |= {f"image.{n}": why for n, why in filters_off(cfg.image).items()}
    found |= {f"detailed_text.{name}": "switched off" for name in sorted(cfg.detailed_text.off)}
    found |= {f"scorers.{name}": "no scorer given" for name in from_files(cfg.scorers).off}
    if cfg.lines is None:
        found["lines"] = "switched off"
    if cfg.fetch is None:
        found["fetch"] = "switched off: only images inside the archives are used"
    return found
