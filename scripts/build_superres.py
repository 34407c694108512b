"""Put trained SDAN networks into the package: weights, what they measure, and where they come from.

    python scripts/build_superres.py RUN2 RUN4 --held FOLDER [--measure-only]

RUN2 and RUN4 are folders of ``tilewise train sdan_small_2x`` and ``sdan_small_4x``; of a run that
has not ended the running mean of its newest checkpoint is taken. Nothing is put in without its
numbers: each network is measured beside bicubic on pairs that it has not learned from, made of
the photographs in ``--held`` and of pages with words and a font that training does not use.
Run by hand, its output is committed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from tilewise.settings import with_values
from tilewise.superres.files import folder_of, load, save
from tilewise.superres.metrics import psnr, ssim
from tilewise.superres.pairs import CameraConfig, camera_pair
from tilewise.superres.photos import Photos, photo_paths, read_photo
from tilewise.superres.sdan import Sdan
from tilewise.superres.shrink import ShrinkConfig, shrunk_pair
from tilewise.synth.pages import make_page
from tilewise.train import checkpoint
from tilewise.train.loop import CHECKPOINTS
from tilewise.train.superres.config import SuperresConfig
from tilewise.train.superres.held import MOST_DB
from tilewise.train.superres.made import LEAST_PHOTO

PRINT: Final = ShrinkConfig(blur_share=0, noise=2.0, noise_share=1.0, jpeg_share=0)
BLURRED: Final = ShrinkConfig(blur=(0.8, 0.8), blur_share=1, noise=2.0, noise_share=1, jpeg_share=0)
COUNT: Final = 24
"""Pairs of each kind that are made."""

SIDE: Final = 256
"""Of made-up targets, in pixels."""


class Case(NamedTuple):
    """A pair that is measured, (3, h, w) and (3, scale * h, scale * w), and the border cut."""

    x: Tensor
    truth: Tensor
    border: int


def main(words: Sequence[str] | None = None) -> None:
    """Measure the networks, and put them into the package."""
    args = _arguments(words)
    torch.set_num_threads(1)
    for run in args.runs:
        network, notes = trained(run)
        scale = network.cfg.scale
        measured = {kind: _measured(network, cases) for kind, cases in held(scale, args.held)}
        print(f"x{scale}, {notes}")
        for kind, numbers in measured.items():
            print(f"  {kind}: {numbers}", flush=True)
        if not args.measure_only:
            out = folder_of(f"x{scale}")
            save(out, network, network.cfg, {**notes, "measured": measured})
            print(f"  {out}")


def trained(run: Path) -> tuple[Sdan, dict[str, Any]]:
    """The network that a run left, or the running mean of its newest checkpoint; and its notes."""
    if (run / "model.safetensors").is_file():
        network = load(run)
        told = json.loads((run / "config.json").read_text(encoding="utf-8"))
        names = ("recipe", "steps", "processor_minutes", "seed", "commit", "machine")
        return network, {name: told[name] for name in names if name in told}
    newest = checkpoint.latest(run / CHECKPOINTS)
    if newest is None:
        raise SystemExit(f"{run}: holds no run; train sdan_small_2x or sdan_small_4x first.")
    kept = checkpoint.load_others(newest)
    values: Mapping[str, Any] = kept.notes["settings"]
    sizes = {
        key.removeprefix("model.sizes."): value
        for key, value in values.items()
        if key.startswith("model.sizes.")
    }
    cfg = with_values(SuperresConfig(name=str(values["name"])).model.sizes, sizes)
    network = Sdan(cfg)
    tensors = load_file(newest / checkpoint.MODEL)
    network.load_state_dict(
        {name.removeprefix("mean."): t for name, t in tensors.items() if name.startswith("mean.")}
    )
    notes = {
        "recipe": values["name"],
        "steps": kept.step,
        "processor_minutes": round(float(kept.notes["used_s"]) / 60, 1),
        "seed": values["run.seed"],
        "ended": "before its time; the running mean of the last checkpoint",
    }
    return network.eval(), notes


def held(scale: int, folder: Path) -> Iterator[tuple[str, list[Case]]]:
    """Kinds of pairs, and the pairs."""
    photos = Photos(photo_paths(folder), LEAST_PHOTO)
    yield (
        "two cameras, against the aligned truth",
        [_camera(photos, scale, n) for n in range(COUNT)],
    )
    golden = list(_golden(folder.parent / "pairs", scale))
    if golden:
        yield "golden pairs, against the aligned truth", golden
    clean = ShrinkConfig(blur_share=0, noise_share=0, jpeg_share=0)
    yield "photographs shrunk by bicubic", [_bicubic(photos, scale, n) for n in range(COUNT)]
    small = [_shrunk(_cut(photos[n % len(photos)], n), scale, clean, n) for n in range(COUNT)]
    yield "photographs shrunk by means or antialiased", small
    kinds = {"print, light noise": PRINT, "print, blurred by 0.8 px": BLURRED}
    for kind, cfg in kinds.items():
        yield kind, [_shrunk(_page(scale, n), scale, cfg, n) for n in range(COUNT)]


def _camera(photos: Photos, scale: int, number: int) -> Case:
    cfg = replace(CameraConfig(), levels=(number % 3,))
    pair = camera_pair(photos[number % len(photos)], scale, SIDE // scale, cfg, (41, number))
    return Case(pair.x, pair.aligned, 16)


def _golden(folder: Path, scale: int) -> Iterator[Case]:
    for path in sorted(folder.glob(f"*_x{scale}_*_lr.png")):
        truth = path.with_name(path.name.replace("_lr", "_aligned"))
        x, wanted = (torch.from_numpy(read_photo(p)).permute(2, 0, 1) for p in (path, truth))
        yield Case(x.float() / 255, wanted.float() / 255, 32)


def _bicubic(photos: Photos, scale: int, number: int) -> Case:
    cut = torch.from_numpy(_cut(photos[number % len(photos)], number)).permute(2, 0, 1)[None]
    truth = cut.float() / 255
    size = [side // scale for side in truth.shape[-2:]]
    x = F.interpolate(truth, size, mode="bicubic", align_corners=False, antialias=True)
    return Case((x.clamp(0, 1) * 255).round()[0] / 255, truth[0], 16)


def _shrunk(picture: np.ndarray, scale: int, cfg: ShrinkConfig, number: int) -> Case:
    pair = shrunk_pair(picture, scale, cfg, np.random.default_rng((42, number)))
    return Case(pair.x, pair.target, 16)


def _cut(photo: np.ndarray, number: int) -> np.ndarray:
    rng = np.random.default_rng((43, number))
    top, left = (int(rng.integers(size - SIDE + 1)) for size in photo.shape[:2])
    return photo[top : top + SIDE, left : left + SIDE]


def _page(scale: int, number: int) -> np.ndarray:
    """A page of words that training does not use, in a font that it does not use."""
    page = make_page(Random(900 + number), "test", unseen_font=True, size=(320, 300))
    return _cut(page.sheet.render(max(1, scale // 2)), number)


@torch.inference_mode()
def _measured(network: Sdan, cases: Sequence[Case]) -> dict[str, float]:
    """Means of PSNR in dB and SSIM, of the network and of bicubic."""
    ways: Mapping[str, Callable[[Tensor], Tensor]] = {"ours": lambda x: network(x).image,
            "bicubic": partial(F.interpolate, scale_factor=network.cfg.scale, mode="bicubic",
                               align_corners=False)}  # fmt: skip
    numbers: dict[str, float] = {}
    for name, enlarge in ways.items():
        made = [(_plain(enlarge(c.x[None])[0], c.border), _plain(c.truth, c.border)) for c in cases]
        decibels = [min(psnr(a, b), MOST_DB) for a, b in made]
        numbers[f"{name} PSNR"] = round(float(np.mean(decibels)), 2)
        numbers[f"{name} SSIM"] = round(float(np.mean([ssim(a, b) for a, b in made])), 4)
    better = [
        psnr(_plain(ways["ours"](c.x[None])[0], c.border), _plain(c.truth, c.border))
        > psnr(_plain(ways["bicubic"](c.x[None])[0], c.border), _plain(c.truth, c.border))
        for c in cases
    ]
    return {**numbers, "pairs": len(cases), "pairs better in PSNR": sum(better)}


def _plain(image: Tensor, border: int) -> np.ndarray:
    return image[:, border:-border, border:-border].clamp(0, 1).permute(1, 2, 0).numpy()


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    said = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    said.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    said.add_argument("--held", type=Path, required=True, help="photographs not learned from")
    said.add_argument("--measure-only", action="store_true", help="put nothing into the package")
    return said.parse_args(words)


if __name__ == "__main__":
    main()
