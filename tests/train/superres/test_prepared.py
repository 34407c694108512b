"""Pairs that were prepared: their scale is checked at once, their crops lie where they should."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from tests.superres.making import image
from tests.train.superres.making import tiny
from tilewise.errors import SourceError
from tilewise.superres.raw import BLACK, WHITE, mosaic_of
from tilewise.train.loop import LOGS
from tilewise.train.report import read_losses
from tilewise.train.superres.prepared import PreparedPairs
from tilewise.train.task import run_training


def _pairs(folder: Path, names: str = "ab", scale: int = 4, *, is_raw: bool = False) -> list[Path]:
    """Pairs whose target is the input enlarged, smooth enough to tell shifts."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        wide = F.interpolate(image(10, 12, seed=seed), (40, 48), mode="bicubic")[0].clamp(0, 1)
        target = F.interpolate(wide[None], scale_factor=scale, mode="bicubic")[0].clamp(0, 1)
        if is_raw:
            light = mosaic_of(wide**2.2)[0].numpy()
            levels = np.round(BLACK + light * (WHITE - BLACK)).astype(np.uint16)
            Image.fromarray(levels).save(folder / f"{name}_raw.png")
        else:
            _save(wide, folder / f"{name}_lr.png")
        _save(target, folder / f"{name}_ref.png")
    return sorted(folder.glob("*_ref.png"))


def _save(picture: torch.Tensor, path: Path) -> None:
    pixels = (picture * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("is_raw", [False, True])
def test_crops_of_input_and_target_show_the_same(is_raw: bool, tmp_path: Path) -> None:
    pairs = PreparedPairs(_pairs(tmp_path, is_raw=is_raw), 4, 16, is_raw=is_raw)
    turned = set()
    for key in range(12):
        sample = pairs(key)
        assert sample.x.shape == (1 if is_raw else 3, 16, 16)
        assert sample.own.shape == (3, 16, 16)
        assert sample.target.shape == (3, 64, 64)
        small = F.avg_pool2d(sample.target[None], 4)[0]
        inner = slice(2, -2)
        error = (small - sample.own)[:, inner, inner].abs().mean()
        for axis in (1, 2):
            for step in (1, -1):
                moved = small.roll(step, axis)
                assert error < (moved - sample.own)[:, inner, inner].abs().mean()
        if is_raw:  # red stays where red is: the mosaic is that of its own colours
            torch.testing.assert_close(
                mosaic_of(sample.own)[:, 2:-2, 2:-2] ** 2.2,
                sample.x[:, 2:-2, 2:-2],
                atol=0.02,
                rtol=0,
            )
        turned.add(sample.name.split()[0])
    assert turned == {"a_ref.png", "b_ref.png"}


def test_the_same_key_gives_the_same_crop(tmp_path: Path) -> None:
    pairs = PreparedPairs(_pairs(tmp_path), 4, 16)
    assert torch.equal(pairs(1, 2).target, pairs(1, 2).target)
    assert not torch.equal(pairs(1, 2).target, pairs(1, 3).target)


def test_an_aligned_target_is_cut_likewise(tmp_path: Path) -> None:
    targets = _pairs(tmp_path)
    for path in targets:
        path.with_name(path.name.replace("_ref", "_aligned")).write_bytes(path.read_bytes())
    sample = PreparedPairs(targets, 4, 16)(7)
    assert sample.aligned is not None
    assert torch.equal(sample.aligned, sample.target)


def test_pairs_that_do_not_fit_are_refused_at_once(tmp_path: Path) -> None:
    targets = _pairs(tmp_path)
    with pytest.raises(SourceError, match="must be 2 times as large"):
        PreparedPairs(targets, 2, 16)
    with pytest.raises(SourceError, match=r"data\.crop smaller"):
        PreparedPairs(targets, 4, 40)
    with pytest.raises(SourceError, match=r"a_raw\.png is missing"):
        PreparedPairs(targets, 4, 16, is_raw=True)
    (tmp_path / "b_lr.png").unlink()
    with pytest.raises(SourceError, match=r"b_lr\.png is missing"):
        PreparedPairs(targets, 4, 16)


@pytest.mark.parametrize("kind", ["sdan", "raw"])
def test_a_run_learns_from_prepared_pairs(kind: str, tmp_path: Path) -> None:
    _pairs(tmp_path / "pairs", "abcdefgh", is_raw=kind == "raw")
    out = run_training(tiny(kind, tmp_path / "pairs", steps=2), tmp_path / "out")
    assert len(read_losses(out / LOGS)) == 2


def test_pairs_that_do_not_show_the_same_are_left_out_and_listed(tmp_path: Path) -> None:
    targets = _pairs(tmp_path / "pairs", "abcdefghij")
    other = F.interpolate(image(10, 12, seed=99), (160, 192), mode="bicubic")[0].clamp(0, 1)
    _save(other, targets[3])
    said: list[str] = []
    cfg = tiny("sdan", tmp_path / "pairs", steps=1)
    out = run_training(cfg, tmp_path / "out", say=said.append)
    assert "1 of 10 pairs are left out: 1 too unlike" in said
    (line,) = (out / "rejected.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert (told["pair"], told["reason"]) == ("d_ref.png", "too unlike")
    assert told["value"] < 0.7
    everything = tiny("sdan", tmp_path / "pairs", "data.registration=null", steps=1)
    assert not (run_training(everything, tmp_path / "all") / "rejected.jsonl").exists()
    for path in targets:
        _save(other, path)
    with pytest.raises(SourceError, match="halves lie on each other"):
        run_training(cfg, tmp_path / "none")
