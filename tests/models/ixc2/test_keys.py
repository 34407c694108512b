"""The published names and shapes, and checkpoints that are of a relative."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.models.ixc2.making import SMALL, small_reader
from tilewise.errors import WeightsError
from tilewise.models.ixc2.config import Ixc2Config
from tilewise.models.ixc2.keys import (
    NEWLINE,
    POSITIONS,
    PROJECTOR,
    QKV_RANK,
    VIEW_SEPARATOR,
    VIT,
    check_kind,
    rules,
)
from tilewise.models.ixc2.network import Ixc2
from tilewise.weights.keymap import published

Shape = tuple[int, ...]
HERE = Path("checkpoint")


@pytest.fixture(scope="module")
def released() -> dict[str, Shape]:
    """Names and shapes of the released model in bfloat16, without its values."""
    cfg = Ixc2Config()
    with torch.device("meta"):
        network = Ixc2(cfg).to(torch.bfloat16)
    found = dict(published(network, rules(cfg)))
    assert {value.dtype for value in found.values()} == {torch.bfloat16}
    return {name: tuple(value.shape) for name, value in found.items()}


def _wanted() -> dict[str, Shape]:
    """The table of the published files, written out on its own."""
    linears = {
        "attention.wqkv": (6144, 4096, 8),
        "attention.wo": (4096, 4096, 256),
        "feed_forward.w1": (14336, 4096, 256),
        "feed_forward.w3": (14336, 4096, 256),
        "feed_forward.w2": (4096, 14336, 256),
    }
    names: dict[str, Shape] = {
        "model.tok_embeddings.weight": (92544, 4096),
        "model.norm.weight": (4096,),
        "output.weight": (92544, 4096),
        "plora_glb_GN": (1, 1, 4096),
        "plora_sub_GN": (1, 1, 1, 4096),
        f"{VIT}.embeddings.class_embedding": (1024,),
        f"{VIT}.embeddings.patch_embedding.weight": (1024, 3, 14, 14),
        f"{VIT}.embeddings.position_embedding.weight": (577, 1024),
    }
    for i in (0, 2):
        names |= {f"vision_proj.{i}.weight": (4096, 4096), f"vision_proj.{i}.bias": (4096,)}
    for i in range(32):
        at = f"model.layers.{i}"
        names |= {f"{at}.{norm}.weight": (4096,) for norm in ("attention_norm", "ffn_norm")}
        for name, (rows, cols, rank) in linears.items():
            names[f"{at}.{name}.weight"] = (rows, cols)
            names[f"{at}.{name}.Plora_A.weight"] = (rank, cols)
            names[f"{at}.{name}.Plora_B.weight"] = (rows, rank)
    linear = {f"self_attn.{part}_proj": (1024, 1024) for part in ("q", "k", "v", "out")}
    linear |= {"mlp.fc1": (4096, 1024), "mlp.fc2": (1024, 4096)}
    norms = [f"{VIT}.pre_layrnorm"]
    for i in range(24):
        at = f"{VIT}.encoder.layers.{i}"
        norms += [f"{at}.layer_norm1", f"{at}.layer_norm2"]
        names |= {f"{at}.{name}.weight": shape for name, shape in linear.items()}
        names |= {f"{at}.{name}.bias": shape[:1] for name, shape in linear.items()}
    for norm in norms:
        names |= {f"{norm}.weight": (1024,), f"{norm}.bias": (1024,)}
    return names


def test_the_released_model_has_the_published_names_and_shapes(released: dict[str, Shape]) -> None:
    assert released == _wanted()
    assert len(released) == 942


def test_the_released_model_has_the_published_size_in_bytes(released: dict[str, Shape]) -> None:
    sizes = [2 * torch.Size(shape).numel() for shape in released.values()]
    assert sum(sizes) == 17_194_999_808


def test_every_tensor_survives_the_way_out_and_back() -> None:
    network = small_reader().network
    table = rules(SMALL)
    ours = network.state_dict()
    theirs = dict(published(network, table))
    for rule in table:
        if not rule.made:
            continue
        back = rule.loaded(theirs[part.format(i=0)] for part in rule.theirs)
        for name, value in zip(rule.made, back, strict=True):
            assert torch.equal(value, ours[name.format(i=0)]), name


def test_wqkv_rows_lie_by_key_head() -> None:
    cfg, size = SMALL.decoder, SMALL.decoder.head_size
    (rule,) = [r for r in rules(SMALL) if r.ours == "decoder.layers.{i}.attention.qkv.weight"]
    group = torch.arange(cfg.kv_heads * (cfg.heads // cfg.kv_heads + 2) * size)[:, None]
    (rows,) = rule.loaded([group])
    q, k, v = rows.split([cfg.width, cfg.kv_heads * size, cfg.kv_heads * size])
    per_group = (cfg.heads // cfg.kv_heads + 2) * size
    assert q[:size, 0].tolist() == list(range(size))
    assert q[3 * size, 0] == per_group  # the fourth query head is the first of the second group
    assert k[0, 0] == 3 * size
    assert v[size, 0] == per_group + 4 * size


def test_the_released_shapes_are_known_as_this_model(released: dict[str, Shape]) -> None:
    check_kind(released, Ixc2Config(), HERE)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (  # InternLM-XComposer2-VL
            {VIEW_SEPARATOR: None, NEWLINE: None, PROJECTOR: (4096, 1024)},
            "none instead of 4096 channels in the separator .*, 1024 instead of 4096 channels",
        ),
        (  # InternLM-XComposer2.5
            {POSITIONS: (1601, 1024), QKV_RANK: (256, 4096)},
            "1601 instead of 577 vision positions, 256 instead of 8 as the rank",
        ),
        ({QKV_RANK: None}, "none instead of 8 as the rank"),
        ({PROJECTOR: ()}, "none instead of 4096 channels into the projector"),
    ],
)
def test_a_relative_is_refused_in_one_sentence(
    released: dict[str, Shape], changes: dict[str, Shape | None], told: str
) -> None:
    shapes = {name: changes.get(name, shape) for name, shape in released.items()}
    with pytest.raises(WeightsError, match=told) as caught:
        check_kind({n: s for n, s in shapes.items() if s is not None}, Ixc2Config(), HERE)
    assert str(caught.value).startswith("checkpoint: is no InternLM-XComposer2-4KHD")
    assert "\n" not in str(caught.value)
