"""Runs that adapt to a domain have the published settings."""

from __future__ import annotations

from typing import Any

import pytest

from tilewise.errors import ConfigError
from tilewise.recipes.domains import PUBLISHED, domain_run


@pytest.mark.parametrize(
    ("domain", "steps", "accumulation", "mixing"),
    [
        ("driving", 15_100, 8, (0.25, None)),
        ("driving-temporal", 240, 64, (None, 0.03)),
        ("medical", 2200, 64, (1.0, None)),
        ("remote-sensing", 2500, 64, (None, 0.2)),
    ],
)
def test_each_domain_has_its_numbers(
    domain: Any, steps: int, accumulation: int, mixing: tuple[float | None, float | None]
) -> None:
    cfg = domain_run(domain)
    assert (cfg.schedule.steps, cfg.run.accumulation) == (steps, accumulation)
    published = PUBLISHED[domain].mixing
    assert (published.ratio, published.share) == mixing
    assert (cfg.optim.lr, cfg.optim.weight_decay, cfg.schedule.warmup_share) == (1e-5, 0.01, 0.03)
    assert cfg.data.packing is not None
    assert (cfg.data.packing.tiles, cfg.data.packing.tokens) == (48, 16_384)
    assert (cfg.data.context, cfg.data.max_tiles, cfg.reduction) == (8192, 12, "square")


def test_the_method_says_what_learns() -> None:
    full, lora, frozen = (domain_run("medical", "1B", m) for m in ("full", "lora", "frozen-vit"))
    assert full.model.trained == ("vit", "projector", "decoder")
    assert full.model.drop_path == 0.1
    assert lora.model.trained == ()
    assert lora.model.lora is not None
    assert (lora.model.lora.rank, lora.model.lora.scale) == (16, 2.0)
    assert frozen.model.trained == ("projector", "decoder")
    assert frozen.model.lora is None
    assert frozen.name == "adapt_medical_1b_frozen_vit"
    assert full.model.folder == "OpenGVLab/InternVL2-1B"


def test_what_is_unknown_is_refused() -> None:
    for words in (("sailing", "2B", "full"), ("medical", "3B", "full"), ("medical", "2B", "half")):
        given: Any = words
        with pytest.raises(ConfigError, match="are known"):
            domain_run(*given)
