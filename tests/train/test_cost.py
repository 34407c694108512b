"""The arithmetic of costs gives what torch counts on small models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tests.train.making import picture
from tests.train.pages import write_samples
from tilewise.adapt.freeze import part_of
from tilewise.models.internvl.network import InternVL
from tilewise.models.internvl.sizes import SIZES
from tilewise.models.ixc2.config import Ixc2Config
from tilewise.models.ixc2.network import Ixc2
from tilewise.nn.decoder import Decoder, DecoderConfig, PartialLoraConfig
from tilewise.nn.packed import run_packed
from tilewise.nn.vit import ViT, ViTConfig
from tilewise.recipes.table import find_recipe
from tilewise.settings import with_options
from tilewise.train import cost
from tilewise.train.answers import Answers
from tilewise.train.data import open_packs
from tilewise.train.start import open_model

LORA = PartialLoraConfig(qkv_rank=4, qkv_scale=1.0, rank=16, scale=1.0)
DECODER = DecoderConfig(
    vocabulary=300,
    width=128,
    layers=1,
    heads=4,
    kv_heads=2,
    mlp=384,
    norm_eps=1e-5,
    rope_theta=1e4,
    partial_lora=LORA,
)
VISION = ViTConfig(tile=112, patch=14, width=64, layers=2, heads=4, mlp=256)


def _counted(network: nn.Module) -> dict[str, int]:
    found: Counter[str] = Counter()
    for name, weight in network.named_parameters():
        found[part_of(name)] += weight.numel()
    return dict(found)


def test_parameters_of_the_released_models() -> None:
    with torch.device("meta"):
        ixc2 = Ixc2(Ixc2Config())
    found = cost.parameters(cost.shape_of(Ixc2Config()))
    assert sum(found.values()) == 8_597_499_904  # of the published index
    assert found == _counted(ixc2)
    for cfg in SIZES.values():
        with torch.device("meta"):
            network = InternVL(cfg)
        own = cost.parameters(cost.shape_of(cfg))
        assert {part: count for part, count in own.items() if count} == _counted(network)


@pytest.mark.parametrize("name", ["ixc2_tiny", "internvl_tiny"])
def test_products_of_a_step_are_those_that_torch_counts(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    samples = write_samples(tmp_path_factory.mktemp("data"), 4)
    for path in samples.parent.glob("*.png"):  # without blank tiles, of which only one would run
        path.write_bytes(picture(220, 110, seed=len(path.name)))
    options = ["data.max_tiles=4", "model.partial_lora_dropout=0", f"data.meta={samples}"]
    cfg = with_options(find_recipe(name), options)
    start = open_model(cfg.model, seed=0)
    packs = open_packs(cfg.data, start.reader, seed=0, workers=0)
    pack = next(packs)
    packs.close()
    visual = sum(len(image.plan.entries) for image in pack.images)
    learned = sum(label != -100 for example in pack.examples for label in example.labels)
    load = cost.Load(pack.tiles, len(pack), visual, learned)
    shape = cost.shape_of(start.reader.network.cfg)
    for is_checkpointed in (False, True):
        answers = Answers(start.reader, "token", is_checkpointed=is_checkpointed)
        with FlopCounterMode(display=False) as counter:
            answers(pack).total.backward()
        # torch does not count attention on CPUs, and pixels need no gradients
        each = cost.products(shape, load)
        squares = each["attention"] * (4 if is_checkpointed else 3)
        ours = cost.step_products(shape, load, is_checkpointed=is_checkpointed) - squares
        rel = 0.05 if is_checkpointed else 0.01
        assert counter.get_total_flops() == pytest.approx(ours, rel=rel)


def _kept(run: Callable[[], Tensor], network: nn.Module) -> int:
    """Bytes that are kept for the backward pass, without weights."""
    own = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    found: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = run()
    del result
    return sum(found.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_what_layers_keep_is_what_torch_keeps(dtype: torch.dtype) -> None:
    load = cost.Load(tiles=4, tokens=64, visual=48, learned=8)
    decoder, vit = Decoder(DECODER).to(dtype), ViT(VISION).to(dtype)
    x = torch.randn(64, DECODER.width, dtype=dtype, requires_grad=True)
    tiles = torch.randn(4, VISION.patches + 1, VISION.width, dtype=dtype, requires_grad=True)
    found = _kept(lambda: run_packed(decoder, x, torch.arange(48), [64]), decoder)
    assert found == pytest.approx(cost.layer_bytes(DECODER, load, dtype.itemsize), rel=0.05)
    layer = vit.layers[0]
    found = _kept(lambda: layer(tiles), vit)
    assert found == pytest.approx(cost.vit_layer_bytes(VISION, dtype.itemsize, 4), rel=0.05)


def test_checkpointing_keeps_one_input_a_layer() -> None:
    def kept(layers: int) -> int:
        decoder = Decoder(replace(DECODER, layers=layers))
        x = torch.randn(64, DECODER.width, requires_grad=True)
        rows = torch.arange(48)
        return _kept(lambda: run_packed(decoder, x, rows, [64], is_checkpointed=True), decoder)

    def ours(layers: int) -> int:
        shape = cost.Shape(
            vision=VISION, decoder=replace(DECODER, layers=layers), merged=256, inner=128
        )
        return cost.kept_bytes(shape, cost.Load(4, 64, 48, 8), cost.FULL)

    assert kept(5) - kept(2) == ours(5) - ours(2)


def test_splitting_shares_states_and_whole_networks_do_not() -> None:
    shape = cost.shape_of(Ixc2Config())
    load = cost.Load(tiles=43, tokens=6400, visual=6289, learned=30)
    eight, many = (cost.memory(shape, load, world=n, is_split=True) for n in (8, 64))
    alone = cost.memory(shape, load, world=8, is_split=False)
    states = 16 * 8_597_499_904
    assert alone.weights + alone.gradients + alone.moments == states
    assert eight.weights + eight.gradients + eight.moments == states / 8
    assert many.weights * 8 == eight.weights
    assert many.kept == eight.kept
    assert cost.seconds(1e15, peak=1e15, share=0.5) == 2
