"""The tiny model gives what the authors' code gives: every stage, and the ids."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.goldens import model_folders
from tests.models.ixc2.making import (
    expected,
    golden_folders,
    golden_prompt,
    golden_reader,
    golden_tiles,
)
from tilewise.engine.beams import search
from tilewise.engine.sampling import SamplingConfig
from tilewise.models.ixc2.network import pixels, views
from tilewise.models.rows import Rows
from tilewise.models.units import image_segments
from tilewise.nn.partial_lora import Segment

pytestmark = pytest.mark.golden

CPU = torch.device("cpu")
TOLERANCE = 1e-4
Hidden = list[Tensor]


def _cases(folders: list[Path], *, prompts: bool) -> list[Any]:
    """(folder, name) of every prompt, or of every image."""
    cases = []
    for folder in folders:
        truth = expected(folder)
        names = truth["prompts"] if prompts else [n for n in truth if "hd_num" in truth[n]]
        cases += [pytest.param(folder, name, id=f"{folder.name}-{name}") for name in names]
    return cases


FOLDERS = [f for f in model_folders("ixc2-4khd") if f in golden_folders()]
IMAGES = pytest.mark.parametrize(("folder", "name"), _cases(FOLDERS, prompts=False))
PROMPTS = pytest.mark.parametrize(("folder", "name"), _cases(FOLDERS, prompts=True))
ANSWERS = pytest.mark.parametrize(("folder", "name"), _cases(golden_folders(), prompts=True))


@cache
def _arrays(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "expected.safetensors")


def _near(found: Tensor, wanted: Tensor, tolerance: float = TOLERANCE) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


@IMAGES
def test_pixels_equal_the_reference(folder: Path, name: str) -> None:
    tiles, truth = golden_tiles(folder, name), _arrays(folder)
    whole, first, *rest = views(pixels(tiles, CPU), tiles.fit.tile)
    _near(whole[None], truth[f"{name}.global_pixels"], 1e-6)
    _near(first[None], truth[f"{name}.tile0_pixels"], 1e-6)
    sums = torch.stack([view.sum() for view in (whole, first, *rest)])
    torch.testing.assert_close(sums, truth[f"{name}.tile_pixel_sums"], rtol=1e-4, atol=0)


@IMAGES
def test_vision_stages_equal_the_reference(folder: Path, name: str) -> None:
    network, tiles = golden_reader(folder).network, golden_tiles(folder, name)
    truth = _arrays(folder)
    seen = torch.stack(views(pixels(tiles, CPU), tiles.fit.tile))
    (image,) = golden_reader(folder).prompt_of([[], []], [tiles]).images
    with torch.inference_mode():
        _near(network.vit.embed(seen[1:2]), truth[f"{name}.vit_hidden0_tile0"])
        _near(network.vit(seen), truth[f"{name}.vit_features"])
        merged = network.arrange(network.encode(seen), image.plan)
        _near(merged, truth[f"{name}.merged"])
        _near(network.image(tiles, image.plan, chunk=2), truth[f"{name}.image_embeds"])


@PROMPTS
def test_logits_equal_the_reference(folder: Path, name: str) -> None:
    truth = _arrays(folder)
    logits = golden_reader(folder).all_logits(golden_prompt(folder, name))
    if f"{name}.logits" in truth:
        _near(logits, truth[f"{name}.logits"])
    if f"{name}.logits_last32" in truth:
        _near(logits[-32:], truth[f"{name}.logits_last32"])
    if f"{name}.argmax" in truth:
        assert torch.equal(logits.argmax(-1).int(), truth[f"{name}.argmax"])
    last, _ = golden_reader(folder).prefill([golden_prompt(folder, name)])
    _near(last[0], logits[-1], 1e-5)


@PROMPTS
def test_segments_and_embeddings_equal_the_reference(folder: Path, name: str) -> None:
    prompt, truth = golden_prompt(folder, name), _arrays(folder)
    spans = expected(folder)["prompts"][name]["image_positions"]
    assert image_segments(prompt.units) == tuple(Segment(0, *span) for span in spans)
    assert len(prompt) == expected(folder)["prompts"][name]["length"]
    if f"{name}.inputs_embeds" in truth:
        mask = torch.zeros(len(prompt), dtype=torch.uint8)
        for start, stop in spans:
            mask[start:stop] = 1
        assert torch.equal(mask, truth[f"{name}.im_mask"])
        _near(golden_reader(folder).embeddings(prompt), truth[f"{name}.inputs_embeds"])


@PROMPTS
def test_layers_equal_the_reference_from_its_embeddings(folder: Path, name: str) -> None:
    truth, decoder = _arrays(folder), golden_reader(folder).network.decoder
    if f"{name}.inputs_embeds" not in truth:
        pytest.skip("no embeddings of this prompt")
    found: dict[str, Tensor] = {}

    def keep(what: str) -> Any:
        return lambda module, args, out: found.__setitem__(what, out[0])

    layers = list(decoder.layers)
    hooks = [m.register_forward_hook(keep(f"layer{i}_out")) for i, m in enumerate(layers)]
    hooks.append(decoder.get_submodule("layers.0.attention.qkv").register_forward_hook(keep("qkv")))
    segments = image_segments(golden_prompt(folder, name).units)
    with torch.inference_mode():
        decoder(truth[f"{name}.inputs_embeds"][None], segments)
    for hook in hooks:
        hook.remove()
    for i in range(len(layers)):
        _near(found[f"layer{i}_out"], truth[f"{name}.layer{i}_out"])
    _near(_grouped(found["qkv"][:40], decoder.cfg), truth[f"{name}.layer0_qkv_first40"])


def _grouped(qkv: Tensor, cfg: Any) -> Tensor:
    """All queries, keys, values → as published: by key head its queries, its key, its value."""
    size = cfg.head_size
    q, k, v = qkv.split([cfg.width, cfg.kv_heads * size, cfg.kv_heads * size], dim=-1)
    groups = [x.unflatten(-1, (cfg.kv_heads, -1, size)) for x in (q, k, v)]
    return torch.cat(groups, dim=2).flatten(1)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_image_rows_without_partial_lora_equal_the_reference_without(folder: Path) -> None:
    truth, decoder = _arrays(folder), golden_reader(folder).network.decoder
    with torch.inference_mode():
        hidden = decoder(truth["img2.inputs_embeds"][None], ())
        _near(decoder.logits(hidden[0, -8:]), truth["img2.logits_last8_without_plora"])


@ANSWERS
def test_greedy_ids_equal_the_reference(folder: Path, name: str) -> None:
    truth = expected(folder)["prompts"][name]
    ids, cache = _greedy(folder, [name], 1.0)
    assert ids == [truth["greedy12"]]
    ids, _ = _greedy(folder, [name], 1.2, cache)  # the page is not run again
    assert ids == [truth["greedy12_reppen1.2"]]


@ANSWERS
def test_beam_ids_equal_the_reference(folder: Path, name: str) -> None:
    reader, prompt = golden_reader(folder), golden_prompt(folder, name)
    logits, cache = reader.prefill([prompt])
    (best,), _ = search(reader, logits, cache, [()], SamplingConfig(beams=3), 8)
    assert [token for token, _ in best.steps] == expected(folder)["prompts"][name]["beam3_8"]


@pytest.mark.parametrize("folder", golden_folders(), ids=lambda f: f.name)
def test_a_batch_of_different_grids_gives_the_ids_of_single_runs(folder: Path) -> None:
    truth = expected(folder)["prompts"]
    names = list(truth)
    ids, _ = _greedy(folder, names, 1.0)
    assert ids == [truth[name]["greedy12"] for name in names]


@torch.inference_mode()
def _greedy(
    folder: Path, names: list[str], penalty: float, cache: Rows | None = None
) -> tuple[list[list[int]], Rows]:
    """The 12 most probable ids, one after another; those said before are made less probable."""
    reader, prompts = golden_reader(folder), [golden_prompt(folder, name) for name in names]
    logits, cache = reader.prefill(prompts, cache)
    said = [list(reader.penalised_ids(prompt)) for prompt in prompts]
    given: list[list[int]] = [[] for _ in names]
    for _ in range(12):
        for row, ids in enumerate(said):
            seen = logits[row, ids]
            logits[row, ids] = torch.where(seen < 0, seen * penalty, seen / penalty)
        chosen = logits.argmax(-1)
        for row, token in enumerate(chosen.tolist()):
            said[row].append(token)
            given[row].append(token)
        logits = reader.decode(chosen, cache)
    return given, cache
