"""Tiny models give what the authors' code gives: every stage, and the ids."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.goldens import family_folder
from tests.models.internvl.making import (
    expected,
    golden_pairs,
    golden_prompt,
    golden_reader,
    golden_tiles,
    parts,
)
from tilewise.models.internvl.model import InternVLReader
from tilewise.models.internvl.network import MEAN, STD, InternVL, views
from tilewise.models.units import Prompt, assemble
from tilewise.models.views import normalised
from tilewise.nn.merge import merge_patches
from tilewise.records import Fit, Grid, Plan, Tiles
from tilewise.tiling.layout import plan
from tilewise.weights.files import WEIGHTS

pytestmark = pytest.mark.golden

CPU = torch.device("cpu")
VISION, LOGITS, LOSS = 1e-4, 2e-3, 1e-4
"""Tolerances of the goldens' README, absolute."""

PAIRS = golden_pairs()
MODELS = pytest.mark.parametrize(
    ("folder", "truth"), [pytest.param(*pair, id=pair[0].name) for pair in PAIRS]
)
Expected = dict[str, Tensor]


def test_every_folder_with_weights_is_compared() -> None:
    """None is left out because of its name or its form."""
    root = family_folder("internvl")
    there = {path.parent for path in root.rglob(WEIGHTS)} if root else set()
    if not there:
        pytest.skip("no golden model of InternVL")
    assert {folder for folder, _ in PAIRS} == there
    assert len(PAIRS) == len(there)


def _near(found: Tensor, wanted: Tensor, tolerance: float = VISION) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


def _pixels(folder: Path, truth: Path) -> Tensor:
    return normalised(views(golden_tiles(folder, truth)), MEAN, STD, CPU)


@torch.inference_mode()
def _last_hidden(network: InternVL, pixels: Tensor) -> Tensor:
    """What the last layer of the encoder leaves, class token first."""
    return network.vit.states(pixels, 1)[0]


def _with(network: InternVL, **changes: Any) -> InternVL:
    """A network of the same weights by other settings."""
    other = InternVL(replace(network.cfg, **changes)).eval()
    other.load_state_dict(network.state_dict())
    return other


@MODELS
def test_pixels_equal_the_reference(folder: Path, truth: Path) -> None:
    wanted = expected(truth)
    assert torch.equal(torch.from_numpy(views(golden_tiles(folder, truth))), wanted["tiles_u8"])
    _near(_pixels(folder, truth)[0, :, 0], wanted["pixel_values_tile0_row0"], 1e-6)


@MODELS
def test_the_encoder_equals_the_reference(folder: Path, truth: Path) -> None:
    network, wanted, pixels = golden_reader(folder).network, expected(truth), _pixels(folder, truth)
    last = _with(network, vision=replace(network.cfg.vision, select_layer=-1))
    with torch.inference_mode():
        _near(network.vit.embed(pixels[:1]), wanted["vit_embeddings_tile0"])
        _near(last.vit(pixels), wanted["vit_last_hidden"][:, 1:])
    _near(_last_hidden(network, pixels), wanted["vit_last_hidden"])
    small = pixels[:1, :, :224, :280]
    _near(_last_hidden(network, small), wanted["vit_224x280_last_hidden"])


@MODELS
def test_merged_patches_equal_the_reference(folder: Path, truth: Path) -> None:
    patches = expected(truth)["vit_last_hidden"][:1, 1:]
    for version, is_transposed in (("v1", True), ("v2", False)):
        wanted = expected(truth).get(f"pixel_shuffle_{version}_tile0")
        if wanted is not None:
            assert torch.equal(merge_patches(patches, is_transposed=is_transposed), wanted)


@MODELS
@torch.inference_mode()
def test_image_tokens_equal_the_reference(folder: Path, truth: Path) -> None:
    reader, wanted, pixels = golden_reader(folder), expected(truth), _pixels(folder, truth)
    network = reader.network
    _near(network.encode(pixels), wanted["image_tokens"])
    _near(_with(network, is_transposed=True).encode(pixels), wanted["image_tokens_ps_v1"])
    shorter = _with(network, vision=replace(network.cfg.vision, select_layer=-2))
    _near(shorter.encode(pixels[:1]), wanted["image_tokens_select_minus2"])
    (image,) = golden_prompt(folder, truth).images
    (sequence,) = network.images([image], reader._ends, chunk=2)
    _near(sequence[1:-1], wanted["image_tokens"].flatten(0, 1))


@MODELS
def test_logits_and_losses_equal_the_reference(folder: Path, truth: Path) -> None:
    reader, wanted, prompt = golden_reader(folder), expected(truth), golden_prompt(folder, truth)
    ids = wanted["input_ids"][0].tolist()
    assert len(prompt) == len(ids)
    assert ids.count(reader._slot) == wanted["image_tokens"].shape[:2].numel()
    assert wanted["attention_mask"].all()
    assert wanted["image_flags"].all()
    logits = reader.all_logits(prompt)
    _near(logits, wanted["logits"][0], LOGITS)
    last, _ = reader.prefill([prompt])
    _near(last[0], wanted["logits"][0, -1], LOGITS)
    labels, weights = wanted["labels"][0, 1:], wanted["loss_weight"][0, 1:]
    losses = F.cross_entropy(logits[:-1], labels, reduction="none")  # -100 counts nothing
    _near(losses.sum() / (labels != -100).sum(), wanted["loss"][0], LOSS)
    _near((losses * weights).sum() / weights.sum(), wanted["loss_weighted"][0], LOSS)


@MODELS
def test_text_alone_equals_the_reference(folder: Path, truth: Path) -> None:
    reader, wanted = golden_reader(folder), expected(truth)
    prompt = reader.prompt_of([wanted["text_input_ids"][0].tolist()], [])
    _near(reader.all_logits(prompt), wanted["text_logits"][0], LOGITS)
    assert _greedy(reader, [prompt]) == [wanted["greedy_text_ids"].tolist()]


@MODELS
def test_greedy_ids_equal_the_reference(folder: Path, truth: Path) -> None:
    ids = _greedy(golden_reader(folder), [golden_prompt(folder, truth)])
    assert ids == [expected(truth)["greedy_ids"].tolist()]


@MODELS
def test_a_padded_batch_gives_the_ids_of_the_reference(folder: Path, truth: Path) -> None:
    reader, wanted = golden_reader(folder), expected(truth)
    prompts, at = [], 0
    for ids, mask in zip(wanted["batch_input_ids"], wanted["batch_attention_mask"], strict=True):
        held = ids[mask.bool()].tolist()
        count = held.count(reader._slot) // reader.cfg.tiling(1).tokens_per_tile
        tiles = wanted["tiles_u8"][wanted["batch_tile_index"][at : at + count]]
        prompts.append(_row_of_tiles(reader, held, tiles))
        at += count
    assert [len(prompt) for prompt in prompts] == wanted["batch_attention_mask"].sum(1).tolist()
    assert _greedy(reader, prompts) == wanted["batch_greedy_ids"].tolist()
    assert [_greedy(reader, [p])[0] for p in prompts] == wanted["batch_greedy_ids"].tolist()


def _row_of_tiles(reader: InternVLReader, ids: list[int], tiles: Tensor) -> Prompt:
    """Ids about a page of tiles side by side, without a view of the whole."""
    count, side = tiles.shape[:2]
    grid = Grid(count, 1)
    fit = Fit(
        grid=grid, tile=side, page_width=count * side, page_height=side,
        width=count * side, height=side, left=0, top=0,
    )  # fmt: skip
    local = tiles.numpy()
    canvas = tiles.transpose(0, 1).flatten(1, 2).numpy()
    page = Tiles(local=local, canvas=canvas, fit=fit)
    row: Plan = plan(grid, replace(reader.cfg.tiling(count), has_global=False))
    return assemble(parts(reader, ids), [page], [row], reader.context)


@torch.inference_mode()
def _greedy(reader: InternVLReader, prompts: list[Prompt]) -> list[list[int]]:
    """The 12 most probable ids of each prompt, one after another."""
    logits, cache = reader.prefill(prompts)
    given = []
    for _ in range(12):
        given.append(logits.argmax(-1))
        logits = reader.decode(given[-1], cache)
    return torch.stack(given, 1).tolist()
