"""A whole InternVL with its adapters beside their layers, as its training code saves it.

The model's own reader merges such adapters; here they are kept apart, to go on learning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from torch import Tensor, nn

from tilewise.adapt.files import WRAPPER, write_tensors, write_text
from tilewise.adapt.freeze import part_of
from tilewise.adapt.lora import adapters
from tilewise.adapt.published import HALF, attach_published, paired, published_adapters
from tilewise.errors import WeightsError
from tilewise.weights.files import TensorFiles, TensorInfo
from tilewise.weights.keymap import KeyRule, Tensors, publish

WRAPPED: Final = ("vision_model.", "language_model.")
"""Parts of InternVL that its training code wraps one by one."""

_UNMERGED_SCALE: Final = 2.0
"""Of adapters inside a model, which have no settings: alpha is twice the rank in the recipes."""


def unmerged(network: nn.Module, rules: Sequence[KeyRule]) -> Iterator[tuple[str, Tensor]]:
    """All tensors of an InternVL with adapters by the names that its training code gives them.

    Source: a part with adapters has ``base_model.model.`` behind its prefix, and an adapted layer
    ``base_layer.weight``, ``lora_A.default.weight`` and ``lora_B.default.weight``.
    """
    made = published_adapters(network, rules)
    wrapped = tuple(start for start in WRAPPED if any(name.startswith(start) for name in made))
    own = {name: t for name, t in network.state_dict().items() if part_of(name) != "adapter"}
    for name, value in publish(own, rules):
        layer, _, leaf = name.rpartition(".")
        inner = f"{layer}.base_layer.{leaf}" if layer in made else name
        yield _wrap(inner, wrapped), value
    for name, half in made.items():
        if half.scale != _UNMERGED_SCALE:
            raise WeightsError(
                f"{name} has an adapter of scale {half.scale:g}; inside a model it can only be "
                f"{_UNMERGED_SCALE:g} (alpha twice the rank). Save the adapter beside the model."
            )
        yield _wrap(f"{name}.lora_A.default.weight", wrapped), half.a
        yield _wrap(f"{name}.lora_B.default.weight", wrapped), half.b


def unmerged_ranks(network: nn.Module) -> dict[str, int]:
    """Fields of InternVL's config.json that a model with adapters inside needs."""
    ranks = {"vit": 0, "decoder": 0}
    for name, adapter in adapters(network).items():
        ranks[name.partition(".")[0]] = adapter.rank
    return {"use_backbone_lora": ranks["vit"], "use_llm_lora": ranks["decoder"]}


def save_unmerged(
    network: nn.Module, folder: str | Path, rules: Sequence[KeyRule], config: Mapping[str, Any]
) -> None:
    """Write a whole InternVL with its adapters beside their layers, and its config.json.

    Raises:
        WeightsError: as ``unmerged``, or the files cannot be written.
    """
    folder = Path(folder)
    write_tensors(folder, "model.safetensors", dict(unmerged(network, rules)))
    text = json.dumps({**config, **unmerged_ranks(network)}, indent=2)
    write_text(folder / "config.json", text + "\n")


class Unmerged:
    """The tensors of a folder as if it had no adapters, and the adapters apart from them.

    ``weights.keymap.load_weights`` takes it as the files of a model; ``attach`` hangs on what was
    left out. To read such a folder merged, use the family's own reader.

    Args:
        folder: as ``save_unmerged`` or InternVL's training code writes it.

    Raises:
        WeightsError: no weights, damaged ones, or halves of adapters.
    """

    def __init__(self, folder: str | Path) -> None:
        self._files: Tensors = TensorFiles(folder)
        self._stored: dict[str, str] = {}
        self._halves: dict[str, str] = {}
        self.infos: dict[str, TensorInfo] = {}
        for name, info in self._files.infos.items():
            plain = _unwrapped(name)
            if HALF.fullmatch(plain):
                self._halves[plain] = name
            else:
                plain = plain.replace(".base_layer.", ".")
                self._stored[plain], self.infos[plain] = name, info

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self._files.folder

    def read(self, name: str) -> Tensor:
        """A tensor of the base by its plain name; copy it before writing to it."""
        return self._files.read(self._stored[name])

    def close(self) -> None:
        """Let go of open files."""
        self._files.close()

    def attach(
        self, network: nn.Module, rules: Sequence[KeyRule], *, dropout: float = 0.0
    ) -> list[str]:
        """Attach the adapters of the folder to a network; none is fine.

        Returns:
            Our names of the layers.

        Raises:
            WeightsError: they fit no layer; nothing is attached then.
        """
        tensors = {plain: self._files.read(name) for plain, name in self._halves.items()}
        halves = paired(tensors, self.folder, lambda name, rank: _UNMERGED_SCALE)
        return attach_published(network, halves, rules, dropout, self.folder) if halves else []


def _wrap(name: str, wrapped: Sequence[str]) -> str:
    for start in wrapped:
        if name.startswith(start):
            return f"{start}{WRAPPER}{name.removeprefix(start)}"
    return name


def _unwrapped(name: str) -> str:
    for start in WRAPPED:
        if name.startswith(start + WRAPPER):
            return start + name.removeprefix(start + WRAPPER)
    return name
