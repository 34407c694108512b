"""The limits of measured values, by stage and name, as the settings have them."""

from __future__ import annotations

from collections.abc import Mapping

from tilewise.corpus import filter_full, filter_text
from tilewise.corpus.config import CorpusConfig

Limits = tuple[float | None, float | None]
"""The least and the greatest value with which a document is kept; None where there is no limit."""


def limits(cfg: CorpusConfig, stage: str) -> Mapping[str, Limits]:
    """The limits of the values that a stage measures; of values without limits nothing."""
    if stage == filter_text.STAGE:
        return filter_text.thresholds(cfg.prelim_text)
    if stage == filter_full.STAGE:
        return filter_full.thresholds(cfg.detailed_text)
    return {}
