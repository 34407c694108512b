"""Tiles that are equal pass the vision encoder once, and the image sequence is the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.models.ixc2.making import small_reader
from tilewise.models.ixc2.model import Ixc2Reader
from tilewise.models.ixc2.network import pixels, views
from tilewise.records import Page, Tiles


@pytest.fixture(scope="module")
def reader() -> Ixc2Reader:
    return small_reader()


def _page(reader: Ixc2Reader, *, rows: int) -> Tiles:
    """4 x 4 tiles, white but for noise in the first rows of tiles and one tile given twice."""
    canvas = np.full((112, 112, 3), 255, np.uint8)
    canvas[: 28 * rows] = np.random.default_rng(0).integers(0, 256, (28 * rows, 112, 3))
    if rows:
        canvas[:28, 28:56] = canvas[:28, :28]
    return reader.tiles(Page(pixels=canvas, name="margins"), 16)


def _seen(reader: Ixc2Reader, tiles: Tiles) -> tuple[Tensor, int, list[int]]:
    """The image sequence, how many views the encoder saw, and what progress was told."""
    counts: list[int] = []
    told: list[int] = []
    vit = reader.network.vit
    hook = vit.register_forward_hook(lambda module, args, out: counts.append(len(out)))
    (image,) = reader.prompt_of([[], []], [tiles]).images
    with torch.inference_mode():
        found = reader.network.image(tiles, image.plan, chunk=3, progress=told.append)
    hook.remove()
    return found, sum(counts), told


@pytest.mark.parametrize(("rows", "views_seen"), [(0, 2), (1, 1 + 3 + 1), (3, 1 + 11 + 1), (4, 16)])
def test_equal_tiles_are_encoded_once(reader: Ixc2Reader, rows: int, views_seen: int) -> None:
    tiles = _page(reader, rows=rows)
    found, count, told = _seen(reader, tiles)
    assert count == views_seen
    assert sum(told) == 17  # all views are told of
    network = reader.network
    with torch.inference_mode():
        every = network.encode(torch.stack(views(pixels(tiles, torch.device("cpu")), 28)))
        (image,) = reader.prompt_of([[], []], [tiles]).images
        wanted = network.projector(network.arrange(every, image.plan))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_a_page_of_different_tiles_keeps_all_of_them(reader: Ixc2Reader) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (112, 112, 3), np.uint8)
    _, count, _ = _seen(reader, reader.tiles(Page(pixels=noise, name="noise"), 16))
    assert count == 17
