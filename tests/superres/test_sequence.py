"""A made-up scene in SR-RAW's layout is prepared so that inputs and targets show the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from tilewise.errors import SourceError
from tilewise.superres.pairs import GAMMA, sampled
from tilewise.superres.raw import BLACK, WHITE, demosaicked, mosaic_of, read_mosaic, scaled
from tilewise.superres.sequence import checked, prepare, read_frames, zoom_pair

ROWS, COLS = 384, 512
FOCALS = {1: 240.0, 2: 150.0, 3: 100.0, 4: 70.0, 5: 60.0, 6: 35.0, 7: 25.0}
GAINS = (2.1, 1.0, 1.0, 1.6)
SHIFTS = {1: (0.0, 0.0), 5: (0.75, -0.5), 6: (-1.5, 0.75)}
"""By how much frames look aside, in pixels of an eighth of frame 1."""


def _light(x: Tensor, y: Tensor) -> Tensor:
    """Light of the scene at places of frame 1 by shares of its width and height, (3, h, w)."""
    rng = np.random.default_rng(7)
    grains = torch.from_numpy(rng.random((1, 12, 16))).float() * torch.ones(3, 1, 1)
    wide = F.interpolate(grains[None], (300, 400), mode="bicubic", align_corners=False)[0]
    # Frame 7 sees 240 / 25 times as far; the scene goes on mirrored there.
    tint = torch.tensor([0.4, 0.6, 0.3])[:, None, None]
    return sampled(wide, y * 300 - 0.5, x * 400 - 0.5).clamp(0, 1) * tint + 0.05


def _frame(scene: Path, number: int, *, has_raw: bool = True) -> None:
    share = FOCALS[number] / FOCALS[1]
    right, down = (8 * part for part in SHIFTS.get(number, (0.0, 0.0)))
    side = ((torch.arange(float(n)) + 0.5) / n for n in (COLS, ROWS))
    x, y = torch.meshgrid(*side, indexing="xy")
    x, y = (0.5 + (one - 0.5) / share for one in (x, y))
    light = _light(x + right / COLS, y + down / ROWS)
    shown = (light * torch.tensor([GAINS[n] for n in (0, 1, 3)])[:, None, None]).clamp(0, 1)
    pixels = (shown ** (1 / GAMMA) * 255).round().byte().permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels)
    exif = picture.getexif()
    exif.get_ifd(0x8769)[0x920A] = FOCALS[number]
    picture.save(scene / f"{number:05}.JPG", quality=98, subsampling=0, exif=exif)
    if has_raw:
        levels = BLACK + mosaic_of(light)[0].numpy() * (WHITE - BLACK)
        Image.fromarray(np.round(levels).astype(np.uint16)).save(scene / f"{number:05}.png")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One scene of seven frames, and what ``tform.txt`` says where a place of frame 1 lies."""
    scene = tmp_path_factory.mktemp("data") / "010"
    scene.mkdir()
    for number in FOCALS:
        _frame(scene, number)
    lines, gains = [], []
    for number in FOCALS:
        right, down = SHIFTS.get(number, (0.0, 0.0))
        lines += [f"00001-{number:05}:", f"1.0 0.0 {-right}", f"0.0 1.0 {-down}"]
        gains += [f"{number:05}:", " ".join(map(str, GAINS))]
    (scene / "tform.txt").write_text("\n".join(lines) + "\n")
    (scene / "wb.txt").write_text("\n".join(gains) + "\n")
    return scene.parent


def test_a_pair_shows_the_same_in_the_same_colours(root: Path) -> None:
    frames = read_frames(root / "010")
    assert frames[5].focal_mm == 60.0
    assert frames[5].gains == GAINS
    mosaic, target = zoom_pair(frames[5], frames[1], FOCALS[1], 4)
    rows, cols = mosaic.shape
    assert target.shape == (3, 4 * rows, 4 * cols)
    assert rows >= 0.8 * ROWS * 60 / 240 - 8
    assert rows % 2 == cols % 2 == 0
    found = checked(mosaic, target)
    assert found.correlation > 0.9
    assert found.shift < 0.4
    own = demosaicked(scaled(mosaic)) ** (1 / GAMMA)
    assert float((own.mean((1, 2)) - target.mean((1, 2))).abs().max()) < 0.02


def test_without_the_maps_the_pair_lies_aside(root: Path) -> None:
    frames = read_frames(root / "010")
    mosaic, target = zoom_pair(frames[6], frames[2], FOCALS[1], 4)
    right = checked(mosaic, target)
    still = frames[6]._replace(affine=np.eye(2, 3))
    wrong = checked(*zoom_pair(still, frames[2], FOCALS[1], 4))
    assert right.shift < 0.4
    assert wrong.shift > right.shift + 0.3


def test_a_folder_of_scenes_is_prepared_and_what_is_not_is_told(root: Path, tmp_path: Path) -> None:
    done = prepare(root, tmp_path / "out")
    assert done.pairs == ("010_00005_00001", "010_00006_00002", "010_00007_00003")
    assert done.rejected == ()
    mosaic = read_mosaic(tmp_path / "out" / "010_00005_00001_raw.png")
    with Image.open(tmp_path / "out" / "010_00005_00001_ref.png") as target:
        assert target.size == (4 * mosaic.shape[1], 4 * mosaic.shape[0])
    before = (tmp_path / "out" / "010_00005_00001_ref.png").stat().st_mtime_ns
    assert prepare(root, tmp_path / "out").pairs == done.pairs  # nothing is made again
    assert (tmp_path / "out" / "010_00005_00001_ref.png").stat().st_mtime_ns == before
    assert not list((tmp_path / "out").glob("*.part"))


def test_pairs_that_are_bad_are_counted_by_reason(root: Path, tmp_path: Path) -> None:
    for name in ("350", "011", "012", "013"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for path in (root / "010").iterdir():
            (tmp_path / "data" / name / path.name).write_bytes(path.read_bytes())
    data = tmp_path / "data"
    (data / "011" / "00005.png").unlink()
    other = np.random.default_rng(0).integers(BLACK, WHITE, (ROWS, COLS)).astype(np.uint16)
    for frame in (5, 6, 7):
        Image.fromarray(other).save(data / "012" / f"{frame:05}.png")
    (data / "013" / "wb.txt").write_text("00001:\nnone\n")
    done = prepare(data, tmp_path / "out")
    assert done.pairs == ("011_00006_00002", "011_00007_00003")
    assert done.reasons["known as bad"] == 3
    assert done.reasons["frames are missing"] == 1
    assert done.reasons["too unlike"] == 3
    (broken,) = [reason for reason in done.reasons if "wb.txt" in reason]
    assert "no row of 4 numbers" in broken
    lines = (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()
    assert len(lines) == len(done.rejected) == 10
    assert {"pair", "reason", "value"} == json.loads(lines[0]).keys()


def test_a_folder_without_scenes_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no scenes"):
        prepare(tmp_path, tmp_path / "out")
