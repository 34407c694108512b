"""Weights as small integers: how near they are, and that they are told apart and checked."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from tilewise.errors import ConfigError, MissingExtraError, WeightsError
from tilewise.weights import quantised
from tilewise.weights.convert import convert
from tilewise.weights.files import WEIGHTS, TensorFiles
from tilewise.weights.keymap import KeyRule, load_weights
from tilewise.weights.quantised import SCHEMES, Form, check_runs, fill, form_of, hollow

FORMS: tuple[Form, ...] = ("int8", "int4")
RULES = (
    KeyRule(
        theirs=tuple(f"{{i}}.{part}.weight" for part in "qkv"),
        ours="{i}.weight",
        load=lambda *parts: torch.cat(parts),
        store=lambda whole: whole.chunk(3),
    ),
    KeyRule(theirs=("{i}.bias",), ours="{i}.bias"),
)


def weight(rows: int, columns: int, seed: int = 0, size: float = 1.0) -> Tensor:
    return size * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@given(
    rows=st.integers(1, 9), groups=st.integers(1, 5), seed=st.integers(0, 99),
    exponent=st.integers(-12, 12),
)  # fmt: skip
def test_int8_is_half_a_step_away_at_most(rows: int, groups: int, seed: int, exponent: int) -> None:
    wanted = weight(rows, 7 * groups, seed, 2.0**exponent)
    values, scale = SCHEMES["int8"].split(wanted)
    error = (SCHEMES["int8"].join(values, scale) - wanted).abs()
    assert bool((error <= 0.5001 * scale).all())


@given(
    rows=st.integers(1, 9), groups=st.integers(1, 9), seed=st.integers(0, 99),
    exponent=st.integers(-8, 12),
)  # fmt: skip
def test_int4_is_near_half_a_step_away_at_most(
    rows: int, groups: int, seed: int, exponent: int
) -> None:
    wanted = weight(rows, 32 * groups, seed, 2.0**exponent)
    packed, scale, middle = SCHEMES["int4"].split(wanted)
    group = 32 * groups // scale.shape[1]
    assert group == math.gcd(32 * groups, 128)
    error = (SCHEMES["int4"].join(packed, scale, middle) - wanted).abs().unflatten(1, (-1, group))
    assert bool((error.amax(2) <= 0.57 * scale.float()).all())  # scales are rounded to bfloat16


@pytest.mark.parametrize("form", FORMS)
def test_a_row_of_zeros_stays_one(form: Form) -> None:
    rows = torch.zeros(2, 64)
    torch.testing.assert_close(
        SCHEMES[form].join(*SCHEMES[form].split(rows)), rows, rtol=0, atol=1e-7
    )


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_quantised_each_for_itself(form: Form) -> None:
    whole = weight(6, 96)
    parts = zip(*(SCHEMES[form].split(half) for half in whole.chunk(2)), strict=True)
    for one, halves in zip(SCHEMES[form].split(whole), parts, strict=True):
        assert torch.equal(one, torch.cat(halves))


def test_int4_is_what_the_kernel_of_torch_reads() -> None:
    wanted, x = weight(64, 256), weight(3, 256, 1).bfloat16()
    packed, scale, middle = SCHEMES["int4"].split(wanted)
    values = torch.stack([packed >> 4, packed & 15], dim=2).flatten(1).int()
    tiles = torch.ops.aten._convert_weight_to_int4pack_for_cpu(values, 1)
    pairs = torch.stack([scale, middle], dim=2).transpose(0, 1).contiguous()
    found = torch.ops.aten._weight_int4pack_mm_for_cpu(x, tiles, 128, pairs)
    exact = x.float() @ SCHEMES["int4"].join(packed, scale, middle).T
    torch.testing.assert_close(found.float(), exact, rtol=0.02, atol=0.2)


def test_int4_is_packed_for_cuda_in_shapes_that_its_kernel_takes() -> None:
    with torch.device("meta"):
        parts = SCHEMES["int4"].split(torch.empty(60, 160))
    made = SCHEMES["int4"].run(parts, torch.bfloat16)
    assert made.shape == (60, 160)
    assert made.dtype == torch.bfloat16
    names = {name: tuple(vars(made)[name].shape) for name in ("qdata", "scale_and_zero")}
    assert names == {"qdata": (8, 8, 32, 4), "scale_and_zero": (32, 64, 2)}


@pytest.mark.gpu
def test_int4_runs_on_a_gpu() -> None:
    wanted, x = weight(60, 160).cuda(), weight(3, 160, 1).bfloat16().cuda()
    parts = SCHEMES["int4"].split(wanted)
    found = nn.functional.linear(x, SCHEMES["int4"].run(parts, torch.bfloat16))
    exact = x.float() @ SCHEMES["int4"].join(*parts).T
    torch.testing.assert_close(found.float(), exact, rtol=0.02, atol=0.2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_in_int8_computes_with_its_rounded_weight(dtype: torch.dtype) -> None:
    layer = nn.Linear(48, 20).requires_grad_(False).to(dtype)
    parts = SCHEMES["int8"].split(layer.weight)
    x = weight(5, 48).to(dtype)
    exact = nn.functional.linear(x.float(), SCHEMES["int8"].join(*parts), layer.bias.float())
    quantised.quantise(model := nn.Sequential(layer), {"{i}.weight"}, "int8")
    assert quantised.stored_bytes(layer.weight) == 20 * 48 + 20 * 4
    found = model(x)
    assert found.dtype == dtype
    near = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(found.float(), exact, rtol=near, atol=near)


def test_a_folder_is_quantised_and_read_back_through_rules(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    plain = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 3)).requires_grad_(False)
    state = plain.state_dict()
    tensors = {f"{i}.bias": state[f"{i}.bias"] for i in range(2)}
    for i in range(2):
        for part, rows in zip("qkv", state[f"{i}.weight"].chunk(3), strict=True):
            tensors[f"{i}.{part}.weight"] = rows.contiguous()
    save_file(tensors, tmp_path / "a" / WEIGHTS)
    theirs = {f"{{i}}.{part}.weight" for part in "qkv"}
    convert(tmp_path / "a", tmp_path / "b", form="int8", quantised=theirs)
    files = TensorFiles(tmp_path / "b")
    assert form_of(files.infos) == "int8"
    assert files.infos["0.q.weight_int8"].dtype == torch.int8
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 3))
        hollow(model, {"{i}.weight"}, "int8")
    load_weights(model, files, quantised.quantised_rules(RULES, {"{i}.weight"}, "int8"))
    fill(model, "int8", torch.float32)
    quantised.quantise(plain, {"{i}.weight"}, "int8")
    x = weight(4, 8)
    assert torch.equal(model(x), plain(x))
    with pytest.raises(ConfigError, match="quantised already, to int8"):
        convert(tmp_path / "b", tmp_path / "c", form="int4", quantised=theirs)


@pytest.mark.parametrize("form", FORMS)
def test_weights_that_are_no_numbers_are_named(form: Form, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    save_file({"0.weight": torch.full((2, 32), math.nan)}, tmp_path / "a" / WEIGHTS)
    with pytest.raises(WeightsError, match=r"0\.weight: holds infinities or values"):
        convert(tmp_path / "a", tmp_path / "b", form=form, quantised={"{i}.weight"})
    assert not (tmp_path / "b").exists()


def test_int4_on_the_cpu_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"run on cpu\. Use a GPU .* --quantise int8"):
        check_runs("int4", torch.bfloat16, [torch.device("cpu")])


def test_a_missing_torchao_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torchao", None)
    with pytest.raises(MissingExtraError, match=r"tilewise\[quant\]"):
        check_runs("int8", torch.float32, [torch.device("cpu")])


def test_tensors_without_quantised_ones_have_no_form() -> None:
    assert form_of(["a.weight", "int8.scale", "weight_int8x"]) is None
