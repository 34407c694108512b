"""Folders of the default reader: what is written is read back; damage is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.models.nano.making import TINY, random_parts, save_reader
from tilewise.errors import ConfigError, WeightsError
from tilewise.models.nano.config import DecoderConfig, EncoderConfig, NanoConfig, ProofConfig
from tilewise.models.nano.model import load_nano
from tilewise.models.nano.parts import Parts, draw_parts, write_parts
from tilewise.weights.files import write_manifest

WEIGHTS = "model.safetensors"


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    encoder, proof, decoder = random_parts(NanoConfig())
    parts = Parts(NanoConfig(), encoder, proof, decoder)
    write_parts(parts, tmp_path / "out", {"seed": 1})
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == [
        "config.json",
        "manifest.json",
        WEIGHTS,
    ]
    reader = load_nano(tmp_path / "out")
    assert reader.cfg == NanoConfig()
    for name, tensor in reader.decoder.state_dict().items():
        assert torch.equal(tensor, decoder.state_dict()[name])
    modes = {f.stat().st_mode for f in (tmp_path / "out").iterdir()}
    assert len(modes) == 1
    size = sum(t.numel() for m in (encoder, proof, decoder) for t in m.parameters())
    assert 4 * size < 16 << 20
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["seed"] == 1


def test_what_is_drawn_depends_on_the_seed_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (draw_parts(TINY, seed).decoder.embed.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_parameters_are_not_trained_by_reading(tmp_path: Path) -> None:
    reader = load_nano(save_reader(tmp_path))
    for part in (reader.encoder, reader.proof, reader.decoder):
        assert not part.training
        assert not any(p.requires_grad for p in part.parameters())


def test_a_flipped_byte_is_found(tmp_path: Path) -> None:
    folder = save_reader(tmp_path)
    write_manifest(folder, ("config.json", WEIGHTS))
    load_nano(folder)
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-100] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    with pytest.raises(WeightsError, match="is damaged, its SHA-256"):
        load_nano(folder)


def test_weights_cut_short_are_found(tmp_path: Path) -> None:
    folder = save_reader(tmp_path)
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-50])
    with pytest.raises(WeightsError, match="damaged or cut short"):
        load_nano(folder)


def test_missing_extra_and_misshapen_tensors_are_all_named(tmp_path: Path) -> None:
    folder = save_reader(tmp_path)
    tensors = load_file(folder / WEIGHTS)
    del tensors["encoder.head.bias"]
    tensors["decoder.more"] = torch.zeros(1)
    tensors["decoder.norm.weight"] = torch.zeros(5)
    save_file(tensors, folder / WEIGHTS)
    with pytest.raises(WeightsError) as err:
        load_nano(folder)
    for name in ("encoder.head.bias", "decoder.more", "decoder.norm.weight is (5,)"):
        assert name in str(err.value)


def test_a_config_of_other_sizes_does_not_fit_the_weights(tmp_path: Path) -> None:
    folder = save_reader(tmp_path)
    (folder / "config.json").write_text(json.dumps(NanoConfig().to_json()), encoding="utf-8")
    with pytest.raises(WeightsError, match="misshapen"):
        load_nano(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"depth": 3},
        {"encoder": {"wide": 1}},
        {"decoder": None},
        {"decoder": {"heads": 5}},
        {"decoder": {"heads": 0}},
    ],
)
def test_a_config_that_cannot_hold_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    folder = save_reader(tmp_path)
    (folder / "config.json").write_text(json.dumps({**TINY.to_json(), **change}), encoding="utf-8")
    with pytest.raises(WeightsError, match=r"config\.json"):
        load_nano(folder)


def test_configs_survive_json() -> None:
    for cfg in (TINY, NanoConfig()):
        assert NanoConfig.from_json(json.loads(json.dumps(cfg.to_json()))) == cfg


def test_heads_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="width must be a multiple of the heads"):
        DecoderConfig(width=10, heads=3)


@pytest.mark.parametrize("value", [0, -3, 2.5, True, "wide", None])
@pytest.mark.parametrize("config", [EncoderConfig, ProofConfig, DecoderConfig])
def test_sizes_are_whole_numbers_from_one_up(
    config: type[EncoderConfig | ProofConfig | DecoderConfig], value: object
) -> None:
    with pytest.raises(ConfigError, match=r"width is .*; it must be a whole number"):
        config(width=value)  # type: ignore[arg-type]
