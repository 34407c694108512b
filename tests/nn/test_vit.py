"""The vision transformer of every kind equals its formulas, and changes only as it says."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tilewise.errors import ConfigError
from tilewise.nn.vit import ViT, ViTConfig, ViTLayer

CLIP = ViTConfig(tile=12, patch=4, width=8, layers=3, heads=2, mlp=10)
LAYER_NORM = replace(
    CLIP,
    has_pre_norm=False,
    has_patch_bias=True,
    activation="gelu",
    has_layer_scale=True,
    norm_eps=1e-6,
)
RMS = replace(LAYER_NORM, norm="rms", has_qk_norm=True, has_qkv_bias=False)
KINDS = {"CLIP": CLIP, "InternViT, layer norm": LAYER_NORM, "InternViT, rms and q/k norm": RMS}


def built(cfg: ViTConfig) -> ViT:
    """Random weights in every parameter, the same each time."""
    vit, generator = ViT(cfg), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in vit.parameters():
            weight.copy_(0.4 * torch.randn(weight.shape, generator=generator))
    return vit.eval()


def pixels(count: int = 2, height: int = 12, width: int = 12) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def layers(vit: ViT) -> list[ViTLayer]:
    return list(cast("Iterable[ViTLayer]", vit.layers))


@pytest.mark.parametrize("cfg", KINDS.values(), ids=KINDS)
def test_the_encoder_equals_its_formulas(cfg: ViTConfig) -> None:
    vit, x = built(cfg), pixels()
    with torch.no_grad():
        found = vit(x)
        wanted = torch.stack([_textbook(vit.state_dict(), cfg, tile) for tile in x])
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_kinds_differ_in_their_weights() -> None:
    names = {kind: set(ViT(cfg).state_dict()) for kind, cfg in KINDS.items()}
    plain, layer, rms = names.values()
    scales = {f"layers.{i}.{name}" for i in range(3) for name in ("scale", "mlp_scale")}
    assert layer - plain == scales | {"patch.bias"}
    assert plain - layer == {"pre_norm.weight", "pre_norm.bias"}
    assert rms - layer == {f"layers.{i}.{name}_norm.weight" for i in range(3) for name in "qk"}
    biases = {f"layers.{i}.{name}.bias" for i in range(3) for name in ("norm", "mlp_norm", "qkv")}
    assert layer - rms == biases


def test_queries_are_normed_over_all_heads_together() -> None:
    cfg = replace(RMS, layers=1, norm_eps=1e-12)
    vit = built(cfg)
    (layer,) = layers(vit)
    with torch.no_grad():
        before = vit(pixels())
        layer.qkv.weight[: cfg.width] *= 3  # all queries: their norm takes it away again
        torch.testing.assert_close(vit(pixels()), before)
        layer.out.weight[:] = torch.eye(cfg.width)
        layer.down.weight.zero_()  # now each head shows in channels of its own
        before = vit(pixels())
        layer.qkv.weight[: cfg.width // cfg.heads] *= 3  # those of the first head
        after = vit(pixels())
    assert not torch.allclose(before[..., cfg.width // 2 :], after[..., cfg.width // 2 :])


def test_positions_of_the_native_size_are_the_table_itself() -> None:
    vit = built(LAYER_NORM)
    patches = torch.cat([vit.cls.expand(2, 1, -1), vit.patch(pixels()).flatten(2).mT], dim=1)
    assert torch.equal(vit.embed(pixels()), patches + vit.positions)


@pytest.mark.parametrize(("rows", "cols"), [(3, 5), (1, 2), (7, 3), (6, 6)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_positions_are_stretched_to_other_sizes(rows: int, cols: int, dtype: torch.dtype) -> None:
    vit = built(LAYER_NORM).to(dtype)
    x = torch.zeros(1, 3, 4 * rows, 4 * cols, dtype=dtype)
    with torch.no_grad():
        found = vit.embed(x)[0]
        flat = vit.patch(x)[0].flatten(1).mT
        table = vit.positions[1:].float().view(3, 3, -1)
        wide = torch.einsum("hr,wc,rcd->hwd", _bicubic(3, rows), _bicubic(3, cols), table)
        patches = flat + wide.flatten(0, 1).to(dtype)
        wanted = torch.cat([(vit.cls + vit.positions[0])[None], patches])
    torch.testing.assert_close(found, wanted)
    assert vit(x).shape == (1, rows * cols, 8)


@pytest.mark.parametrize(("height", "width"), [(13, 12), (12, 10), (3, 12), (0, 12)])
def test_pixels_that_are_no_whole_patches_are_refused(height: int, width: int) -> None:
    with pytest.raises(ConfigError, match=f"{width}x{height} px.*whole patches of 4 px"):
        ViT(CLIP)(torch.zeros(1, 3, height, width))


@pytest.mark.parametrize("count", range(4))
def test_the_selected_layer_is_counted_from_either_end(count: int) -> None:
    vit = built(RMS)
    x = vit.embed(pixels())
    for layer in layers(vit)[:count]:
        x = layer(x)
    for index in (count, count - 4):
        vit.cfg = replace(RMS, select_layer=index)
        assert torch.equal(vit(pixels()), x[:, 1:])


def test_layers_behind_the_selected_one_do_not_run() -> None:
    vit = built(replace(RMS, select_layer=-2))
    layers(vit)[2].register_forward_hook(lambda *_: pytest.fail("ran"))
    vit(pixels())


@pytest.mark.parametrize("changes", [{"select_layer": 4}, {"select_layer": -5}])
def test_a_layer_that_is_not_there_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="3 layers of the vision encoder allow -4 to 3"):
        replace(CLIP, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [-0.1, 1.0, math.nan])
def test_a_drop_path_that_leaves_nothing_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="0 <= drop path < 1"):
        replace(CLIP, drop_path=share)


def test_drop_path_grows_evenly_and_rests_outside_of_training() -> None:
    vit, plain = built(replace(LAYER_NORM, drop_path=0.4)), built(LAYER_NORM)
    assert [layer.drop for layer in layers(vit)] == pytest.approx([0, 0.2, 0.4])
    assert torch.equal(vit(pixels()), plain(pixels()))
    assert torch.equal(plain.train()(pixels()), plain.eval()(pixels()))


@pytest.mark.parametrize("cfg", [CLIP, RMS], ids=["plain", "with layer scale"])
def test_drop_path_leaves_out_whole_tiles_and_keeps_the_mean(cfg: ViTConfig) -> None:
    vit = built(replace(cfg, drop_path=0.5, layers=2))
    layer, x = layers(vit)[1], vit.embed(pixels(1)).detach().expand(4000, -1, -1)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(2)
        layer.down.weight.zero_()
        assert layer.down.bias is not None
        layer.down.bias.zero_()  # attention alone is left
        added = layer.eval()(x[:1]) - x[:1]
        found = layer.train()(x) - x
    is_kept = found.flatten(1).any(1)
    assert 0.45 < is_kept.float().mean() < 0.55
    torch.testing.assert_close(found[is_kept], (2 * added).expand(int(is_kept.sum()), -1, -1))
    torch.testing.assert_close(found.mean(0), added[0] * 2 * is_kept.float().mean())


@pytest.mark.parametrize("cfg", KINDS.values(), ids=KINDS)
def test_gradients_reach_every_weight_and_survive_checkpoints(cfg: ViTConfig) -> None:
    vit = built(replace(cfg, drop_path=0.3)).train()
    x = pixels(3, 8, 16)

    def gradients(is_checkpointed: bool) -> dict[str, Tensor]:
        vit.zero_grad()
        with torch.random.fork_rng():
            torch.manual_seed(5)
            hidden = vit.embed(x)
            for layer in layers(vit):
                run: Any = checkpoint if is_checkpointed else lambda f, y, **_: f(y)
                hidden = run(layer, hidden, use_reentrant=False)
            hidden[:, 1:].square().sum().backward()
        return {name: weight.grad for name, weight in vit.named_parameters()}  # type: ignore[misc]

    plain, kept = gradients(is_checkpointed=False), gradients(is_checkpointed=True)
    for name, grad in plain.items():
        assert grad is not None, name
        assert grad.any(), name
        torch.testing.assert_close(kept[name], grad)


def _textbook(w: dict[str, Tensor], cfg: ViTConfig, tile: Tensor) -> Tensor:
    """One square tile, patch by patch and head by head."""
    side, p = cfg.tile // cfg.patch, cfg.patch
    kernel = w["patch.weight"].flatten(1)
    cuts = [tile[:, p * i : p * i + p, p * j : p * j + p] for i in range(side) for j in range(side)]
    patches = torch.stack([kernel @ cut.flatten() for cut in cuts])
    if cfg.has_patch_bias:
        patches = patches + w["patch.bias"]
    x = torch.cat([w["cls"][None], patches]) + w["positions"]
    if cfg.has_pre_norm:
        x = _norm(w, "pre_norm", x, cfg)
    for i in range(cfg.layers):
        at = f"layers.{i}"
        x = x + w.get(f"{at}.scale", torch.ones(1)) * _attention(w, at, x, cfg)
        y = _linear(w, f"{at}.up", _norm(w, f"{at}.mlp_norm", x, cfg))
        if cfg.activation == "gelu":
            y = y * 0.5 * (1 + torch.erf(y / math.sqrt(2)))
        else:
            y = y / (1 + torch.exp(-1.702 * y))
        x = x + w.get(f"{at}.mlp_scale", torch.ones(1)) * _linear(w, f"{at}.down", y)
    return x[1:]


def _attention(w: dict[str, Tensor], at: str, x: Tensor, cfg: ViTConfig) -> Tensor:
    q, k, v = _linear(w, f"{at}.qkv", _norm(w, f"{at}.norm", x, cfg)).split(cfg.width, dim=-1)
    if cfg.has_qk_norm:
        q, k = (_rms(y, w[f"{at}.{n}_norm.weight"], cfg.norm_eps) for y, n in ((q, "q"), (k, "k")))
    size = cfg.width // cfg.heads
    seen = []
    for head in range(cfg.heads):
        own = slice(head * size, head * size + size)
        scores = (q[:, own] * size**-0.5) @ k[:, own].T
        seen.append(scores.softmax(-1) @ v[:, own])
    return _linear(w, f"{at}.out", torch.cat(seen, -1))


def _linear(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    y = x @ w[f"{name}.weight"].T
    return y + w[f"{name}.bias"] if f"{name}.bias" in w else y


def _norm(w: dict[str, Tensor], name: str, x: Tensor, cfg: ViTConfig) -> Tensor:
    if cfg.norm == "rms":
        return _rms(x, w[f"{name}.weight"], cfg.norm_eps)
    x = x - x.mean(-1, keepdim=True)
    y = x / torch.sqrt(x.square().mean(-1, keepdim=True) + cfg.norm_eps)
    return y * w[f"{name}.weight"] + w[f"{name}.bias"]


def _rms(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def _bicubic(old: int, new: int) -> Tensor:
    """Weights (new, old) of cubic convolution with a = -0.75, edges repeated."""
    weights = torch.zeros(new, old)
    for i in range(new):
        centre = (i + 0.5) * old / new - 0.5
        first = math.floor(centre) - 1
        for j in range(first, first + 4):
            d, a = abs(centre - j), -0.75
            near, far = (a + 2) * d**3 - (a + 3) * d**2 + 1, a * (d**3 - 5 * d**2 + 8 * d - 4)
            weights[i, min(max(j, 0), old - 1)] += near if d <= 1 else far
    return weights
