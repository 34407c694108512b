"""A page that is kept on disk gives the same logits, and its encoder does not run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.models.ixc2.making import noise_page, small_reader
from tilewise.models.ixc2.network import Ixc2
from tilewise.models.vision_cache import CacheConfig, VisionCache


def test_a_second_reader_gives_the_same_without_its_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, stored, again = small_reader(), small_reader(), small_reader()
    for reader in (stored, again):
        reader.store = VisionCache(CacheConfig(folder=tmp_path), lambda: "small")
    pages = [plain.tiles(noise_page(9, 30, seed=i), 4) for i in range(2)]
    prompts = [plain.prompt_of([[5, 6], [7], [8]], pages)]
    wanted, _ = plain.prefill(prompts)
    first, _ = stored.prefill(prompts)
    assert torch.equal(first, wanted)
    assert len(list(tmp_path.iterdir())) == 2

    def refused(self: Ixc2, views: torch.Tensor) -> torch.Tensor:
        raise AssertionError("the encoder ran")

    monkeypatch.setattr(Ixc2, "encode", refused)
    told: list[tuple[str, int, int]] = []
    second, _ = again.prefill(prompts, None, lambda *step: told.append(step))
    assert torch.equal(second, wanted)
    views = [(done, total) for stage, done, total in told if stage == "tiles"]
    assert views[-1][0] == views[-1][1]
