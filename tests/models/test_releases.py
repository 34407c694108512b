"""The releases: their ids, and the numbers that their files have."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from tilewise.models.folders import HUB_ID
from tilewise.models.internvl.keys import rules
from tilewise.models.internvl.network import InternVL
from tilewise.models.internvl.sizes import SIZES, Size
from tilewise.models.releases import RELEASES, network
from tilewise.weights.keymap import published
from tilewise.weights.valueless import valueless


@cache
def shapes(size: Size, form: str = "official") -> dict[str, torch.Size]:
    """Names and shapes of a released model in bfloat16, without its values."""
    cfg = SIZES[size]
    made = valueless(lambda: InternVL(cfg), torch.bfloat16)
    table = rules(cfg, "official" if form == "official" else "native")
    return {name: value.shape for name, value in published(made, table)}


@pytest.mark.parametrize(
    ("size", "vision", "projector", "language", "total"),
    [
        ("1B", 304.01, 4.48, 629.66, 938.159),
        ("2B", 304.01, 12.60, 1889.15, 2205.754),
        ("4B", 304.01, 22.03, 3820.81, 4146.856),
        ("26B", 5536.50, 116.43, 19861.26, 25514.19),
    ],
)
def test_released_models_have_the_published_parameters(
    size: Size, vision: float, projector: float, language: float, total: float
) -> None:
    counts = {"vision_model": 0, "mlp1": 0, "language_model": 0}
    for name, shape in shapes(size).items():
        counts[name.partition(".")[0]] += shape.numel()
    millions = [count / 1e6 for count in counts.values()]
    assert millions == pytest.approx([vision, projector, language], abs=0.005)
    assert sum(millions) == pytest.approx(total, abs=0.0005 if size != "26B" else 0.005)


@pytest.mark.parametrize(("size", "count"), [("2B", 517), ("4B", 541), ("26B", 934)])
def test_released_models_have_the_published_number_of_tensors(size: Size, count: int) -> None:
    assert len(shapes(size)) == count


@pytest.mark.parametrize(("size", "gigabytes"), [("1B", (1.88,)), ("4B", (4.96, 3.34))])
def test_released_models_have_the_published_size_in_bytes(
    size: Size, gigabytes: tuple[float, ...]
) -> None:
    count = sum(2 * shape.numel() for shape in shapes(size).values())
    assert count / 1e9 == pytest.approx(sum(gigabytes), abs=0.01)


def test_fused_tensors_have_the_published_shapes() -> None:
    layer = "language_model.model.layers.0"
    assert shapes("2B")[f"{layer}.attention.wqkv.weight"] == (4096, 2048)
    assert shapes("26B")[f"{layer}.attention.wqkv.weight"] == (8192, 6144)
    assert shapes("4B")[f"{layer}.self_attn.qkv_proj.weight"] == (9216, 3072)
    assert shapes("4B")[f"{layer}.mlp.gate_up_proj.weight"] == (16_384, 3072)
    assert shapes("1B")["language_model.lm_head.weight"] == (151_655, 896)
    assert shapes("26B")["vision_model.encoder.layers.44.attn.q_norm.weight"] == (3200,)


def test_the_native_form_has_the_same_parameters() -> None:
    for size in SIZES:
        native = shapes(size, "native")
        assert sum(shape.numel() for shape in native.values()) == sum(
            shape.numel() for shape in shapes(size).values()
        )


def test_releases_are_hub_ids_of_known_sizes() -> None:
    assert len({release.hub_id for release in RELEASES}) == len(RELEASES) == 19
    for release in RELEASES:
        assert HUB_ID.fullmatch(release.hub_id)
    kinds = {(release.family, release.size): release for release in RELEASES}
    for release in kinds.values():
        weights = network(release).state_dict().values()
        assert {weight.device.type for weight in weights} == {"meta"}
        assert {weight.dtype for weight in weights} == {torch.bfloat16}
