"""Deformable convolution computes what compiled operators do, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from tests.goldens import GoldenFile, golden_root
from tilewise.errors import ConfigError
from tilewise.superres.deform import (
    DeformConv2d,
    deform_conv2d,
    squared_deform_conv2d,
    weighted_rows,
)

FILE = "deform_conv2d.safetensors"


def _cases() -> list[str]:
    path = golden_root() / "sdan" / FILE
    return sorted({name.split("/")[0] for name in load_file(path)}) if path.is_file() else []


def _case(path: Path, name: str) -> dict[str, Tensor]:
    tensors = load_file(path).items()
    return {key.split("/")[1]: value for key, value in tensors if key.split("/")[0] == name}


@pytest.mark.golden
@pytest.mark.parametrize("name", _cases())
def test_operator_matches_the_reference_forward_and_backward(name: str, golden: GoldenFile) -> None:
    case = _case(golden("sdan", FILE), name)
    stride, padding, dilation, groups = case["conf"][:4].tolist()
    wanted = {key.removeprefix("grad_"): value for key, value in case.items() if "grad_" in key}
    grad_out = wanted.pop("out")
    given = {key: case[key].requires_grad_() for key in wanted}
    operator: Callable[..., Tensor] = deform_conv2d
    if "square_offset" in given:
        operator, given["offset"] = squared_deform_conv2d, given.pop("square_offset")
        wanted["offset"] = wanted.pop("square_offset")
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    found = operator(given.pop("input"), **given, **settings)
    torch.testing.assert_close(found, case["out"], atol=1e-5, rtol=1e-5)
    given["input"] = case["input"]
    grads = torch.autograd.grad(found, list(given.values()), grad_out)
    found_grads = dict(zip(given, grads, strict=True))
    torch.testing.assert_close(found_grads, wanted, atol=5e-5, rtol=1e-5)


class Setting(NamedTuple):
    """Sizes of an operator's arguments."""

    kernel: int = 3
    stride: int = 1
    padding: int = 1
    dilation: int = 1
    groups: int = 1
    rows: int = 7
    cols: int = 6

    @property
    def keywords(self) -> dict[str, Any]:
        """The settings that a convolution takes."""
        return {n: getattr(self, n) for n in ("stride", "padding", "dilation", "groups")}


SETTINGS = (
    Setting(),
    Setting(kernel=5, padding=4, dilation=2, stride=2),
    Setting(kernel=1, padding=0),
    Setting(groups=2),
    Setting(rows=1, cols=1),
    Setting(rows=1, cols=9),
)


def _inputs(s: Setting, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(2, 4, s.rows, s.cols, generator=generator, dtype=dtype)
    kernel = (s.kernel, s.kernel)
    weight = torch.randn(6, 4 // s.groups, *kernel, generator=generator, dtype=dtype)
    size = F.conv2d(x, weight, **s.keywords).shape[-2:]
    # Away from whole pixels, where the derivative jumps.
    whole = torch.randint(-3, 4, (2, 2, *size), generator=generator)
    offset = whole + 0.1 + 0.8 * torch.rand(2, 2, *size, generator=generator, dtype=dtype)
    return x, weight, offset


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_squared_window_is_one_whose_points_all_move_alike(setting: Setting) -> None:
    x, weight, offset = _inputs(setting)
    each = offset.repeat(1, setting.kernel**2, 1, 1)
    squared = squared_deform_conv2d(x, weight, offset, **setting.keywords)
    torch.testing.assert_close(squared, deform_conv2d(x, weight, each, **setting.keywords))


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_zero_offset_is_a_convolution(setting: Setting) -> None:
    x, weight, offset = _inputs(setting)
    wanted = F.conv2d(x, weight, **setting.keywords)
    found = squared_deform_conv2d(x, weight, 0 * offset, **setting.keywords)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(("down", "right"), [(2, -1), (-3, 0), (0, 4), (40, -40)])
def test_a_whole_offset_is_a_convolution_of_the_shifted_image(down: int, right: int) -> None:
    x, weight, offset = _inputs(Setting())
    moves = torch.tensor([down, right], dtype=x.dtype)[:, None, None].expand_as(offset)
    wide = F.conv2d(F.pad(x, (45,) * 4), weight, padding=1)  # of the image on a wide black ground
    wanted = wide[..., 45 + down :, 45 + right :][..., : x.shape[-2], : x.shape[-1]]
    torch.testing.assert_close(squared_deform_conv2d(x, weight, moves, padding=1), wanted)


@pytest.mark.parametrize("setting", SETTINGS)
def test_gradients_of_squared_windows_are_those_of_finite_differences(setting: Setting) -> None:
    inputs = [t.requires_grad_() for t in _inputs(setting)]

    def run(x: Tensor, weight: Tensor, offset: Tensor) -> Tensor:
        return squared_deform_conv2d(x, weight, offset, **setting.keywords)

    assert torch.autograd.gradcheck(run, inputs)


@pytest.mark.parametrize("setting", SETTINGS[:4])
def test_gradients_of_points_are_those_of_finite_differences(setting: Setting) -> None:
    x, weight, offset = _inputs(setting)
    points = setting.kernel**2
    each = offset.repeat(1, 2 * points, 1, 1)  # two groups of channels
    mask = torch.rand(2, 2 * points, *offset.shape[-2:], dtype=x.dtype)
    bias = torch.randn(6, dtype=x.dtype)
    inputs = [t.requires_grad_() for t in (x, weight, each, bias, mask)]

    def run(x: Tensor, weight: Tensor, each: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
        return deform_conv2d(x, weight, each, bias, mask, **setting.keywords)

    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)


def test_windows_far_outside_read_zero_and_offsets_that_are_no_numbers_are_seen() -> None:
    x, weight, offset = _inputs(Setting(), torch.float32)
    bias = torch.arange(6.0)
    for far in (1e4, -1e30, float("inf")):
        found = squared_deform_conv2d(x, weight, offset + far, bias, padding=1)
        assert torch.equal(found, bias[:, None, None].expand_as(found))
    odd = offset.clone()
    odd[0, 0, 2, 3] = float("nan")
    found = squared_deform_conv2d(x, weight, odd, bias, padding=1)
    assert found[0, :, 2, 3].isnan().all()
    assert found.isnan().sum() == 6


def test_half_precision_moves_by_exact_positions() -> None:
    x, weight, _ = _inputs(Setting(cols=600), torch.bfloat16)
    offset = torch.full((2, 2, 7, 600), 0.5, dtype=torch.bfloat16)
    found = squared_deform_conv2d(x, weight, offset, padding=1)
    wanted = squared_deform_conv2d(x.float(), weight.float(), offset.float(), padding=1)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, atol=0.06, rtol=0.02)


def test_gradients_of_a_table_are_the_same_on_every_run() -> None:
    table = torch.randn(50, 8, requires_grad=True)
    index, share = torch.randint(0, 50, (400, 4)), torch.rand(400, 4)
    grads = [torch.autograd.grad(weighted_rows(table, index, share).sum(), table)[0] for _ in "ab"]
    assert torch.equal(*grads)
    wanted = torch.zeros(50).index_add(0, index.flatten(), share.flatten())
    torch.testing.assert_close(grads[0], wanted[:, None].expand_as(table))


def test_shapes_that_do_not_fit_are_told() -> None:
    x, weight, offset = _inputs(Setting())
    with pytest.raises(ConfigError, match=r"the offset is \(2, 2, 7, 6\).*needs \(2, 2, 5, 4\)"):
        squared_deform_conv2d(x, weight, offset)
    with pytest.raises(ConfigError, match="the offset is"):
        deform_conv2d(x, weight, offset, padding=1)
    with pytest.raises(ConfigError, match="4 channels meet a kernel"):
        squared_deform_conv2d(x, weight, offset, padding=1, groups=2)
    with pytest.raises(ConfigError, match="square kernels"):
        squared_deform_conv2d(x, weight[..., :2], offset, padding=1)
    with pytest.raises(ConfigError, match="the mask is"):
        deform_conv2d(x, weight, offset.repeat(1, 9, 1, 1), mask=offset, padding=1)


@pytest.mark.gpu
def test_operator_on_cuda_matches_the_cpu() -> None:
    inputs = [t.requires_grad_() for t in _inputs(Setting())]
    mask = torch.rand(2, 9, 7, 6, dtype=torch.float64)
    found = {}
    for device in ("cpu", "cuda"):
        x, weight, offset = (t.to(device) for t in inputs)
        squared = squared_deform_conv2d(x, weight, offset, padding=1)
        each = offset.repeat(1, 9, 1, 1)
        points = deform_conv2d(x, weight, each, mask=mask.to(device), padding=1)
        value = (squared.square() + points.square()).sum()
        found[device] = torch.autograd.grad(value, inputs)
    torch.testing.assert_close(found["cuda"], found["cpu"])


EXPORTS = {"squared": (2, False), "per point": (18, False), "modulated": (18, True)}


class _Whole(torch.nn.Module):
    """An operator with all that it reads but the image, so that it can be exported."""

    def __init__(self, channels: int, *, has_mask: bool) -> None:
        super().__init__()
        self.conv = DeformConv2d(4)
        self.offset = torch.nn.Conv2d(4, channels, 3, padding=1)
        self.mask = torch.nn.Conv2d(4, 9, 3, padding=1) if has_mask else None

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x, 3 * self.offset(x), self.mask(x) if self.mask else None)


@pytest.mark.parametrize("kind", EXPORTS)
def test_an_exported_graph_names_deform_conv(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _Whole(EXPORTS[kind][0], has_mask=EXPORTS[kind][1])
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    program = torch.export.export(whole, (torch.randn(1, 4, 8, 10),))
    (node,) = (n for n in program.graph.nodes if "DeformConv" in n.args)
    assert node.kwargs["version"] == 19
    assert program.graph_signature.user_outputs == (node.name,)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the exporter's own
@pytest.mark.parametrize("kind", EXPORTS)
def test_onnx_computes_the_same_at_any_size(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    whole = _Whole(EXPORTS[kind][0], has_mask=EXPORTS[kind][1])
    torch.onnx.export(
        whole,
        (torch.randn(1, 4, 8, 10),),
        tmp_path / "deform.onnx",
        dynamo=True,
        opset_version=19,
        dynamic_shapes=({2: "rows", 3: "cols"},),
        verbose=False,
    )
    session = runtime.InferenceSession(tmp_path / "deform.onnx")
    x = torch.randn(1, 4, 13, 9)
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), whole(x).detach(), atol=1e-5, rtol=1e-5)
