"""SDAN networks as ONNX files, run by onnxruntime, which knows nothing of torch."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import Tensor

from tests.goldens import golden_root
from tests.superres.making import network
from tilewise.cli.main import main
from tilewise.errors import ConfigError, MissingExtraError
from tilewise.superres.config import SdanConfig
from tilewise.superres.enlarge import enlarge, enlarger
from tilewise.superres.export import OUTPUTS, export_onnx
from tilewise.superres.files import folder_of, load
from tilewise.superres.sdan import Sdan

SIZES = ((1, 24, 40), (2, 13, 9), (1, 1, 1), (1, 64, 3))
"""Batch, height and width: none was traced, two are no multiple of a block."""

needs_onnx = pytest.mark.skipif(
    importlib.util.find_spec("onnxscript") is None, reason="onnx is not installed"
)


def _network(**how: Any) -> Sdan:
    return network(SdanConfig(**{"width": 8, "blocks": 1, "scale": 2, **how})).eval()


def _session(path: Path) -> Any:
    return pytest.importorskip("onnxruntime").InferenceSession(path)


def _check(session: Any, net: Sdan, *shapes: tuple[int, ...]) -> None:
    """Compare all outputs for an image, and a reference if there are two shapes."""
    inputs = [torch.rand(shape) for shape in shapes]
    names = [given.name for given in session.get_inputs()]
    found = session.run(None, {n: t.numpy() for n, t in zip(names, inputs, strict=True)})
    wanted: list[Tensor] = [t.detach() for t in net(*inputs) if t is not None]
    assert len(found) == len(wanted)
    for array, tensor in zip(found, wanted, strict=True):
        torch.testing.assert_close(torch.from_numpy(array), tensor, atol=1e-4, rtol=1e-4)


@needs_onnx
def test_a_shipped_network_computes_the_same_in_onnx_at_any_size(tmp_path: Path) -> None:
    path = tmp_path / "x2.onnx"
    done = CliRunner().invoke(main, ["convert", "x2", str(path), "--to", "onnx"])
    assert done.exit_code == 0, done.output
    assert "takes image of any size, gives enlarged, 2 times as large" in done.output
    session, net = _session(path), load("x2")
    for batch, rows, cols in SIZES:
        _check(session, net, (batch, 3, rows, cols))
    assert [given.name for given in session.get_inputs()] == ["image"]
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    said = session.get_modelmeta().custom_metadata_map
    assert said["tilewise.name"] == "sdan-x2"
    assert (said["tilewise.scale"], said["tilewise.protocol"]) == ("2", "P0")
    assert [one.name for one in tmp_path.iterdir()] == ["x2.onnx"]


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"has_skip": True, "positions": 9, "scale": 4},
        {"alignment": "per_point", "attention": "channel"},
        {"alignment": "modulated", "attention": "none", "input": "raw"},
    ],
    ids=str,
)
def test_a_network_with_a_reference_computes_the_same_in_onnx_at_any_size(
    how: dict[str, Any], tmp_path: Path
) -> None:
    net = _network(**how)
    outputs = export_onnx(net, tmp_path / "net.onnx", has_reference=True)
    assert outputs == OUTPUTS
    session = _session(tmp_path / "net.onnx")
    assert [one.name for one in session.get_outputs()] == list(OUTPUTS)
    for batch, rows, cols in SIZES:
        shape = (batch, net.cfg.channels, rows, cols)
        _check(session, net, shape, (batch, 3, rows, cols))


@needs_onnx
@pytest.mark.slow
def test_without_a_reference_an_aligning_network_is_plain_convolutions(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    net = _network()
    export_onnx(net, tmp_path / "net.onnx")
    graph = onnx.load(tmp_path / "net.onnx").graph
    kinds = {node.op_type for node in graph.node}
    assert "DeformConv" not in kinds
    assert "Softmax" not in kinds
    _check(_session(tmp_path / "net.onnx"), net, (1, 3, 11, 5))


def test_what_cannot_be_exported_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.onnx"
    with pytest.raises(ConfigError, match="aligns nothing"):
        export_onnx(_network(alignment="none"), path, has_reference=True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"tilewise\[onnx\]"):
        export_onnx(_network(), path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("x2", "net.bin"), "the ending is '.bin'"),
        (("x2", "there.onnx"), "there already"),
        (("x2", "net.onnx", "--layout", "native"), "are for readers"),
        (("x9", "net.onnx"), "no such model folder"),
    ],
)
def test_bad_words_are_one_sentence_and_leave_no_file(
    words: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.onnx").write_text("mine")
    done = CliRunner().invoke(main, ["convert", *words, "--to", "onnx"])
    assert done.exit_code == 1
    assert says in done.output
    assert done.output.count("\n") == 1
    assert [one.name for one in tmp_path.iterdir()] == ["there.onnx"]
    assert Path("there.onnx").read_text() == "mine"


def test_a_reference_is_for_onnx_alone(tmp_path: Path) -> None:
    words = ["convert", str(folder_of("x2")), str(tmp_path / "copy"), "--reference"]
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, "--reference is for --to onnx" in done.output) == (1, True)


@needs_onnx
@pytest.mark.golden
@pytest.mark.slow
def test_the_exported_network_enlarges_a_picture_as_the_program_does(tmp_path: Path) -> None:
    picture = golden_root() / "sdan" / "pairs" / "seeding_x4_l1_lr.png"
    if not picture.is_file():
        pytest.skip("no golden pair")
    with Image.open(picture) as opened:
        rgb = np.asarray(opened.convert("RGB"), np.float32) / np.float32(255)
    export_onnx(load("x4"), tmp_path / "x4.onnx", name="sdan-x4")
    by = enlarger("ours", 4)
    border = [(by.radius, by.radius)] * 2 + [(0, 0)]  # mirrored, as the program does
    given = np.pad(rgb, border, "reflect").transpose(2, 0, 1)[None]
    (found,) = _session(tmp_path / "x4.onnx").run(None, {"image": given})
    inner = slice(4 * by.radius, -4 * by.radius)
    found = found[0].transpose(1, 2, 0)[inner, inner]
    np.testing.assert_allclose(found, enlarge(rgb, 4, by), atol=1e-4)
