"""Adapters add to what a network computes, and leave its weights alone until they are merged."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from tests.adapt.making import KINDS, network, run, stir
from tilewise.adapt.freeze import train_only
from tilewise.adapt.lora import (
    DECODER_TARGETS,
    VIT_TARGETS,
    LoraConfig,
    adapters,
    attach,
    detach,
    merge,
)
from tilewise.errors import ConfigError
from tilewise.models.ixc2.keys import QUANTISED
from tilewise.weights.quantised import quantise

BOTH = LoraConfig(rank=2, targets=(*DECODER_TARGETS, *VIT_TARGETS))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_a_new_adapter_changes_nothing_and_a_stirred_one_does(kind: str) -> None:
    net, rules = network(kind)
    before = run(net)
    names = attach(net, BOTH, rules)
    assert len(names) == 5 * net.cfg.decoder.layers + 4 * net.cfg.vision.layers
    assert torch.equal(run(net), before)
    stir(net)
    assert (run(net) - before).abs().max() > 1e-2


def test_attach_then_detach_leaves_the_base_unchanged(kind: str) -> None:
    net, rules = network(kind)
    before, weights = run(net), copy.deepcopy(net.state_dict())
    attach(net, BOTH, rules)
    stir(net)
    run(net)
    taken = detach(net)
    after = net.state_dict()
    assert taken
    assert list(after) == list(weights)
    assert all(torch.equal(after[name], weights[name]) for name in weights)
    assert torch.equal(run(net), before)


def test_merged_and_attached_compute_the_same(kind: str) -> None:
    net, rules = network(kind)
    attach(net, BOTH, rules)
    stir(net)
    wanted, names = run(net), [name for name in net.state_dict() if ".adapter." not in name]
    merge(net)
    assert not adapters(net)
    assert list(net.state_dict()) == names
    torch.testing.assert_close(run(net), wanted, rtol=1e-4, atol=1e-4)


def test_a_copy_of_a_network_has_adapters_of_its_own(kind: str) -> None:
    net, rules = network(kind)
    before = run(net)
    attach(net, BOTH, rules)
    twin = copy.deepcopy(net)
    stir(twin)
    assert torch.equal(run(net), before)
    assert not torch.equal(run(twin), before)
    detach(twin)
    assert torch.equal(run(twin), before)
    assert adapters(net)


def test_dropout_is_for_training_alone(kind: str) -> None:
    net, rules = network(kind)
    attach(net, replace(BOTH, dropout=0.5), rules)
    stir(net)
    net.eval()
    assert torch.equal(run(net), run(net))
    net.train()
    assert not torch.equal(run(net), run(net))


def test_gradients_reach_adapters_alone(kind: str) -> None:
    net, rules = network(kind)
    attach(net, BOTH, rules)
    stir(net)
    names = train_only(net, "adapter")
    run(net).square().mean().backward()
    with_gradient = [name for name, p in net.named_parameters() if p.grad is not None]
    assert with_gradient == names
    assert all(".adapter." in name for name in names)


def test_partial_lora_stays_beside_an_adapter() -> None:
    net, rules = network("ixc2")
    attach(net, BOTH, rules)
    assert not [name for name in adapters(net) if "lora_a" in name or "lora_b" in name]
    kept = net.decoder.layers[0].attention.qkv.lora_b.weight.clone()
    stir(net)
    merge(net)
    assert torch.equal(net.decoder.layers[0].attention.qkv.lora_b.weight, kept)


def test_adapters_are_cut_as_the_published_layers_are() -> None:
    rows = {}
    for kind in KINDS:
        net, rules = network(kind)
        attach(net, BOTH, rules)
        found = adapters(net)
        rows[kind] = len(found["decoder.layers.0.attention.qkv"].rows)
        gate, up = (found[f"decoder.layers.0.mlp.{part}"] for part in ("gate", "up"))
        assert (gate.a is up.a) == (kind == "phi3")
        assert len(found["vit.layers.0.qkv"].rows) == (3 if kind == "ixc2" else 1)
    assert rows == {"internlm2": 1, "qwen2": 3, "phi3": 1, "ixc2": 1}


def test_the_first_values_come_from_the_seed() -> None:
    values = []
    for seed in (0, 0, 1):
        net, rules = network("qwen2")
        attach(net, replace(BOTH, seed=seed), rules)
        values.append(adapters(net)["decoder.layers.1.mlp.down"].a)
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


def test_two_parts_may_have_two_ranks() -> None:
    net, rules = network("internlm2")
    attach(net, LoraConfig(rank=4), rules)
    attach(net, LoraConfig(rank=2, targets=VIT_TARGETS), rules)
    ranks = {name.partition(".")[0]: a.rank for name, a in adapters(net).items()}
    assert ranks == {"decoder": 4, "vit": 2}


def test_what_cannot_be_attached_is_refused() -> None:
    net, rules = network("qwen2")
    with pytest.raises(ConfigError, match="wqkv, which InternVL has not"):
        attach(net, LoraConfig(targets=("decoder.layers.{i}.wqkv",)), rules)
    attach(net, LoraConfig(rank=1), rules)
    with pytest.raises(ConfigError, match="has an adapter already"):
        attach(net, LoraConfig(rank=1), rules)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("rank", 0, "rank of LoRA is 0"), ("alpha", -1.0, "alpha"), ("dropout", 1.0, "dropout")],
)
def test_settings_that_cannot_hold_are_refused(field: str, value: float, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        LoraConfig(**{field: value})  # type: ignore[arg-type]


def test_quantised_weights_are_not_merged() -> None:
    net, rules = network("qwen2")
    attach(net, LoraConfig(rank=1), rules)
    layer = net.decoder.layers[0].mlp.up
    layer.weight = torch.nn.Parameter(layer.weight.data.to(torch.int8), requires_grad=False)
    before = net.decoder.layers[0].attention.qkv.weight.clone()
    with pytest.raises(ConfigError, match="quantised"):
        merge(net)
    assert torch.equal(net.decoder.layers[0].attention.qkv.weight, before)
    assert adapters(net)


def test_adapters_in_float32_learn_beside_a_base_in_bfloat16() -> None:
    net, rules = network("internlm2")
    net.bfloat16()
    attach(net, replace(BOTH, dtype=torch.float32), rules)
    stir(net)
    out = run(net)
    assert adapters(net)["decoder.layers.0.mlp.up"].a.dtype == torch.float32
    merge(net)
    torch.testing.assert_close(run(net), out, rtol=0.1, atol=0.5)


def test_adapters_learn_on_a_base_in_int8() -> None:
    net, rules = network("ixc2")
    net.requires_grad_(False).bfloat16()
    quantise(net, QUANTISED, "int8")
    before = run(net)
    attach(net, LoraConfig(rank=2, dtype=torch.float32), rules)
    assert torch.equal(run(net), before)
    stir(net)
    names = train_only(net, "adapter")
    run(net).square().mean().backward()
    learnt = [name for name, p in net.named_parameters() if p.grad is not None]
    assert learnt == names
    with pytest.raises(ConfigError, match="quantised"):
        merge(net)
    detach(net)
    assert torch.equal(run(net), before)
