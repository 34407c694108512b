"""What learns is what was asked for, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.adapt.making import network, run
from tests.models.internvl.making import SMALL, small_reader
from tilewise.adapt.freeze import FreezeConfig, freeze, part_of, train_only, trained
from tilewise.adapt.lora import VIT_TARGETS, LoraConfig, attach
from tilewise.errors import ConfigError


def _parts(names: list[str]) -> set[str]:
    return {part_of(name) for name in names}


def test_every_parameter_has_a_part() -> None:
    net, rules = network("ixc2")
    attach(net, LoraConfig(rank=1), rules)
    found = _parts([name for name, _ in net.named_parameters()])
    assert found == {"vit", "projector", "separators", "partial_lora", "decoder", "adapter"}


def test_the_first_stage_trains_all_but_the_language_model() -> None:
    net, _ = network("ixc2")
    names = train_only(net, "vit", "partial_lora", "projector", "separators")
    assert _parts(names) == {"vit", "partial_lora", "projector", "separators"}
    run(net).square().mean().backward()
    learnt = {n for n, p in net.named_parameters() if p.grad is not None}
    assert learnt == set(names) - {"newline", "view_separator"}  # not in that prompt
    assert trained(net) == names


def test_options_freeze_parts() -> None:
    net, _ = network("qwen2")
    assert _parts(freeze(net, FreezeConfig(decoder=True))) == {"vit", "projector"}
    assert _parts(freeze(net, FreezeConfig(vit=True))) == {"projector", "decoder"}
    assert _parts(freeze(net, FreezeConfig(projector=True, vit=True))) == {"decoder"}
    assert _parts(freeze(net, FreezeConfig())) == {"vit", "projector", "decoder"}


def test_layers_and_the_output_can_be_opened_again() -> None:
    net, _ = network("qwen2")
    layers = net.cfg.vision.layers
    names = freeze(net, FreezeConfig(vit=True, decoder=True, vit_layers=-1, has_open_output=True))
    assert "decoder.output.weight" in names
    assert "decoder.norm.weight" not in names
    in_vit = {name.split(".")[2] for name in names if name.startswith("vit.")}
    assert in_vit == {str(layers - 1)}
    with pytest.raises(ConfigError, match="layers of the vision encoder from 7 on"):
        freeze(net, FreezeConfig(vit=True, vit_layers=7))


def test_an_output_that_is_the_embedding_is_opened_as_such() -> None:
    cfg = replace(SMALL, decoder=replace(SMALL.decoder, is_tied=True))
    names = freeze(small_reader(cfg).network, FreezeConfig(decoder=True, has_open_output=True))
    assert "decoder.embed.weight" in names
    assert _parts(names) == {"vit", "projector", "decoder"}


def test_a_part_with_adapters_is_frozen_but_for_them() -> None:
    net, rules = network("internlm2")
    attach(net, LoraConfig(rank=1), rules)
    assert _parts(freeze(net, FreezeConfig(vit=True))) == {"projector", "adapter"}
    attach(net, LoraConfig(rank=1, targets=VIT_TARGETS), rules)
    assert _parts(freeze(net, FreezeConfig(projector=True))) == {"adapter"}


def test_what_cannot_be_trained_is_refused() -> None:
    net, _ = network("qwen2")
    with pytest.raises(ConfigError, match="partial_lora is to learn and InternVL has none"):
        train_only(net, "partial_lora")
    with pytest.raises(ConfigError, match="wheels is no part"):
        train_only(net, "wheels")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="all parts are frozen"):
        freeze(net, FreezeConfig(vit=True, projector=True, decoder=True))
