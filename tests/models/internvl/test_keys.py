"""The published and the library's names: strict both ways, and of the published number and size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.goldens import family_folder
from tests.models.internvl.published import (
    TEMPLATES,
    Parts,
    official_config,
    random_parts,
    random_tensors,
)
from tilewise.errors import WeightsError
from tilewise.models.internvl.config import NATIVE, OFFICIAL, InternVLConfig, read_config
from tilewise.models.internvl.keys import (
    NameForm,
    name_form,
    open_files,
    rules,
    stored_dtype,
)
from tilewise.weights.files import CONFIG, PICKLE, WEIGHTS, TensorFiles
from tilewise.weights.files import read_config as read_file
from tilewise.weights.keymap import load_weights, published

FORMS: list[NameForm] = ["official", "native", "native-memory"]


def golden_folders(kind: str) -> list[Path]:
    """Folders of goldens with a model of this ``model_type``."""
    root = family_folder("internvl")
    found = [path.parent for path in sorted(root.rglob(CONFIG))] if root else []
    return [
        folder
        for folder in found
        if (folder / WEIGHTS).is_file() and read_file(folder).get("model_type") == kind
    ]


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_weights_survive_the_way_out_and_back(
    tmp_path: Path, name: str, form: NameForm, is_large: bool
) -> None:
    config = official_config(name, is_large=is_large)
    cfg, parts = read_config(config), random_parts(config)
    tensors = random_tensors(config, form)
    save_file(tensors, tmp_path / WEIGHTS)
    files = TensorFiles(tmp_path)
    assert name_form(files.infos, tmp_path) == form
    read = Parts(cfg)
    load_weights(read, files, rules(cfg, form))
    assert same(read, parts)


@pytest.mark.parametrize("name", TEMPLATES)
def test_pickles_in_shards_are_read_too(tmp_path: Path, name: str) -> None:
    config = official_config(name)
    tensors = list(random_tensors(config).items())
    halves = {"a.bin": dict(tensors[::2]), "b.bin": dict(tensors[1::2])}
    for file, half in halves.items():
        torch.save(half, tmp_path / file)
    places = {name: file for file, half in halves.items() for name in half}
    index = str({"weight_map": places}).replace("'", '"')
    (tmp_path / f"{PICKLE}.index.json").write_text(index)
    read = Parts(read_config(config))
    load_weights(read, TensorFiles(tmp_path), rules(read_config(config)))
    assert same(read, random_parts(config))


@pytest.mark.parametrize("form", FORMS)
def test_what_is_missing_extra_or_misshapen_is_listed(tmp_path: Path, form: NameForm) -> None:
    config = official_config("Phi3ForCausalLM")
    tensors = random_tensors(config, form)
    gate_up = [name for name in tensors if "gate_up" in name]
    (head,) = [name for name in tensors if "lm_head" in name]
    (patch,) = [n for n in tensors if "patch_embed" in n and n.endswith("bias")]
    del tensors[gate_up[0]], tensors[head]
    tensors[patch] = tensors[patch][:3].clone()
    tensors["vision_model.head.weight"] = torch.zeros(1)
    save_file(tensors, tmp_path / WEIGHTS)
    cfg = read_config(config)
    with pytest.raises(WeightsError) as caught:
        load_weights(Parts(cfg), TensorFiles(tmp_path), rules(cfg, form))
    told = str(caught.value)
    assert "2 missing: " in told
    assert gate_up[0] in told
    assert "1 extra: vision_model.head.weight" in told
    assert f"1 misshapen, (3,) instead of (32,): {patch}" in told


def test_biases_and_norms_that_the_config_denies_are_extra(tmp_path: Path) -> None:
    save_file(random_tensors(official_config()), tmp_path / WEIGHTS)
    cfg = read_config(official_config(is_large=True))
    with pytest.raises(WeightsError, match=r"2 extra: .*|missing: .*attn.q_norm"):
        load_weights(Parts(cfg), TensorFiles(tmp_path), rules(cfg))


def test_rows_of_fused_tensors_lie_as_published() -> None:
    cfg = read_config(official_config())
    rows = torch.arange(8 * 12.0)[:, None]  # two key heads, each with two query heads, of 12
    (rule,) = [r for r in rules(cfg) if r.ours == "decoder.layers.{i}.attention.qkv.weight"]
    (qkv,) = rule.loaded([rows])
    assert qkv[:, 0].reshape(8, 12)[:, 0].tolist() == [0, 12, 48, 60, 24, 72, 36, 84]
    cfg = read_config(official_config("Phi3ForCausalLM"))
    (rule,) = [r for r in rules(cfg) if len(r.made) == 2]
    gate, up = rule.loaded([torch.arange(80.0)[:, None]])
    assert gate[:, 0].tolist() == list(range(40))
    assert up[:, 0].tolist() == list(range(40, 80))


def test_tensors_of_another_model_are_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"are not those of an InternVL \(model.norm.weight"):
        name_form(["model.norm.weight"], tmp_path)


@pytest.mark.parametrize(
    ("dtype", "said", "stored"),
    [("float32", None, torch.float32), (None, None, torch.bfloat16), ("bfloat16", "--dtype", None)],
)
def test_the_dtype_is_that_of_files_which_agree(
    tmp_path: Path, dtype: str | None, said: str | None, stored: torch.dtype | None
) -> None:
    config = official_config() | {"torch_dtype": dtype}
    kind = stored or torch.float32
    tensors = {name: value.to(kind) for name, value in random_tensors(official_config()).items()}
    save_file(tensors, tmp_path / WEIGHTS)
    cfg = read_config(config)
    if said is None:
        assert stored_dtype(TensorFiles(tmp_path), cfg) == stored
        return
    with pytest.raises(WeightsError, match="says bfloat16 and the tensors are in float32"):
        stored_dtype(TensorFiles(tmp_path), cfg)


def adapted(tensors: dict[str, Tensor], rank: int, layers: list[str]) -> dict[str, Tensor]:
    """Tensors as a run saves them whose language model has adapters, not merged."""
    draw = torch.Generator().manual_seed(1)
    made = {}
    for name, value in tensors.items():
        start, inner = name.split(".", 1)
        if start != "language_model":
            made[name] = value
            continue
        at = f"{start}.base_model.model.{inner}"
        layer, leaf = at.rsplit(".", 1)
        if not layer.endswith(tuple(layers)):
            made[at] = value
            continue
        made[f"{layer}.base_layer.{leaf}"] = value
        if leaf == "weight":
            for half, shape in (("A", (rank, value.shape[1])), ("B", (value.shape[0], rank))):
                made[f"{layer}.lora_{half}.default.weight"] = torch.randn(shape, generator=draw)
    return made


ADAPTED = {
    "InternLM2ForCausalLM": ["attention.wqkv", "attention.wo", "w1", "w2", "w3"],
    "Qwen2ForCausalLM": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj"],
    "Phi3ForCausalLM": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
}


@pytest.mark.parametrize("name", ADAPTED)
def test_adapters_are_merged_as_plain_arithmetic_has_it(tmp_path: Path, name: str) -> None:
    config = official_config(name) | {"use_llm_lora": 3}
    plain = random_tensors(config)
    tensors = adapted(plain, 3, ADAPTED[name])
    save_file(tensors, tmp_path / WEIGHTS)
    cfg = read_config(config)
    files = open_files(tmp_path, cfg)
    assert files.has_adapters
    assert files.infos.keys() == plain.keys()
    changed = 0
    for key, value in plain.items():
        at = key.replace("language_model.", "language_model.base_model.model.", 1)
        at = at.removesuffix(".weight")
        wanted = value
        if f"{at}.lora_A.default.weight" in tensors:
            a, b = (tensors[f"{at}.lora_{half}.default.weight"].double() for half in "AB")
            wanted = (value.double() + 2 * b @ a).float()
            changed += 1
        torch.testing.assert_close(files.read(key), wanted, rtol=1e-6, atol=1e-6)
    assert changed == 2 * len(ADAPTED[name])
    load_weights(Parts(cfg), files, rules(cfg))
    assert torch.equal(
        TensorFiles(tmp_path).read(next(iter(tensors))), tensors[next(iter(tensors))]
    )


def test_adapters_of_the_vision_encoder_are_merged(tmp_path: Path) -> None:
    config = official_config() | {"use_backbone_lora": 2}
    tensors = {}
    for name, value in random_tensors(config).items():
        start, inner = name.split(".", 1)
        key = f"{start}.base_model.model.{inner}" if start == "vision_model" else name
        tensors[key.replace("attn.proj.", "attn.proj.base_layer.")] = value
    for i in range(2):
        at = f"vision_model.base_model.model.encoder.layers.{i}.attn.proj"
        tensors[f"{at}.lora_A.default.weight"] = torch.ones(2, 32)
        tensors[f"{at}.lora_B.default.weight"] = torch.ones(32, 2)
    save_file(tensors, tmp_path / WEIGHTS)
    files = open_files(tmp_path, read_config(config))
    name = "vision_model.encoder.layers.1.attn.proj"
    before = random_tensors(config)
    assert torch.equal(files.read(f"{name}.weight"), before[f"{name}.weight"] + 4)
    assert torch.equal(files.read(f"{name}.bias"), before[f"{name}.bias"])


def spoiled(name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A config and tensors with adapters of which something is wrong."""
    config = official_config() | {"use_llm_lora": 3}
    tensors = adapted(random_tensors(config), 3, ["attention.wo"])
    at = "language_model.base_model.model.model.layers.1.attention.wo"
    match name:
        case "half":
            del tensors[f"{at}.lora_B.default.weight"]
        case "base":
            del tensors[f"{at}.base_layer.weight"]
        case "shape":
            tensors[f"{at}.lora_A.default.weight"] = torch.zeros(3, 7)
        case "rank":
            config["use_llm_lora"] = 4
        case "none":
            config["use_llm_lora"] = 0
        case "plain":
            tensors = random_tensors(config)
        case "twice":
            tensors["language_model.model.layers.1.attention.wo.weight"] = torch.zeros(48, 48)
        case "elsewhere":
            tensors["mlp1.1.lora_A.default.weight"] = torch.zeros(3, 128)
            tensors["mlp1.1.lora_B.default.weight"] = torch.zeros(48, 3)
    return config, tensors


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("half", "without their other half .*layers.1.attention.wo.lora_A"),
        ("base", "or their weight"),
        ("shape", "of shapes that do not fit"),
        ("rank", "use_llm_lora 4 and the adapters in language_model.* have rank 3"),
        ("none", "use_llm_lora 0 and the adapters"),
        ("plain", "use_llm_lora 3 and the adapters .* have rank 0"),
        ("twice", "the same tensor saved with and without adapters"),
        ("elsewhere", "mlp1.1.lora_A.default.weight is an adapter where none can be"),
    ],
)
def test_adapters_that_cannot_be_are_told(tmp_path: Path, name: str, says: str) -> None:
    config, tensors = spoiled(name)
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(WeightsError, match=says):
        open_files(tmp_path, read_config(config))


@pytest.mark.golden
@pytest.mark.parametrize(
    "folder", golden_folders(OFFICIAL) + golden_folders(NATIVE), ids=lambda path: path.name
)
def test_a_published_model_is_read_and_given_back(folder: Path) -> None:
    cfg, files = read_config(read_file(folder)), TensorFiles(folder)
    table, parts = rules(cfg, name_form(files.infos, folder)), Parts(cfg)
    load_weights(parts, files, table)
    back = dict(published(parts, table))
    assert back.keys() == files.infos.keys()
    assert all(torch.equal(value, files.read(name)) for name, value in back.items())


@pytest.mark.golden
@pytest.mark.parametrize("folder", golden_folders(NATIVE), ids=lambda path: path.name)
def test_the_native_form_of_a_published_model_is_that_model(folder: Path) -> None:
    native = loaded(folder)
    twins = [other for other in golden_folders(OFFICIAL) if same(native, loaded(other))]
    assert twins
    one, other = (read_config(read_file(path)) for path in (folder, twins[0]))
    assert (one.vision, one.decoder) == (other.vision, other.decoder)


def loaded(folder: Path) -> Parts:
    """The weights of a folder in either form."""
    cfg: InternVLConfig = read_config(read_file(folder))
    files, parts = TensorFiles(folder), Parts(cfg)
    load_weights(parts, files, rules(cfg, name_form(files.infos, folder)))
    return parts
