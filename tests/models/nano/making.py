"""Small things that the tests of tilewise-nano are made of: text on a canvas, a reader that reads.

The reader has random weights, scaled so that blank paper stays blank and ink gives characters: its
answers mean nothing, but every part runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors.torch import save_file

from tilewise.models.nano.alphabet import COPY, END, NOT_FOUND, UNSUPPORTED, classes_of
from tilewise.models.nano.config import DecoderConfig, EncoderConfig, NanoConfig, ProofConfig
from tilewise.models.nano.decoder import Decoder
from tilewise.models.nano.detect import Detections
from tilewise.models.nano.encoder import Encoder
from tilewise.models.nano.proof import Proofreader
from tilewise.models.nano.reading import Reading, read
from tilewise.records import Page
from tilewise.synth.sheet import Glyphs, Sheet

INK: Final = (0, 0, 0)
TINY: Final = NanoConfig(
    encoder=EncoderConfig(stem=4, early=8, width=16, blocks=1),
    proof=ProofConfig(width=16, heads=2, layers=1, stretch=8),
    decoder=DecoderConfig(
        width=24,
        layers=2,
        heads=3,
        mlp=32,
        mixers=1,
        question_width=16,
        question_layers=1,
        relation=8,
    ),
)


def sheet_of(
    *runs: tuple[float, float, str], size: int = 16, width: int = 672, height: int = 336
) -> Sheet:
    """A sheet with runs of text, (x, baseline, text), in Pillow's own font."""
    sheet = Sheet(width, height)
    for x, baseline, text in runs:
        sheet.text(x, baseline, text, None, size, INK)
    return sheet


def perfect(glyphs: Glyphs, width: int, height: int) -> Detections:
    """What a reader without mistakes finds of glyphs on a canvas, in random order."""
    classes = classes_of(glyphs.code)
    inside = (glyphs.x >= 0) & (glyphs.x < width) & (glyphs.y >= 0) & (glyphs.y < height)
    index = np.random.default_rng(0).permutation(np.flatnonzero((classes > 0) & inside))
    link = np.full((len(index), 3), 0.02, np.float32)
    link[np.arange(len(index)), glyphs.link[index]] = 0.96
    return Detections(
        cls=classes[index],
        prob=np.ones(len(index), np.float32),
        x=glyphs.x[index],
        y=glyphs.y[index],
        height=glyphs.height[index],
        link=link,
        width=width,
        canvas_height=height,
    )


def reading_of(
    *runs: tuple[float, float, str],
    size: int = 16,
    width: int = 672,
    height: int = 336,
    turn: float = 0.0,
) -> Reading:
    """Runs of text as a reader without mistakes reads them, turned by ``turn`` radians."""
    glyphs = sheet_of(*runs, size=size, width=width, height=height).glyphs()
    return read(perfect(glyphs.moved(1.0, 0.0, 0.0, turn), width, height))


def page_of(*lines: str, width: int = 330, height: int = 200, size: int = 16) -> Page:
    """A white page with lines of text."""
    runs = [(12.0, size * 1.6 * (i + 1), line) for i, line in enumerate(lines)]
    return Page(pixels=sheet_of(*runs, size=size, width=width, height=height).render(), name="page")


def random_parts(cfg: NanoConfig = TINY, seed: int = 0) -> tuple[Encoder, Proofreader, Decoder]:
    """All parts with random weights; the decoder is inclined to point and to copy."""
    torch.manual_seed(seed)
    encoder, proof, decoder = Encoder(cfg.encoder), Proofreader(cfg.proof), Decoder(cfg.decoder)
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.8, 1.2)
            torch.nn.init.uniform_(module.running_var, 0.05, 0.2)  # type: ignore[arg-type]
    with torch.no_grad():
        encoder.head.weight *= 40.0
        assert encoder.head.bias is not None
        encoder.head.bias.view(2, -1)[:, 0] = 12.0  # blank, in both half-rows
        for token, by in ((NOT_FOUND, -3.0), (UNSUPPORTED, -3.0), (COPY, 3.0), (END, 1.0)):
            decoder.output.bias[token] += by
    return encoder.eval(), proof.eval(), decoder.eval()


def save_reader(folder: Path, cfg: NanoConfig = TINY, seed: int = 0) -> Path:
    """A folder that ``load_nano`` reads, without a manifest."""
    encoder, proof, decoder = random_parts(cfg, seed)
    tensors = {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
    tensors |= {f"proof.{k}": v for k, v in proof.state_dict().items()}
    tensors |= {f"decoder.{k}": v for k, v in decoder.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(cfg.to_json()), encoding="utf-8")
    return folder
