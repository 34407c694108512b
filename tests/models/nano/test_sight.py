"""Tiles are encoded once each, whole or in chunks, fused or not: the slots are the same."""

from __future__ import annotations

import copy
from dataclasses import fields

import numpy as np
import pytest
import torch

from tests.models.nano.making import page_of, random_parts
from tilewise.models.folders import default_folder
from tilewise.models.nano.detect import MOST_LIKELY, Level, SlotMap, detect
from tilewise.models.nano.encoder import Encoder
from tilewise.models.nano.model import load_nano
from tilewise.models.nano.sight import Seen, fused, see, view
from tilewise.records import Page, Tiles
from tilewise.tiling.config import TilingConfig
from tilewise.tiling.partition import cut

LINES = ("Harbour Report", "Keeper: Olaf", "Depth: 14.5 m")


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return fused(random_parts()[0])


def tiles_of(page: Page, max_tiles: int = 9) -> Tiles:
    return cut(page, TilingConfig(max_tiles=max_tiles, upscale=False))


@pytest.fixture(scope="module")
def sparse() -> Tiles:
    """A page of 3 × 3 tiles, most of them blank."""
    return tiles_of(page_of(*LINES, width=1000, height=1000))


def maps(seen: Seen) -> list[np.ndarray]:
    parts: list[SlotMap] = [seen.local] + ([seen.overview] if seen.overview else [])
    return [getattr(part, field.name) for part in parts for field in fields(part)]


@pytest.mark.parametrize("has_global", [True, False])
def test_encoding_equal_tiles_once_changes_no_bit(
    encoder: Encoder, sparse: Tiles, has_global: bool
) -> None:
    calls: list[tuple[int, int]] = []
    (once,) = see(encoder, [sparse], has_global=has_global)
    (each,) = see(
        encoder,
        [sparse],
        has_global=has_global,
        dedup=False,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert (once.overview is not None) == has_global
    for a, b in zip(maps(once), maps(each), strict=True):
        assert np.array_equal(a, b)
    assert calls[-1] == (9 + has_global, 9 + has_global)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_equal_tiles_run_once(encoder: Encoder, sparse: Tiles) -> None:
    ran: list[int] = []
    # What runs of the page made smaller is counted apart.
    hook = encoder.register_forward_hook(
        lambda _, inputs, __: ran.append(len(inputs[0]) * (inputs[0].shape[2] == 336))
    )
    try:
        see(encoder, [sparse, sparse])
    finally:
        hook.remove()
    different = len({tile.tobytes() for tile in sparse.local}) + 1
    assert sum(ran) == different < 10


def test_pages_together_see_what_each_sees_alone(encoder: Encoder, sparse: Tiles) -> None:
    small = tiles_of(page_of("Another page", width=300, height=120))
    wide = tiles_of(page_of(*LINES, width=1300, height=200))
    together = see(encoder, [small, sparse, wide])
    for seen, tiles in zip(together, (small, sparse, wide), strict=True):
        (alone,) = see(encoder, [tiles])
        for a, b in zip(maps(seen), maps(alone), strict=True):
            assert np.allclose(a, b, atol=1e-5)
        cols, rows = tiles.fit.grid
        assert seen.local.cls.shape == (MOST_LIKELY, 24 * rows, 84 * cols)


def test_a_fused_encoder_says_what_the_plain_one_says() -> None:
    plain, _, _ = random_parts()
    with torch.no_grad():
        for module in plain.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.running_mean is not None
                module.running_mean.normal_(std=0.1)
                module.bias.normal_(std=0.1)
        plain.head.weight /= 40
    ink = torch.rand(2, 1, 336, 336, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = plain(ink)
        got = fused(copy.deepcopy(plain))(ink)
    for a, b in zip(got, wanted, strict=True):
        assert torch.allclose(a, b, atol=1e-4)
    assert wanted.char.std() > 0.01
    assert not any(
        isinstance(m, torch.nn.BatchNorm2d) for m in fused(copy.deepcopy(plain)).modules()
    )


def test_blank_paper_is_blank_and_ink_is_not(encoder: Encoder, sparse: Tiles) -> None:
    (seen,) = see(encoder, [sparse])
    found = detect([Level(seen.local)])
    assert len(found) > 20
    assert float(found.y.max()) < 340


def test_a_view_has_a_token_for_every_square_of_28_px(encoder: Encoder, sparse: Tiles) -> None:
    (seen,) = see(encoder, [sparse])
    local = view(seen.local)
    assert (local.rows, local.cols) == (36, 36)
    assert local.index.shape == local.weight.shape == (36 * 36, 28)
    assert seen.overview is not None
    assert view(seen.overview).index.shape == (144, 28)


@pytest.mark.parametrize(("size", "scales"), [(14, [1.0, 0.5, 0.25]), (28, [1.0, 0.75, 0.5, 0.25])])
def test_a_page_is_made_a_little_smaller_where_its_type_asks_for_it(
    size: int, scales: list[float]
) -> None:
    reader = load_nano(default_folder())
    tiles = tiles_of(page_of(*LINES, width=700, height=300, size=size))
    (seen,) = see(reader.encoder, [tiles])
    assert [level.scale for level in seen.levels if level.scale <= 1] == scales
