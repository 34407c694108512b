"""Adapters are written and read back in the forms that other programs know."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.adapt.making import KINDS, network, run, stir
from tests.models.internvl import making as internvl
from tilewise.adapt.files import load_adapter, load_parts, save_adapter, save_parts
from tilewise.adapt.lora import (
    DECODER_TARGETS,
    VIT_TARGETS,
    LoraConfig,
    adapters,
    attach,
    detach,
    merge,
)
from tilewise.adapt.unmerged import Unmerged, save_unmerged
from tilewise.errors import WeightsError
from tilewise.models.internvl.keys import open_files
from tilewise.models.internvl.keys import rules as internvl_rules
from tilewise.models.internvl.network import InternVL
from tilewise.weights.keymap import load_weights

BOTH = LoraConfig(rank=2, targets=(*DECODER_TARGETS, *VIT_TARGETS))


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_adapter_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    net, rules = network(kind)
    base = copy.deepcopy(net)
    attach(net, LoraConfig(rank=3, alpha=4.0, dropout=0.1), rules)
    attach(net, LoraConfig(rank=2, alpha=5.0, dropout=0.1, targets=VIT_TARGETS), rules)
    stir(net)
    save_adapter(net, tmp_path, rules, base="some/base")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    names = load_adapter(base, tmp_path, rules)
    kept, found = adapters(net), adapters(base)
    assert sorted(names) == sorted(kept)
    for name, adapter in kept.items():
        assert torch.equal(found[name].a, adapter.a)
        assert torch.equal(found[name].b, adapter.b)
        assert (found[name].scale, found[name].dropout) == (adapter.scale, adapter.dropout)
    assert torch.equal(run(base), run(net))


def test_names_and_settings_are_those_of_peft(tmp_path: Path) -> None:
    net, rules = network("qwen2")
    attach(net, LoraConfig(rank=2), rules)
    save_adapter(net, tmp_path, rules, base="some/base")
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    at = "base_model.model.language_model.model.layers.0"
    width, kv = net.cfg.decoder.width, net.cfg.decoder.kv_heads * net.cfg.decoder.head_size
    assert tensors[f"{at}.self_attn.k_proj.lora_A.weight"].shape == (2, width)
    assert tensors[f"{at}.self_attn.k_proj.lora_B.weight"].shape == (kv, 2)
    assert len(tensors) == 2 * 7 * net.cfg.decoder.layers
    settings = json.loads((tmp_path / "adapter_config.json").read_text())
    assert settings["peft_type"] == "LORA"
    assert (settings["r"], settings["lora_alpha"], settings["lora_dropout"]) == (2, 4.0, 0.05)
    assert settings["base_model_name_or_path"] == "some/base"
    assert "language_model.model.layers.1.mlp.down_proj" in settings["target_modules"]


def test_what_a_published_pair_adds_is_what_ours_adds(tmp_path: Path) -> None:
    """B @ A of a published layer, added to its published weight, is our merged weight."""
    for kind in KINDS:
        net, rules = network(kind)
        merged = copy.deepcopy(net)
        for some in (net, merged):
            attach(some, BOTH, rules)
            stir(some)
        merge(merged)
        from tilewise.adapt.published import published_adapters
        from tilewise.weights.keymap import published

        before, after = (dict(published(some, rules)) for some in (_plain(net), merged))
        for name, half in published_adapters(net, rules).items():
            added = half.scale * half.b @ half.a
            torch.testing.assert_close(after[f"{name}.weight"], before[f"{name}.weight"] + added)


def _plain(net: Any) -> Any:
    copied = copy.deepcopy(net)
    detach(copied)
    return copied


def test_an_adapter_of_the_language_model_alone_is_known_by_its_names(tmp_path: Path) -> None:
    net, rules = network("internlm2")
    base = copy.deepcopy(net)
    attach(net, LoraConfig(rank=2), rules)
    stir(net)
    save_adapter(net, tmp_path, rules)
    path = tmp_path / "adapter_model.safetensors"
    save_file({n.replace("language_model.", ""): t for n, t in load_file(path).items()}, path)
    load_adapter(base, tmp_path, rules)
    assert torch.equal(run(base), run(net))


def test_absent_parts_of_a_layer_add_nothing(tmp_path: Path) -> None:
    net, rules = network("qwen2")
    base = copy.deepcopy(net)
    attach(net, LoraConfig(rank=2), rules)
    stir(net)
    save_adapter(net, tmp_path, rules)
    path = tmp_path / "adapter_model.safetensors"
    save_file({n: t for n, t in load_file(path).items() if ".q_proj." in n}, path)
    load_adapter(base, tmp_path, rules)
    delta = adapters(base)["decoder.layers.0.attention.qkv"].delta()
    width = net.cfg.decoder.width
    assert delta[:width].abs().max() > 0
    assert not delta[width:].any()


@pytest.mark.parametrize("kind", ["internlm2", "qwen2", "phi3"])
def test_a_model_saved_with_its_adapters_is_read_merged_and_apart(
    kind: str, tmp_path: Path
) -> None:
    net, rules = network(kind)
    attach(net, BOTH, rules)
    stir(net)
    save_unmerged(net, tmp_path, rules, {"model_type": "internvl_chat"})
    assert json.loads((tmp_path / "config.json").read_text()) == {
        "model_type": "internvl_chat",
        "use_backbone_lora": 2,
        "use_llm_lora": 2,
    }
    files = Unmerged(tmp_path)
    apart = InternVL(net.cfg)
    load_weights(apart, files, rules)
    files.attach(apart.eval(), rules, dropout=0.05)
    torch.testing.assert_close(run(apart), run(net), rtol=0, atol=0)
    from dataclasses import replace

    merged = InternVL(net.cfg).eval()
    load_weights(merged, open_files(tmp_path, replace(net.cfg, vision_lora=2, text_lora=2)), rules)
    torch.testing.assert_close(run(merged), run(net), rtol=1e-4, atol=1e-4)


def test_the_names_of_an_unmerged_model_are_the_official_ones(tmp_path: Path) -> None:
    net, rules = network("internlm2")
    attach(net, LoraConfig(rank=2), rules)
    save_unmerged(net, tmp_path, rules, {})
    names = load_file(tmp_path / "model.safetensors").keys()
    at = "language_model.base_model.model.model.layers.0.attention.wqkv"
    assert {f"{at}.base_layer.weight", f"{at}.lora_A.default.weight"} <= names
    assert f"{at}.lora_B.default.weight" in names
    assert "language_model.base_model.model.output.weight" in names
    assert "vision_model.encoder.layers.0.attn.qkv.weight" in names  # not wrapped
    assert "mlp1.0.weight" in names


def test_a_folder_without_adapters_is_a_plain_model(tmp_path: Path) -> None:
    cfg = internvl.SMALL
    net, rules = internvl.small_reader(cfg).network, internvl_rules(cfg)
    from tilewise.weights.keymap import published

    save_file({n: t.contiguous() for n, t in published(net, rules)}, tmp_path / "model.safetensors")
    files = Unmerged(tmp_path)
    other = InternVL(cfg).eval()
    load_weights(other, files, rules)
    assert files.attach(other, rules) == []
    assert torch.equal(run(other), run(net))


def test_partial_lora_alone_is_saved_and_read(tmp_path: Path) -> None:
    net, rules = network("ixc2")
    save_parts(net, tmp_path, rules, ("partial_lora", "separators"))
    names = load_file(tmp_path / "parts.safetensors").keys()
    assert "model.layers.0.attention.wqkv.Plora_A.weight" in names
    assert "plora_glb_GN" in names
    assert "model.norm.weight" not in names
    other, _ = network("ixc2")
    for name, value in other.named_parameters():
        if "lora_" in name or name in ("newline", "view_separator"):
            value.data.zero_()
    assert not torch.equal(run(other), run(net))
    load_parts(other, tmp_path, rules)
    assert torch.equal(run(other), run(net))
    qwen, qwen_rules = network("qwen2")
    with pytest.raises(WeightsError, match="do not fit InternVL"):
        load_parts(qwen, tmp_path, qwen_rules)
    with pytest.raises(WeightsError, match="nothing of partial_lora"):
        save_parts(qwen, tmp_path / "none", qwen_rules, ("partial_lora",))


def _saved(tmp_path: Path) -> tuple[Any, Any]:
    net, rules = network("internlm2")
    base = copy.deepcopy(net)
    attach(net, LoraConfig(rank=2), rules)
    save_adapter(net, tmp_path, rules)
    return base, rules


def _edit(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"peft_type": "LOHA"}, "peft_type is 'LOHA'"),
        ({"use_dora": True}, "use_dora is True"),
        ({"bias": "all"}, "bias is 'all'"),
        ({"modules_to_save": ["output"]}, "modules_to_save"),
        ({"lora_alpha": "much"}, "lora_alpha is 'much'"),
    ],
)
def test_settings_with_another_meaning_are_refused(
    fields: dict[str, object], said: str, tmp_path: Path
) -> None:
    base, rules = _saved(tmp_path)
    _edit(tmp_path / "adapter_config.json", **fields)
    with pytest.raises(WeightsError, match=said):
        load_adapter(base, tmp_path, rules)
    assert not adapters(base)


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    base, rules = _saved(tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    whole = load_file(path)
    first = next(iter(whole))
    cases = {
        "halves": {n: t for n, t in whole.items() if n != first},
        "has not": {f"base_model.model.other.{n[17:]}": t for n, t in whole.items()},
        "its layer": {n: t[:, :3] if "lora_A" in n else t for n, t in whole.items()},
    }
    for said, tensors in cases.items():
        save_file({n: t.contiguous() for n, t in tensors.items()}, path)
        with pytest.raises(WeightsError, match=said):
            load_adapter(base, tmp_path, rules)
        assert not adapters(base)
    path.write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match="damaged"):
        load_adapter(base, tmp_path, rules)
    path.unlink()
    with pytest.raises(WeightsError, match="missing"):
        load_adapter(base, tmp_path, rules)


def test_a_scale_that_the_unmerged_form_cannot_say_is_refused(tmp_path: Path) -> None:
    net, rules = network("qwen2")
    with pytest.raises(WeightsError, match="no adapters"):
        save_adapter(net, tmp_path, rules)
    attach(net, LoraConfig(rank=2, alpha=2.0), rules)
    with pytest.raises(WeightsError, match="alpha twice the rank"):
        save_unmerged(net, tmp_path, rules, {})
    assert not (tmp_path / "model.safetensors").exists()


def test_rslora_scales_by_the_root_of_the_rank(tmp_path: Path) -> None:
    base, rules = _saved(tmp_path)
    _edit(tmp_path / "adapter_config.json", use_rslora=True)
    load_adapter(base, tmp_path, rules)
    assert {a.scale for a in adapters(base).values()} == {4 / 2**0.5}
