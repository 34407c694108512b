"""Networks in folders come back as they were; folders that are not whole are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.superres.making import TINY, image, network
from tilewise.errors import WeightsError
from tilewise.superres.config import SdanConfig
from tilewise.superres.files import load, save


@pytest.mark.parametrize(
    "cfg",
    [
        TINY,
        SdanConfig(width=8, blocks=1, input="raw", scale=8, max_offset=None, positions=4),
        SdanConfig(width=8, blocks=1, scale=2, alignment="none", has_skip=True),
    ],
)
def test_a_network_that_was_saved_is_loaded_as_it_was(cfg: SdanConfig, tmp_path: Path) -> None:
    before = network(cfg)
    after = load(save(tmp_path / "net", before, cfg, {"trained_on": "noise"}))
    assert after.cfg == cfg
    assert not after.training
    x = image(16, 24, channels=cfg.channels)
    with torch.no_grad():
        assert torch.equal(after(x).image, before(x).image)
    told = json.loads((tmp_path / "net" / "config.json").read_text())
    assert (told["scale"], told["reach_px"], told["trained_on"]) == (cfg.scale, cfg.reach, "noise")
    assert not list((tmp_path / "net").glob("*.part"))


def test_half_precision_halves_the_file_and_is_read_as_float32(tmp_path: Path) -> None:
    before = network()
    whole = save(tmp_path / "whole", before, TINY, {}) / "model.safetensors"
    half = save(tmp_path / "half", before, TINY, {}, is_half=True) / "model.safetensors"
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    after = load(tmp_path / "half").state_dict()
    for name, value in before.state_dict().items():
        assert after[name].dtype == torch.float32
        torch.testing.assert_close(after[name], value, atol=1e-3, rtol=1e-3)


def _tensors(change: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")
        (folder / "manifest.json").unlink()

    return spoil


def _config(**values: object) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        config["network"] |= values
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "manifest.json").unlink()

    return spoil


SPOILS: list[tuple[Callable[[Path], object], str]] = [
    (_tensors(lambda t: t.pop("head.bias")), "missing: head.bias"),  # type: ignore[arg-type]
    (_tensors(lambda t: t.update(more=torch.zeros(1))), "extra: more"),
    (_tensors(lambda t: t.update({"head.bias": torch.zeros(9)})), r"head.bias is \(9,\)"),
    (_tensors(lambda t: t["head.bias"].fill_(torch.nan)), "no finite numbers in head.bias"),  # type: ignore[arg-type]
    (_config(width="8"), "network.width is '8'; int is allowed"),
    (_config(width=0), "width is 0 channels"),
    (_config(scale=3), "scale is 3"),
    (_config(colour="red"), "has colour, which this version does not know"),
    (lambda folder: (folder / "model.safetensors").write_bytes(b"cut"), "is damaged"),
    (lambda folder: (folder / "model.safetensors").unlink(), "the file is missing"),
    (lambda folder: (folder / "config.json").unlink(), "the file is missing"),
]


@pytest.mark.parametrize(("spoil", "said"), SPOILS, ids=[said for _, said in SPOILS])
def test_a_folder_that_is_not_whole_is_refused(
    spoil: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    folder = save(tmp_path / "net", network(), TINY, {})
    spoil(folder)
    with pytest.raises(WeightsError, match=said):
        load(folder)


def test_a_network_with_weights_that_are_no_numbers_is_not_saved(tmp_path: Path) -> None:
    net = network()
    with torch.no_grad():
        net.out.weight[0] = torch.inf
    with pytest.raises(WeightsError, match=r"no finite numbers in out\.weight"):
        save(tmp_path / "net", net, TINY, {})
    assert not (tmp_path / "net").exists()


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(WeightsError, match="no such model folder"):
        load("nowhere")
