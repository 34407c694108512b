"""A small vision encoder learns to give what a large one gives, layer by layer.

As InternViT-300M learned of InternViT-6B: the student's hidden states come near to the teacher's
in direction. How many layers are compared, and how the student's width is brought to the
teacher's, is not published; both are settings here.

Source: Mini-InternVL (arXiv 2410.16261), section on InternViT-300M.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tilewise.errors import ConfigError
from tilewise.models.internvl.network import MEAN, STD, InternVL, views
from tilewise.models.memory import VIEW_CHUNK
from tilewise.models.pack import Pack
from tilewise.models.views import normalised
from tilewise.models.vision import begin_as, read_vit
from tilewise.nn.vit import ViT
from tilewise.records import Pixels
from tilewise.train.loop import Size
from tilewise.train.objectives import Loss

Alignment = Literal["linear", "none"]
"""How the student's width is brought to the teacher's: a learned linear map for each layer, or
not at all, for encoders of the same width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherConfig:
    """Whom the vision encoder of a model learns from.

    ``folder`` is that of a model whose vision encoder teaches. ``start`` is that of one whose
    vision encoder the student begins as, "" for its own weights. The hidden states behind the
    last ``layers`` layers of both are compared.
    """

    folder: str = ""
    start: str = ""
    layers: int = 4
    alignment: Alignment = "linear"

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise ConfigError(f"teacher.layers is {self.layers}; give 1 or more.")


class Distiller(nn.Module):
    """The student and its maps to the teacher's width; calling it with a pack gives the loss.

    What is learned from are the pixels of a pack's pages alone, each page as one tile. The teacher
    is no part of the module: it does not learn, and no checkpoint holds it.

    Args:
        student: of an InternVL; it is trained in place.
        teacher: gives what is to be learned.
        cfg: layers and alignment.
        is_checkpointed: the student's activations are computed again in the backward pass.
    """

    def __init__(
        self, student: ViT, teacher: ViT, cfg: TeacherConfig, *, is_checkpointed: bool = False
    ) -> None:
        super().__init__()
        _check(student, teacher, cfg)
        self.vit = student
        widths = student.cfg.width, teacher.cfg.width
        is_linear = cfg.alignment == "linear"
        self.maps = nn.ModuleList(
            nn.Linear(*widths) if is_linear else nn.Identity() for _ in range(cfg.layers)
        ).to(student.cls.device)
        self._layers, self._is_checkpointed = cfg.layers, is_checkpointed
        self._teacher = (teacher.to(student.cls.device).eval().requires_grad_(False),)

    @staticmethod
    def part_of(name: str) -> str:
        """The part of a parameter: "vit", or "maps"."""
        return name.partition(".")[0]

    def size(self, batch: Pack) -> Size:
        """What a pack has: patches, with the class token, for positions."""
        return Size(batch.tiles * (self.vit.cfg.patches + 1), batch.tiles, batch.ids)

    def forward(self, batch: Pack) -> Loss:
        """Negative cosine similarity, summed over tiles; the mean is in [-1, 1]."""
        seen = [view for image in batch.images for view in views(image.tiles)]
        total = sum((weight.sum() * 0 for weight in self.maps.parameters()), torch.zeros(()))
        total = total.to(self.vit.cls.device) + self.vit.cls.sum() * 0  # of a batch without pages
        for start in range(0, len(seen), VIEW_CHUNK):
            total = total - self._likeness(seen[start : start + VIEW_CHUNK])
        return Loss(total, float(len(seen)))

    def _likeness(self, tiles: list[Pixels]) -> Tensor:
        """Cosines of student and teacher: means over layers and patches, summed over tiles."""
        pixels = normalised(np.stack(tiles), MEAN, STD, self.vit.cls.device)
        (teacher,) = self._teacher
        with torch.no_grad():
            wanted = teacher.states(pixels.to(teacher.cls.dtype), self._layers)
        found = self.vit.states(
            pixels.to(self.vit.cls.dtype), self._layers, is_checkpointed=self._is_checkpointed
        )
        cosines = [
            F.cosine_similarity(own(x).float(), y.float(), dim=-1).mean(-1)
            for own, x, y in zip(self.maps, found, wanted, strict=True)
        ]
        return torch.stack(cosines).mean(0).sum()


def distillation(
    cfg: TeacherConfig, network: nn.Module, *, is_checkpointed: bool = False
) -> Distiller:
    """The module and objective of a run in which a model's vision encoder learns from another.

    Args:
        cfg: the teacher, and what the student begins as.
        network: an ``InternVL`` with the student, which is trained in place.
        is_checkpointed: the student's activations are computed again in the backward pass.

    Raises:
        ConfigError: no teacher, a model of another family, or encoders that do not fit.
        WeightsError: missing or damaged files.
    """
    if not cfg.folder:
        raise ConfigError("teacher.folder is empty; give the model whose vision encoder teaches.")
    if not isinstance(network, InternVL):
        raise ConfigError(
            f"the student is the vision encoder of {type(network).__name__}; only those of "
            "InternVL see pages as their teachers do. Give a model of that family."
        )
    if cfg.start:
        begin_as(network.vit, read_vit(cfg.start))
    teacher = read_vit(cfg.folder)
    return Distiller(network.vit, teacher, cfg, is_checkpointed=is_checkpointed)


def _check(student: ViT, teacher: ViT, cfg: TeacherConfig) -> None:
    one, other = student.cfg, teacher.cfg
    if cfg.layers > min(one.layers, other.layers):
        raise ConfigError(
            f"teacher.layers is {cfg.layers}; the student has {one.layers} layers and the teacher "
            f"{other.layers}. Give no more than either has."
        )
    if one.tile // one.patch != other.tile // other.patch or one.tile != other.tile:
        raise ConfigError(
            f"the student sees tiles of {one.tile} px in patches of {one.patch} px and the teacher "
            f"{other.tile} px in {other.patch} px; both must see the same patches."
        )
    if cfg.alignment == "none" and one.width != other.width:
        raise ConfigError(
            f"the student has width {one.width} and the teacher {other.width}; set "
            "teacher.alignment to 'linear' for encoders of different widths."
        )
